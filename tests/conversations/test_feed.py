"""The feed: committed order, bounds, and what is no longer kept."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg
import msgspec
import pytest

from axon.conversations import (
    ConversationsProjector,
    CursorExpired,
    FeedChange,
    NotACursor,
    feed,
    feed_reading,
    feed_store,
)
from axon.projection import Positioned
from axon.records import Record, SubjectErased
from tests.conversations.scene import KEY, ORG, WAIT_S, Process, apply, message, query, text_of


async def all_changes(process: Process, cursor: str | None = None) -> list[FeedChange]:
    """Return every change since the cursor, or since the beginning."""
    found: list[FeedChange] = []
    more = True
    while more:
        page = await process.conversations.feed.read(
            process.owner(), cursor, 100, from_beginning=True
        )
        found += page.changes
        cursor, more = page.cursor, page.has_more
    return found


async def now(process: Process) -> str:
    await process.project()
    return (await process.conversations.feed.read(process.owner(), None, 1)).cursor


def told(changes: Sequence[FeedChange]) -> list[str]:
    return [
        " ".join([change.kind, *(text_of(item.content) for item in change.items)])
        for change in changes
    ]


def positioned(*records: Record) -> list[Positioned]:
    return [Positioned(instance="a", sequence=0, record=record) for record in records]


async def test_a_reader_waits_for_what_was_acknowledged(process: Process) -> None:
    cursor = await now(process)
    await process.conversation("a")
    reading = asyncio.ensure_future(all_changes(process, cursor))
    await asyncio.sleep(0)
    assert not reading.done()
    await process.project()
    assert told(await reading) == ["created", "item_added a"]


async def test_a_reader_does_not_wait_for_ever(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CATCH_UP_S", 0.0)
    cursor = await now(process)
    await process.conversation("a")
    assert await all_changes(process, cursor) == []


@pytest.mark.parametrize(("items_max", "bytes_max"), [(1, 10**9), (10**9, 1), (3, 10**9)])
async def test_a_page_is_bounded_and_nothing_is_cut(
    process: Process, monkeypatch: pytest.MonkeyPatch, items_max: int, bytes_max: int
) -> None:
    cursor = await now(process)
    conversation = await process.conversation("a", "b", "c")
    for text in "def":
        await process.say(conversation, text, text.upper())
    await process.project()
    whole = await all_changes(process, cursor)
    expected = ["created", "item_added a b c", *(f"item_added {t} {t.upper()}" for t in "def")]
    assert told(whole) == expected
    monkeypatch.setattr(feed_reading, "ITEMS_MAX", items_max)
    monkeypatch.setattr(feed_reading, "ITEM_BYTES_MAX", bytes_max)
    first = await process.conversations.feed.read(process.owner(), cursor, 100)
    assert first.has_more and len(first.changes) < len(whole)
    assert await all_changes(process, cursor) == whole


async def test_a_change_is_not_kept_for_ever(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_store, "EXPIRE_EVERY", 1)
    cursor = await now(process)
    conversation = await process.conversation("a")
    await process.project()
    middle = (await process.conversations.feed.read(process.owner(), cursor, 1)).cursor
    await query(process.node.database, "UPDATE conversations.changes SET at_us = 1")
    await process.say(conversation, "b", "c")
    await process.project()
    for late in (cursor, middle):
        with pytest.raises(CursorExpired):
            await process.conversations.feed.read(process.owner(), late, 1)
    assert told(await all_changes(process)) == ["item_added b c"]


async def test_a_cursor_of_a_lost_database_is_expired(process: Process) -> None:
    await process.conversation("a")
    cursor = await now(process)
    await query(process.node.database, "TRUNCATE conversations.changes, conversations.feeds")
    with pytest.raises(CursorExpired):
        await process.conversations.feed.read(process.owner(), cursor, 1)


async def test_who_was_erased_begins_anew(process: Process) -> None:
    cursor = await now(process)
    await process.conversation("a")
    await process.project()
    erased = SubjectErased("chg", ORG, 7, KEY, 1, "asked")
    await apply(process.node.database, positioned(erased))
    with pytest.raises(CursorExpired):
        await process.conversations.feed.read(process.owner(), cursor, 1)
    assert await all_changes(process) == []


async def test_another_persons_cursor_is_none(process: Process) -> None:
    cursor = await now(process)
    with pytest.raises(NotACursor):
        await process.conversations.feed.read(process.owner(8), cursor, 1)


async def test_items_that_a_higher_fence_replaces_are_told_as_deleted(process: Process) -> None:
    conversation = await process.conversation("a")
    cursor = await now(process)
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    await process.conversations.abort(begun)
    ids = []
    for rise, text in ((0, "loser"), (1, "winner")):
        head = msgspec.structs.replace(await process.head(begun), fence=begun.fence + rise)
        record, turn = await process.completed(head, text, "ok")
        ids.append(tuple(item.item_id for item in turn.items))
        await apply(process.node.database, positioned(record))
    found = await all_changes(process, cursor)
    assert [(change.kind, change.item_ids) for change in found] == [
        ("item_added", ids[0]),
        ("item_deleted", ids[0]),
        ("item_added", ids[1]),
    ]


@pytest.fixture
async def connections(process: Process) -> AsyncIterator[list[asyncpg.Connection]]:
    opened = [await asyncpg.connect(process.node.database, timeout=10) for _ in range(2)]
    yield opened
    for connection in opened:
        await connection.close()


async def waits_for_a_lock(database: str, connection: asyncpg.Connection) -> bool:
    process_id = connection.get_server_pid()
    sql = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $1"
    return await query(database, sql, process_id) == [("Lock",)]


async def test_projectors_commit_a_persons_changes_in_the_order_of_their_numbers(
    process: Process, connections: list[asyncpg.Connection]
) -> None:
    """Else a reader could see a number, go on behind it, and never see a lower one."""
    cursor = await now(process)
    before = len(await process.records())
    for text in "ab":
        made = await process.conversations.changing.create(
            process.owner(), KEY, {}, [message("user", text)]
        )
        assert made.head_sequence == 1
    one, two = [[record] for record in (await process.records())[before:]]
    first, second = connections
    transaction = first.transaction()
    await transaction.start()
    await ConversationsProjector().apply(first, one)

    async def apply_second() -> None:
        async with second.transaction():
            await ConversationsProjector().apply(second, two)

    later = asyncio.ensure_future(apply_second())
    while not await waits_for_a_lock(process.node.database, second):
        assert not later.done()
    process.conversations.tail.prune(process.journal.durable_through)
    assert await all_changes(process, cursor) == []
    await transaction.commit()
    await later
    assert told(await all_changes(process, cursor)) == [
        *("created", "item_added a"),
        *("created", "item_added b"),
    ]
