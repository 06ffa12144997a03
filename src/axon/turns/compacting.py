"""Compaction: a summary takes the place of what was said before it; the originals stay.

The summary is an item like any other, OpenAI's `compaction`: opaque to its client, sealed under the
person's key, and good wherever that person sends it. The newest one in a conversation stands for
all turns before its own, but for what system and developer authors said.
"""

import base64
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from axon.conversations import SUMMARY, HistoryItem, HistoryTurn
from axon.inference import Model, estimate_tokens
from axon.records import TokenUsage
from axon.sealing import SealingError, item_context, key_id_of, open_sealed, seal
from axon.turns.failures import CompactionFailed, InvalidParameter
from axon.turns.fitting import History, input_budget, kept_piece
from axon.turns.messages import chat_messages
from axon.turns.request import TurnRequest
from axon.turns.rooms import TurnRooms

SUMMARY_TOKENS_MAX = 1024
"""How long a summary may be, in model tokens."""

PASSES_MAX = 32
"""How many pieces a history may be summarised in; what is older than that is left out."""

_TASK = (
    "You keep the memory of a conversation between a user and an assistant. Rewrite the summary so "
    "far and what was said since into one new summary that the assistant can go on from. Keep "
    "names, numbers, facts, decisions, wishes, open questions and what was promised. Leave out "
    "pleasantries. Answer with the summary alone."
)
_HEADING = "Summary of the conversation so far:\n"


class Asked(NamedTuple):
    """What a model said to a question of ours, and what that took."""

    text: str
    usage: TokenUsage


Ask = Callable[[TurnRequest], Awaitable[Asked]]
"""Takes a turn outside any conversation and returns what the model said."""


class Summary(NamedTuple):
    """A summary as an item, and what making it took."""

    text: str
    item: bytes
    """The item's JSON without its id."""
    usage: TokenUsage


class Compacted(msgspec.Struct, frozen=True):
    """A history after compaction."""

    history: History
    summary: str
    """What stands for the turns that are gone from it; empty when none are."""
    item: bytes = b""
    """The new item's JSON without its id, when the summary was made for this turn."""


class CompactedInput(NamedTuple):
    """What may stand for an input from now on."""

    messages: tuple[bytes, ...]
    """The user's messages as they were, items in JSON."""
    item: bytes
    """The summary: a compaction item's JSON without its id."""
    usage: TokenUsage


class _Message(msgspec.Struct):
    role: str
    content: str | list[dict[str, msgspec.Raw]] | None = None
    tool_calls: list[msgspec.Raw] = []


class _Item(msgspec.Struct):
    encrypted_content: str = ""


_message = msgspec.json.Decoder(_Message)
_item = msgspec.json.Decoder(_Item)


async def recall(
    rooms: TurnRooms, request: TurnRequest, history: History, made: bytes = b""
) -> Compacted:
    """Return the history behind the newest summary in it, and all summaries that count.

    `made` is a summary of all of it, a compaction item that the turn has already. Raises
    InvalidParameter when the client sends a summary that is not this person's.
    """
    contents = [item.content for item in request.items if item.kind == SUMMARY]
    if made:
        history = History(tuple(_pinned(history.turns)), complete=True)
        contents.insert(0, made)
    found = _newest_summary(history.turns)
    if found is not None:
        place, newest = found
        turn = history.turns[place]
        rest = [item for item in turn.items if item.kind != SUMMARY]
        since = (HistoryTurn.of(turn.turn_id, turn.sequence, rest), *history.turns[place + 1 :])
        history = History((*_pinned(history.turns[:place]), *since), complete=True)
        contents.insert(0, newest.content)
    if not contents:
        return Compacted(history, "")
    summaries = [await _open(rooms, request, content) for content in contents]
    return Compacted(history, "\n\n".join(summaries))


def _newest_summary(turns: Sequence[HistoryTurn]) -> tuple[int, HistoryItem] | None:
    for place in range(len(turns) - 1, -1, -1):
        summary = turns[place].summary
        if summary is not None:
            return place, summary
    return None


def _pinned(turns: Sequence[HistoryTurn]) -> list[HistoryTurn]:
    """Return what no summary stands for, as one turn; none when there is nothing."""
    pinned = [item for turn in turns for item in turn.items if item.pinned]
    return [HistoryTurn.of("", 0, pinned)] if pinned else []


async def compact(
    rooms: TurnRooms, request: TurnRequest, model: Model, history: History, ask: Ask
) -> Compacted:
    """Return what is to be remembered; a new summary of all of it when it has grown too long.

    Raises what `recall` and `ask` do, and CompactionFailed.
    """
    known = await recall(rooms, request, history)
    if request.compact_from is None:
        return known
    tokens = sum(turn.model_tokens for turn in known.history.turns)
    tokens += estimate_tokens(known.summary)
    new = sum(estimate_tokens(item.content) for item in request.items)
    allowed = min(request.compact_from or tokens, input_budget(request, model) - new)
    if not known.history.turns or tokens <= allowed:
        return known
    summary = await summarise(rooms, request, known, ask)
    left = History(tuple(_pinned(known.history.turns)), complete=True)
    return Compacted(left, summary.text, summary.item)


