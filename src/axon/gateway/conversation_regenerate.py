"""`POST /v1/conversations/{id}/regenerate`: ask again, or ask otherwise, and keep what was said.

The earlier branch stays as it is. The new one is a conversation of its own that begins with a copy
of everything before the question and remembers where it left; so both answers to the question, the
pair that feedback is about, can be told from each other for ever.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from axon.conversations import ForkCutsCall, ForkTooLarge, Owner, StoredItem
from axon.gateway.call import Call
from axon.gateway.conversation_object import Missing, read_conversation
from axon.gateway.door import Door
from axon.gateway.members import member
from axon.gateway.problem import RequestRefused, refuse
from axon.gateway.responses import answer_response
from axon.turns import Fields

_PAGE = 100
_PAGES_MAX = 100
"""How far back the question is looked for: 10,000 items."""


class Question(NamedTuple):
    """What is asked again."""

    item_id: str
    content: msgspec.Raw


async def regenerate(door: Door, call: Call, conversation_id: str) -> None:
    """Answer a question anew in a branch of its own; `input` asks it in other words.

    The body is that of `POST /v1/responses` without `conversation`; `item_id` names the question,
    or any item of its answer, and is the last one when left out.
    """
    _, fields = await call.fields(door.options.body_bytes_max)
    for name in ("conversation", "previous_response_id"):
        if name in fields:
            message = f"'{name}' cannot be given here: the conversation is in the path."
            raise refuse(message, param=name, code="invalid_value")
    conversation = await read_conversation(door, call, conversation_id)
    question = await _question(door, conversation.owner, conversation_id, fields)
    try:
        with Missing(conversation_id, question.item_id):
            branch = await door.conversations.changing.branch(
                conversation.owner, call.caller.credential_id, conversation_id, question.item_id
            )
    except (ForkTooLarge, ForkCutsCall) as error:
        raise refuse(str(error), param="item_id", code="cannot_branch") from error
    asked: Fields = {name: value for name, value in fields.items() if name != "item_id"}
    asked.setdefault("input", msgspec.Raw(b"[%b]" % question.content))
    asked["conversation"] = msgspec.Raw(msgspec.json.encode(branch.conversation_id))
    await answer_response(door, call, msgspec.json.encode(asked), asked)


async def _question(door: Door, owner: Owner, conversation_id: str, fields: Fields) -> Question:
    """Return the user's message to ask again, without its id."""
    wanted = member(fields, "item_id", str)
    after, found = None, wanted is None
    for _ in range(_PAGES_MAX):
        page = await door.conversations.looking.list_items(
            owner, conversation_id, after=after, limit=_PAGE, order="desc"
        )
        for item in page.items:
            found = found or item.item_id == wanted
            if found and item.kind == "message" and item.author == "user":
                return Question(item.item_id, _without_id(item))
        if not page.has_more:
            break
        after = page.items[-1].item_id
    raise _no_question(page.items, wanted)


def _no_question(items: Sequence[StoredItem], wanted: str | None) -> RequestRefused:
    if wanted is not None:
        message = f"Item with id '{wanted}' answers no message of a user in this conversation."
        return refuse(message, param="item_id", code="invalid_value")
    return refuse("The conversation has no message of a user.", code="empty_conversation")


def _without_id(item: StoredItem) -> msgspec.Raw:
    members = msgspec.json.decode(item.content, type=Fields)
    members.pop("id", None)
    return msgspec.Raw(msgspec.json.encode(members))
