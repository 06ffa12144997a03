"""How many tokens a request would put into its model: counted, not asked."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec

from axon.conversations import Owner, fit_window
from axon.inference import estimate_tokens
from axon.turns.compacting import as_told, recall
from axon.turns.engine_request import prompt_fields
from axon.turns.fitting import History, input_budget, kept_piece
from axon.turns.messages import chat_messages, piece_of
from axon.turns.request import TurnRequest
from axon.turns.rooms import TurnOptions, TurnRooms
from axon.turns.told import hiding_policy, redacted_texts, with_names

FRAME_TOKENS = 4
"""What a chat template puts around one message: a role and the marks of beginning and end."""


class InputTokens(NamedTuple):
    """The length of an input, in model tokens."""

    tokens: int
    counted_by: Literal["engine", "tokenizer", "estimate"]
    """The engine counted the prompt as it will read it; or its tokenizer the texts alone, and the
    template around them is assumed; or nobody did, and the number is on the high side."""


class _Function(msgspec.Struct):
    name: str = ""
    arguments: str = ""


class _Call(msgspec.Struct):
    function: _Function


class _Part(msgspec.Struct):
    text: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] = []


_decoder = msgspec.json.Decoder(_Message)


async def count_input(rooms: TurnRooms, options: TurnOptions, request: TurnRequest) -> InputTokens:
    """Return what a turn with this request would send, with what came before it.

    Waits as a turn would for those before it in its conversation, and raises what beginning one
    does. Images and files count nothing where the engine cannot say what they cost.
    """
    model = rooms.models.resolve(request.model)
    known = await recall(rooms, request, await history_of(rooms, options, request))
    request, history = as_told(request, known.summary), known.history
    items = [item for turn in history.turns for item in turn.items]
    if request.truncate:
        fixed = [item.content for item in request.items]
        budget = input_budget(request, model) - sum(map(estimate_tokens, fixed))
        items = list(fit_window(history.turns, budget).items)
    pieces = [*map(kept_piece, items), *(piece_of(item.content) for item in request.items)]
    messages = chat_messages(request.instructions, pieces)
    prompt = prompt_fields(request.fields, messages)
    policy = hiding_policy(rooms, request.org_id)
    if policy is not None:
        prompt, _ = with_names(policy, prompt)
    counted = await rooms.inference.count_prompt(model, prompt) if messages else None
    if counted is not None:
        return InputTokens(counted, "engine")
    texts = [text for text in _texts(messages) if text]
    tools = bytes(request.fields.get("tools") or b"")
    if tools not in (b"", b"null", b"[]"):
        texts.append(tools.decode())
    frames = FRAME_TOKENS * len(messages)
    texts = redacted_texts(rooms, request.org_id, texts)
    counts = await rooms.inference.count_tokens(model, texts)
    if counts is None:
        return InputTokens(frames + sum(map(estimate_tokens, texts)), "estimate")
    return InputTokens(frames + sum(counts), "tokenizer")


async def history_of(rooms: TurnRooms, options: TurnOptions, request: TurnRequest) -> History:
    """Return what was said before; the place in the conversation is given back at once."""
    owner = Owner(org_id=request.org_id, user=request.user)
    conversations = rooms.conversations
    conversation_id, last = request.conversation_id, None
    if request.previous_response_id is not None:
        place = await conversations.locate_turn(owner, request.previous_response_id)
        conversation_id, last = place.conversation_id, place.sequence
    if conversation_id is None:
        return History()
    begun = await conversations.begin(owner, conversation_id, options.wait_s)
    await conversations.abort(begun)
    if last is None:
        return History(begun.history, begun.complete)
    turns = tuple(turn for turn in begun.history if turn.sequence <= last)
    return History(turns, begun.complete)


def _texts(messages: Iterable[bytes]) -> Iterator[str]:
    for message in map(_decoder.decode, messages):
        yield from _content(message.content)
        for call in message.tool_calls:
            yield call.function.name
            yield call.function.arguments


def _content(content: str | Sequence[_Part] | None) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for part in content or ():
        yield part.text or ""
