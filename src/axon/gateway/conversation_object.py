"""A conversation as the API shows it, and whose it is."""

from collections.abc import Mapping

from axon.base import MICROS_PER_SECOND, UnknownId
from axon.conversations import Conversation, ConversationNotFound, ItemNotFound, Owner
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.problem import not_found

PREFIX = "conv"


def shown(conversation: Conversation) -> dict[str, object]:
    """Return OpenAI's Conversation object, with `title`, `archived` and `forked_from` beside it."""
    origin = conversation.forked_from
    return {
        "id": conversation.conversation_id,
        "object": "conversation",
        "created_at": conversation.created_us // MICROS_PER_SECOND,
        "metadata": dict(conversation.metadata),
        "title": conversation.title,
        "archived": conversation.archived,
        "forked_from": origin
        and {"conversation_id": origin.conversation_id, "item_id": origin.item_id},
    }


def owner_of(door: Door, call: Call, conversation_id: str) -> Owner:
    """Return the owner written in the id; a 404 when it is not the caller's to see."""
    with Missing(conversation_id):
        return door.owner(call, conversation_id, PREFIX)


def person_of(door: Door, call: Call, query: Mapping[str, str]) -> Owner:
    """Return the caller, or whom `?user=` names when the key acts for users."""
    named = query.get("safety_identifier") or query.get("user")
    user = door.accounts.subject(call.caller, named)
    return Owner(org_id=call.caller.org_id, user=user)


async def read_conversation(door: Door, call: Call, conversation_id: str) -> Conversation:
    """Return a conversation of the caller's; a chain of responses is none, and a 404."""
    owner = owner_of(door, call, conversation_id)
    with Missing(conversation_id):
        found = await door.conversations.looking.read(owner, conversation_id)
        if found.implicit:
            raise ConversationNotFound
    return found


class Missing:
    """Turns 'not there' into the words of OpenAI's API."""

    def __init__(self, conversation_id: str, item_id: str | None = None) -> None:
        """Name what the block looks for."""
        self._conversation_id = conversation_id
        self._item_id = item_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ItemNotFound):
            raise not_found(f"Item with id '{self._item_id}' not found.") from None
        if isinstance(error, ConversationNotFound | UnknownId):
            message = f"Conversation with id '{self._conversation_id}' not found."
            raise not_found(message) from None
