"""`/v1/conversations`: OpenAI's eight calls."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from axon.base import MICROS_PER_SECOND, UnknownId
from axon.conversations import (
    Conversation,
    ConversationNotFound,
    ItemNotFound,
    NewItem,
    Owner,
    StoredItem,
)
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.items import ITEMS_MAX, from_json
from axon.gateway.members import metadata, required
from axon.gateway.problems import RequestRefused, not_found, refuse
from axon.turns import Fields

PREFIX = "conv"
PAGE_DEFAULT = 20
PAGE_MAX = 100


async def create_conversation(door: Door, call: Call) -> None:
    """Create a conversation, with metadata and up to 20 items."""
    body = await call.body(door.options.body_bytes_max)
    fields: Fields = {}
    if body.strip():
        fields = call.read_fields(body)
    owner = Owner(org_id=call.caller.org_id, user=door.subject(call, fields))
    items = _items(fields)
    pairs = metadata(fields) or {}
    made = await door.conversations.create(owner, call.caller.credential_id, pairs, items)
    await call.reply_json(_shown(made))


async def get_conversation(door: Door, call: Call, conversation_id: str) -> None:
    """Answer with a conversation."""
    await call.reply_json(_shown(await _read(door, call, conversation_id)))


async def update_conversation(door: Door, call: Call, conversation_id: str) -> None:
    """Replace a conversation's metadata."""
    _, fields = await call.fields(door.options.body_bytes_max)
    owner = _owner(door, call, conversation_id)
    pairs = metadata(fields)
    if pairs is None:
        required(fields, "metadata", dict)
    with _Missing(conversation_id):
        changed = await door.conversations.update_metadata(
            owner, call.caller.credential_id, conversation_id, pairs or {}
        )
    await call.reply_json(_shown(changed))


async def delete_conversation(door: Door, call: Call, conversation_id: str) -> None:
    """Delete a conversation and its items."""
    owner = _owner(door, call, conversation_id)
    with _Missing(conversation_id):
        await door.conversations.delete(owner, call.caller.credential_id, conversation_id)
    deleted = {"id": conversation_id, "object": "conversation.deleted", "deleted": True}
    await call.reply_value(deleted)


async def create_items(door: Door, call: Call, conversation_id: str) -> None:
    """Add up to 20 items to a conversation."""
    _, fields = await call.fields(door.options.body_bytes_max)
    owner = _owner(door, call, conversation_id)
    if "items" not in fields:
        required(fields, "items", list)
    items = _items(fields)
    if not items:
        raise refuse("Invalid 'items': it is empty.", param="items", code="empty_array")
    with _Missing(conversation_id):
        added = await door.conversations.append_items(
            owner, call.caller.credential_id, conversation_id, items
        )
    await call.reply_json(_list(added, has_more=False))


async def list_items(door: Door, call: Call, conversation_id: str) -> None:
    """Answer with one page of a conversation's items."""
    owner = _owner(door, call, conversation_id)
    query = call.query()
    limit = _limit(query.get("limit"))
    order = _order(query.get("order", "desc"))
    after = query.get("after") or None
    with _Missing(conversation_id, after):
        page = await door.conversations.list_items(
            owner, conversation_id, after=after, limit=limit, order=order
        )
    await call.reply_json(_list(page.items, page.has_more))


async def get_item(door: Door, call: Call, conversation_id: str, item_id: str) -> None:
    """Answer with one item."""
    owner = _owner(door, call, conversation_id)
    with _Missing(conversation_id, item_id):
        item = await door.conversations.read_item(owner, conversation_id, item_id)
    await call.reply_json(item.content)


async def delete_item(door: Door, call: Call, conversation_id: str, item_id: str) -> None:
    """Delete one item; answer with the conversation."""
    owner = _owner(door, call, conversation_id)
    with _Missing(conversation_id, item_id):
        changed = await door.conversations.delete_item(
            owner, call.caller.credential_id, conversation_id, item_id
        )
    await call.reply_json(_shown(changed))


async def _read(door: Door, call: Call, conversation_id: str) -> Conversation:
    owner = _owner(door, call, conversation_id)
    with _Missing(conversation_id):
        found = await door.conversations.read(owner, conversation_id)
        if found.implicit:
            raise ConversationNotFound
    return found


def _owner(door: Door, call: Call, conversation_id: str) -> Owner:
    with _Missing(conversation_id):
        return door.owner(call, conversation_id, PREFIX)


class _Missing:
    """Turns 'not there' into the words of OpenAI's API."""

    def __init__(self, conversation_id: str, item_id: str | None = None) -> None:
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


def _items(fields: Fields) -> tuple[NewItem, ...]:
    raw = fields.get("items")
    if raw is None or bytes(raw) == b"null":
        return ()
    items = from_json(raw, "items")
    if len(items) > ITEMS_MAX:
        raise _too_many(len(items))
    return items


def _too_many(count: int) -> RequestRefused:
    message = f"Invalid 'items': at most {ITEMS_MAX} items at a time, but got {count}."
    return refuse(message, param="items", code="array_above_max_length")


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE_DEFAULT
    short = text.isascii() and text.isdigit() and len(text) <= len(str(PAGE_MAX))
    if not short or not 1 <= int(text) <= PAGE_MAX:
        message = f"Invalid 'limit': expected a number between 1 and {PAGE_MAX}."
        raise refuse(message, param="limit", code="invalid_value")
    return int(text)


def _order(text: str) -> Literal["asc", "desc"]:
    if text == "asc":
        return "asc"
    if text == "desc":
        return "desc"
    message = f"Invalid value for 'order': {text!r}; use 'asc' or 'desc'."
    raise refuse(message, param="order", code="invalid_value")


def _shown(conversation: Conversation) -> bytes:
    return msgspec.json.encode(
        {
            "id": conversation.conversation_id,
            "object": "conversation",
            "created_at": conversation.created_us // MICROS_PER_SECOND,
            "metadata": dict(conversation.metadata),
        }
    )


def _list(items: Sequence[StoredItem], has_more: bool) -> bytes:
    return b'{"object":"list","data":[%b],"first_id":%b,"last_id":%b,"has_more":%b}' % (
        b",".join(item.content for item in items),
        msgspec.json.encode(items[0].item_id if items else None),
        msgspec.json.encode(items[-1].item_id if items else None),
        b"true" if has_more else b"false",
    )