async def summarise(rooms: TurnRooms, request: TurnRequest, known: Compacted, ask: Ask) -> Summary:
    """Return a new summary of an old one and what was said since, made in as many passes as it
    takes the model to read it all. Raises what `ask` does, and CompactionFailed."""
    model = rooms.models.resolve(request.model)
    room = input_budget(request, model) // 2 - estimate_tokens(_TASK) - SUMMARY_TOKENS_MAX
    items = [item for turn in known.history.turns for item in turn.items]
    parts = list(_parts(_lines(items), max(room, SUMMARY_TOKENS_MAX)))
    text, usages = known.summary, []
    for part in parts[-PASSES_MAX:]:
        asked = await ask(_question(request, model, text, part))
        text = asked.text.strip()
        usages.append(asked.usage)
        if not text:
            raise CompactionFailed
    return Summary(text, await _item_of(rooms, request, text), _sum(usages))


async def compact_input(
    rooms: TurnRooms, request: TurnRequest, before: History, ask: Ask
) -> CompactedInput:
    """Return the user's messages and one summary, of what came before and of the request's items.

    Raises what `recall` and `summarise` do.
    """
    known = await recall(rooms, request, before)
    own = [
        HistoryItem(
            item_id="",
            kind=item.kind,
            author=item.author,
            model_tokens=estimate_tokens(item.content),
            content=item.content,
        )
        for item in request.items
        if item.kind != SUMMARY
    ]
    turns = known.history.turns
    whole = (*turns, HistoryTurn.of("", 0, own)) if own else turns
    if not whole:
        raise InvalidParameter("there is nothing to compact")
    summary = await summarise(
        rooms, request, Compacted(History(whole, complete=True), known.summary), ask
    )
    said = [item for turn in whole for item in turn.items if item.author == "user"]
    return CompactedInput(
        tuple(item.content for item in said if item.kind == "message"), summary.item, summary.usage
    )


def _sum(usages: Sequence[TokenUsage]) -> TokenUsage:
    return TokenUsage(
        input_tokens=sum(usage.input_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
        cache_write_tokens=sum(usage.cache_write_tokens for usage in usages),
        estimated=any(usage.estimated for usage in usages),
    )


async def _item_of(rooms: TurnRooms, request: TurnRequest, summary: str) -> bytes:
    key = await rooms.data_key(request.org_id, request.user)
    blob = seal(key, _context(request), summary.encode(), rooms.randomness)
    return msgspec.json.encode(
        {
            "type": SUMMARY,
            "encrypted_content": base64.b64encode(blob).decode(),
            "status": "completed",
        }
    )


async def _open(rooms: TurnRooms, request: TurnRequest, content: bytes) -> str:
    encrypted = _item.decode(content).encrypted_content
    try:
        blob = base64.b64decode(encrypted, validate=True)
        key_id = key_id_of(blob)
        key = rooms.keys.cached_by_id(key_id) or await rooms.keys.by_id(key_id)
        return open_sealed(key, _context(request), blob).decode()
    except (ValueError, SealingError) as error:  # base64 has a ValueError for each kind of wrong
        message = "a compaction item's 'encrypted_content' was not made here for this user"
        raise InvalidParameter(message) from error


def _context(request: TurnRequest) -> bytes:
    """Return what binds a summary to its person, wherever it is sent."""
    return item_context(request.org_id, request.user, "", "", SUMMARY)


def _lines(items: Sequence[HistoryItem]) -> Iterator[str]:
    """Yield each message as a line of a transcript."""
    for message in map(_message.decode, chat_messages(None, map(kept_piece, items))):
        content = message.content
        if not isinstance(content, str):
            content = " ".join(str(part.get("text", b"")) for part in content or ())
        calls = " ".join(bytes(call).decode() for call in message.tool_calls)
        yield f"{message.role}: {content}{calls}"


def _parts(lines: Iterator[str], tokens_max: int) -> Iterator[str]:
    """Yield the lines in parts of at most `tokens_max` model tokens; a longer line is cut."""
    part: list[str] = []
    tokens = 0
    for line in lines:
        shown = line if estimate_tokens(line) <= tokens_max else line[: tokens_max // 2] + " ..."
        length = estimate_tokens(shown)
        if part and tokens + length > tokens_max:
            yield "\n".join(part)
            part, tokens = [], 0
        part.append(shown)
        tokens += length
    if part:
        yield "\n".join(part)


def _question(request: TurnRequest, model: Model, summary: str, part: str) -> TurnRequest:
    known = f"{_HEADING}{summary}\n\n" if summary else ""
    said = f"{known}Said since:\n{part}\n\nThe new summary:"
    messages = [{"role": "system", "content": _TASK}, {"role": "user", "content": said}]
    cap = min(SUMMARY_TOKENS_MAX, model.output_tokens_max or SUMMARY_TOKENS_MAX)
    body = msgspec.json.encode(
        {"model": request.model, "messages": messages, "max_tokens": cap, "temperature": 0}
    )
    return TurnRequest(
        trace=request.trace,
        org_id=request.org_id,
        user=request.user,
        credential_id=request.credential_id,
        tier=request.tier,
        surface="chat",
        model=request.model,
        streamed=False,
        stored=False,
        body=body,
        fields=msgspec.json.decode(body, type=dict[str, msgspec.Raw]),
        output_tokens_max=cap,
    )


def as_told(request: TurnRequest, summary: str) -> TurnRequest:
    """Return the request as the model is to read it: the summary behind the instructions, in one
    system message, as every chat template knows it, and no summary among the items."""
    if not summary:
        return request
    instructions = "\n\n".join(filter(None, [request.instructions, _HEADING + summary]))
    items = tuple(item for item in request.items if item.kind != SUMMARY)
    return msgspec.structs.replace(request, instructions=instructions, items=items)
