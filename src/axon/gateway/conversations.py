"""`/v1/conversations`: OpenAI's eight calls."""

from collections.abc import Sequence

import msgspec

from axon.conversations import UNCHANGED, NewItem, Owner, StoredItem, Update
from axon.gateway.call import Call
from axon.gateway.conversation_object import Missing, owner_of, read_conversation, shown
from axon.gateway.door import Door
from axon.gateway.items import ITEMS_MAX, from_json
from axon.gateway.members import member, metadata, required
from axon.gateway.pages import page_limit, page_order
from axon.gateway.problem import RequestRefused, refuse
from axon.turns import Fields

TITLE_CHARS_MAX = 200
"""A line in a list of conversations; what is longer is no title."""


async def create_conversation(door: Door, call: Call) -> None:
    """Create a conversation, with metadata and up to 20 items."""
    body = await call.body(door.options.body_bytes_max)
    fields: Fields = {}
    if body.strip():
        fields = call.read_fields(body)
    owner = Owner(org_id=call.caller.org_id, user=door.subject(call, fields))
    items = _items(fields)
    pairs = metadata(fields) or {}
    key = door.request_key(call, owner, body)
    made = await door.conversations.changing.create(
        owner, call.caller.credential_id, pairs, items, key
    )
    await call.reply_value(shown(made))


async def get_conversation(door: Door, call: Call, conversation_id: str) -> None:
    """Answer with a conversation."""
    found = await read_conversation(door, call, conversation_id)
    await call.reply_value(shown(found))


async def update_conversation(door: Door, call: Call, conversation_id: str) -> None:
    """Replace a conversation's metadata, give it a title, archive it or take it back."""
    _, fields = await call.fields(door.options.body_bytes_max)
    owner = owner_of(door, call, conversation_id)
    update = _update(fields)
    with Missing(conversation_id):
        changed = await door.conversations.changing.update(
            owner, call.caller.credential_id, conversation_id, update
        )
    await call.reply_value(shown(changed))


def _update(fields: Fields) -> Update:
    """Return what is to be changed; a conversation's metadata is what OpenAI's clients name."""
    pairs = metadata(fields)
    archived = member(fields, "archived", bool)
    title = member(fields, "title", str)
    if title is not None and len(title) > TITLE_CHARS_MAX:
        message = f"Invalid 'title': at most {TITLE_CHARS_MAX} characters, but got {len(title)}."
        raise refuse(message, param="title", code="string_above_max_length")
    if pairs is None and archived is None and "title" not in fields:
        required(fields, "metadata", dict)
    return Update(
        metadata=UNCHANGED if pairs is None else pairs,
        title=title if "title" in fields else UNCHANGED,
        archived=UNCHANGED if archived is None else archived,
    )


async def delete_conversation(door: Door, call: Call, conversation_id: str) -> None:
    """Delete a conversation; with `?items=delete` also everything that was said in it."""
    owner = owner_of(door, call, conversation_id)
    items = call.query().get("items", "keep")
    if items not in ("keep", "delete"):
        message = f"Invalid value for 'items': {items!r}; use 'keep' or 'delete'."
        raise refuse(message, param="items", code="invalid_value")
    with Missing(conversation_id):
        await door.conversations.changing.delete(
            owner, call.caller.credential_id, conversation_id, with_items=items == "delete"
        )
    deleted = {"id": conversation_id, "object": "conversation.deleted", "deleted": True}
    await call.reply_value(deleted)


async def create_items(door: Door, call: Call, conversation_id: str) -> None:
    """Add up to 20 items to a conversation."""
    body, fields = await call.fields(door.options.body_bytes_max)
    owner = owner_of(door, call, conversation_id)
    if "items" not in fields:
        required(fields, "items", list)
    items = _items(fields)
    if not items:
        raise refuse("Invalid 'items': it is empty.", param="items", code="empty_array")
    with Missing(conversation_id):
        key = door.request_key(call, owner, body)
        added = await door.conversations.changing.append_items(
            owner, call.caller.credential_id, conversation_id, items, key
        )
    await call.reply_json(_list(added, has_more=False))


async def list_items(door: Door, call: Call, conversation_id: str) -> None:
    """Answer with one page of a conversation's items."""
    owner = owner_of(door, call, conversation_id)
    query = call.query()
    limit, order = page_limit(query), page_order(query)
    after = query.get("after") or None
    with Missing(conversation_id, after):
        page = await door.conversations.looking.list_items(
            owner, conversation_id, after=after, limit=limit, order=order
        )
    await call.reply_json(_list(page.items, page.has_more))


async def get_item(door: Door, call: Call, conversation_id: str, item_id: str) -> None:
    """Answer with one item."""
    owner = owner_of(door, call, conversation_id)
    with Missing(conversation_id, item_id):
        item = await door.conversations.looking.read_item(owner, conversation_id, item_id)
    await call.reply_json(item.content)


async def delete_item(door: Door, call: Call, conversation_id: str, item_id: str) -> None:
    """Delete one item; answer with the conversation."""
    owner = owner_of(door, call, conversation_id)
    with Missing(conversation_id, item_id):
        changed = await door.conversations.changing.delete_item(
            owner, call.caller.credential_id, conversation_id, item_id
        )
    await call.reply_value(shown(changed))


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


def _list(items: Sequence[StoredItem], has_more: bool) -> bytes:
    return b'{"object":"list","data":[%b],"first_id":%b,"last_id":%b,"has_more":%b}' % (
        b",".join(item.content for item in items),
        msgspec.json.encode(items[0].item_id if items else None),
        msgspec.json.encode(items[-1].item_id if items else None),
        b"true" if has_more else b"false",
    )
