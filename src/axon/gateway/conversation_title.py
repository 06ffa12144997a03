"""`POST /v1/conversations/{id}/title`: a title made by a model."""

from collections.abc import Sequence

import msgspec

from axon.conversations import Conversation, StoredItem, Update
from axon.gateway.call import Call
from axon.gateway.conversation_object import Missing, read_conversation, shown
from axon.gateway.door import Door
from axon.gateway.members import member
from axon.gateway.problem import refuse
from axon.turns import Fields, TurnRequest

_ITEMS_READ = 10
"""A title is made from the beginning of a conversation."""


class _Part(msgspec.Struct):
    text: str | None = None


class _Message(msgspec.Struct):
    role: str = ""
    content: list[_Part] = []


async def make_title(door: Door, call: Call, conversation_id: str) -> None:
    """Give a conversation a title that its model makes from how it begins."""
    body = await call.body(door.options.body_bytes_max)
    fields: Fields = call.read_fields(body) if body.strip() else {}
    conversation = await read_conversation(door, call, conversation_id)
    model = member(fields, "model", str) or conversation.model
    if model is None:
        message = "Missing required parameter: 'model'; no model has answered here yet."
        raise refuse(message, param="model", code="missing_required_parameter")
    page = await door.conversations.looking.list_items(
        conversation.owner, conversation_id, after=None, limit=_ITEMS_READ, order="asc"
    )
    said = _said(page.items)
    if not said:
        raise refuse("The conversation has no messages yet.", code="empty_conversation")
    title = await door.turns.title(_about(call, conversation, model), said)
    with Missing(conversation_id):
        await door.conversations.changing.update(
            conversation.owner, call.caller.credential_id, conversation_id, Update(title=title)
        )
    await call.reply_value(shown(await read_conversation(door, call, conversation_id)))


def _about(call: Call, conversation: Conversation, model: str) -> TurnRequest:
    return TurnRequest(
        trace=call.trace,
        org_id=conversation.owner.org_id,
        user=conversation.owner.user,
        credential_id=call.caller.credential_id,
        tier=call.caller.tier,
        surface="chat",
        model=model,
        streamed=False,
        stored=False,
        body=b"",
        fields={},
    )


def _said(items: Sequence[StoredItem]) -> str:
    messages = [
        msgspec.json.decode(item.content, type=_Message) for item in items if item.kind == "message"
    ]
    lines = [(one.role, " ".join(part.text or "" for part in one.content)) for one in messages]
    return "\n".join(f"{role}: {text}" for role, text in lines if text.strip())
