"""Deleted with its items, a conversation leaves nothing: every table and every key is searched."""

from collections.abc import Iterable

import msgspec
import pytest

from axon.conversations import Update
from axon.records import (
    ConversationChanged,
    ItemsAppended,
    Record,
    SealedItem,
    TurnCompleted,
)
from axon.stores import ValkeyReply
from tests.conversations.scene import KEY, WAIT_S, Process, apply, message, query

TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
"""


def blobs_of(record: Record) -> list[bytes]:
    """Return everything sealed that the record holds."""
    items: list[SealedItem] = []
    blobs: list[bytes] = []
    if isinstance(record, TurnCompleted):
        items, blobs = [*record.input, *record.output], [record.answer, record.events]
    elif isinstance(record, ConversationChanged):
        items, blobs = record.items, [record.title]
    elif isinstance(record, ItemsAppended):
        items = record.items
    return [blob for blob in (*blobs, *(item.blob for item in items)) if blob]


def flat(reply: ValkeyReply) -> bytes:
    if isinstance(reply, list):
        return b"\n".join(flat(part) for part in reply)
    return reply if isinstance(reply, bytes) else str(reply).encode()


async def stored(process: Process) -> bytes:
    """Return every row of every table and every value in Valkey, as one text."""
    found = []
    for schema, table in await query(process.node.database, TABLES):
        for (row,) in await query(process.node.database, f"SELECT t::text FROM {schema}.{table} t"):
            found.append(row.encode())
    for key in await in_valkey(process):
        found += [key, await value_of(process, key)]
    return b"\n".join(found)


async def in_valkey(process: Process) -> list[bytes]:
    keys = await process.valkey.call("KEYS", "*")
    assert isinstance(keys, list)
    return [key for key in keys if isinstance(key, bytes)]


async def value_of(process: Process, key: bytes) -> bytes:
    kind = await process.valkey.call("TYPE", key)
    reads: dict[bytes, tuple[bytes | str | int, ...]] = {
        b"hash": ("HGETALL", key),
        b"list": ("LRANGE", key, 0, -1),
    }
    return flat(await process.valkey.call(*reads[flat(kind)]))


def holds(text: bytes, blobs: Iterable[bytes]) -> list[bool]:
    """Return which of the blobs are in the text, raw or as PostgreSQL prints them."""
    return [blob in text or blob.hex().encode() in text for blob in blobs]


async def full_conversation(process: Process) -> tuple[str, list[bytes]]:
    """Return a conversation with all there can be of one, and every blob of it."""
    before = len(await process.records())
    name = await process.conversation("first secret")
    begun = await process.conversations.begin(process.owner(), name, WAIT_S)
    head = await process.head(begun)
    await process.append(await process.accepted(head))
    record, turn = await process.completed(head, "asked secret", "told secret")
    events, _ = await process.seal(head, "assistant", "shown secret")
    await process.append(msgspec.structs.replace(record, events=events.blob))
    await process.conversations.commit(begun, turn)
    owner = process.owner()
    await process.conversations.changing.append_items(
        owner, KEY, name, [message("user", "added secret")]
    )
    update = Update(title="secret title", metadata={"secret key": "secret value"})
    await process.conversations.changing.update(owner, KEY, name, update)
    records = (await process.records())[before:]
    return name, [blob for one in records for blob in blobs_of(one.record)]


@pytest.mark.parametrize("projected", [True, False])
async def test_nothing_is_left(process: Process, projected: bool) -> None:
    other, kept = await full_conversation(process)
    name, blobs = await full_conversation(process)
    if projected:
        await process.project()
        text = await stored(process)
        assert all(holds(text, blobs)) and b"secret value" in text
    assert len(blobs) == len(kept) == 7
    keys = await in_valkey(process)
    assert sum(name.encode() in key for key in keys) == 2
    await process.conversations.changing.delete(process.owner(), KEY, name, with_items=True)
    assert not any(name.encode() in key for key in await in_valkey(process))
    await process.conversations.changing.delete_item(
        process.owner(), KEY, other, (await first_item(process, other))
    )
    update = Update(title=None, metadata={})
    await process.conversations.changing.update(process.owner(), KEY, other, update)
    await process.project()
    text = await stored(process)
    assert not any(holds(text, blobs))
    assert b"secret" not in text
    # Of the other, its first item and its title have gone, and nothing else.
    assert holds(text, kept) == [False, *[True] * 5, False]


async def first_item(process: Process, name: str) -> str:
    page = await process.conversations.looking.list_items(
        process.owner(), name, after=None, limit=1, order="asc"
    )
    return page.items[0].item_id


async def test_an_item_takes_the_events_of_its_turn_along(process: Process) -> None:
    name, blobs = await full_conversation(process)
    page = await process.conversations.looking.list_items(
        process.owner(), name, after=None, limit=3, order="asc"
    )
    await process.project()
    told = page.items[2]
    assert b"told secret" in told.content
    await process.conversations.changing.delete_item(process.owner(), KEY, name, told.item_id)
    await process.project()
    gone = [not one for one in holds(await stored(process), blobs)]
    assert sum(gone) == 2  # the item, and what was shown while it was said


@pytest.mark.parametrize("together", [True, False])
async def test_a_turn_that_is_told_late_leaves_nothing(process: Process, together: bool) -> None:
    """The same records again, as after a projector that died: nothing comes back."""
    name, blobs = await full_conversation(process)
    await process.conversations.changing.delete(process.owner(), KEY, name, with_items=True)
    await process.project()
    records = await process.records()
    for part in [records] if together else [[one] for one in records]:
        await apply(process.node.database, part)
    assert not any(holds(await stored(process), blobs))
    turns = await query(process.node.database, "SELECT id FROM conversations.turns")
    assert turns == []
