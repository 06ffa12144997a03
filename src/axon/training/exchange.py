"""What was asked and what was answered in one turn, as chat messages."""

from dataclasses import dataclass
from typing import Any

import msgspec

from axon.archive import Thawing
from axon.audit import Opened, open_kept
from axon.conversations import ColdBroken, HistoryUnavailable, Opener, Owner
from axon.sealing import SealBroken
from axon.stores import Postgres, PostgresAway
from axon.training.errors import TrainingUnavailable, Unusable
from axon.training.store import ItemRow, TurnRow, read_items
from axon.turns import UnsupportedItem, chat_messages, piece_of

QUERY_TIMEOUT_S = 10.0

ITEMS_MAX = 1_000
"""Of one prompt: more than any model reads at once."""

Message = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One turn; the messages are those of chat completions."""

    prompt: list[Message]
    answer: list[Message]
    tools: list[Message]


class Exchanges:
    """Opens turns; for one export at a time."""

    def __init__(self, opener: Opener, postgres: Postgres, archive: Thawing) -> None:
        """All three are opened and closed by their owner."""
        self._opener = opener
        self._postgres = postgres
        self._archive = archive

    async def read(self, org_id: str, turn: TurnRow) -> Exchange:
        """Return what was asked and answered; raises Unusable, TrainingUnavailable."""
        owner = Owner(org_id=org_id, user=turn.user)
        try:
            opened = await open_kept(self._opener, owner, turn.turn_id, turn.request, turn.content)
            if opened.erased:
                raise Unusable("erased")
            request = _object(opened.request)
            _refuse_deleted(turn, request)
            if turn.surface == "chat":
                return _of_chat(request, opened)
            return await self._of_response(owner, turn, request, opened)
        except (ColdBroken, SealBroken) as error:
            raise Unusable("damaged") from error
        except HistoryUnavailable as away:
            raise TrainingUnavailable(str(away)) from away
        except PostgresAway as away:
            raise TrainingUnavailable(away.detail) from away

    async def _of_response(
        self, owner: Owner, turn: TurnRow, request: Message, opened: Opened
    ) -> Exchange:
        """Return a response with all that its conversation said before it."""
        asked = [item.content for item in opened.input]
        if turn.conversation_id:
            asked = await self._before(owner, turn)
        instructions = request.get("instructions")
        return Exchange(
            prompt=_retold(instructions if isinstance(instructions, str) else None, asked),
            answer=_retold(None, [item.content for item in opened.output]),
            tools=[_chat_tool(one) for one in request.get("tools") or ()],
        )

    async def _before(self, owner: Owner, turn: TurnRow) -> list[msgspec.Raw]:
        rows = await self._items(turn)
        if not rows:
            raise Unusable("deleted")
        if len(rows) > ITEMS_MAX:
            raise Unusable("too_long")
        found = []
        for row in rows:
            if row.turn_id == turn.turn_id and row.output:
                continue
            place = (turn.conversation_id, row.turn_id, row.item_id)
            content = await self._opener.open(owner, place, row.blob)
            if content is None:
                raise Unusable("erased")
            found.append(msgspec.Raw(content))
        return found

    async def _items(self, turn: TurnRow) -> list[ItemRow]:
        async with self._postgres.connection(QUERY_TIMEOUT_S) as connection:
            rows = await read_items(connection, turn, ITEMS_MAX + 1)
        if rows:
            return rows
        cold = await self._archive.content(turn.user, turn.conversation_id)
        items = sorted(cold.items if cold else (), key=lambda one: (one.sequence, one.index))
        last = max((one.sequence for one in items if one.turn_id == turn.turn_id), default=-1)
        return [
            ItemRow(one.turn_id, one.output, one.item_id, one.blob)
            for one in items
            if one.sequence <= last
        ]


def _refuse_deleted(turn: TurnRow, request: Message) -> None:
    """Return unless somebody deleted what was to be stored."""
    wanted = request.get("store", turn.surface == "responses")
    if wanted and not turn.stored:
        raise Unusable("deleted")


def _of_chat(request: Message, opened: Opened) -> Exchange:
    choices = _object(opened.answer).get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Unusable("no_answer")
    messages = request.get("messages")
    asked = messages if isinstance(messages, list) else []
    return Exchange(
        prompt=[_plain(one) for one in asked],
        answer=[_plain(choices[0].get("message"))],
        tools=[one for one in request.get("tools") or () if isinstance(one, dict)],
    )


def _retold(instructions: str | None, items: list[msgspec.Raw]) -> list[Message]:
    try:
        told = chat_messages(instructions, [piece_of(bytes(one)) for one in items])
    except UnsupportedItem as error:
        raise Unusable("media") from error
    return [_plain(msgspec.json.decode(one)) for one in told]


def _plain(message: object) -> Message:
    """Return a message of a known role whose content is text alone; raise Unusable."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise Unusable("shape")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join([_text(part) for part in content])
    if content is not None and not isinstance(content, str):
        raise Unusable("shape")
    calls = message.get("tool_calls") or []
    if message["role"] == "assistant" and not content and not calls:
        raise Unusable("no_answer")
    plain: Message = {"role": message["role"], "content": content or ""}
    if calls:
        plain["tool_calls"] = [_call(one) for one in calls]
    if "tool_call_id" in message:
        plain["tool_call_id"] = message["tool_call_id"]
    return plain


def _text(part: object) -> str:
    text = part.get("text", part.get("refusal")) if isinstance(part, dict) else None
    if not isinstance(text, str):
        raise Unusable("media")
    return text


def _call(call: object) -> Message:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        raise Unusable("shape")
    known = {name: str(function.get(name) or "") for name in ("name", "arguments")}
    return {"id": str(call.get("id") or ""), "type": "function", "function": known}


def _chat_tool(tool: object) -> Message:
    """Return a tool of a response as chat completions describe it; raise Unusable."""
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise Unusable("shape")
    known = ("name", "description", "parameters")
    return {"type": "function", "function": {name: tool[name] for name in known if name in tool}}


def _object(raw: msgspec.Raw) -> Message:
    found = msgspec.json.decode(raw)
    if not isinstance(found, dict):
        raise Unusable("shape")
    return found
