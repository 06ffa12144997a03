"""Reading the feed out of PostgreSQL: changes, and what they speak of as it now is."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from axon.base import MIB
from axon.conversations.changes import ITEM_ADDED, Change
from axon.conversations.feed_store import RETENTION_US
from axon.conversations.store import ItemRow

ITEMS_MAX = 2_000
"""Items shown on a page at most, and as many as one record holds."""

ITEM_BYTES_MAX = 4 * MIB
"""Sealed bytes shown on a page; the first change is shown whole, whatever it weighs."""

_FEED = "SELECT position, expired_through FROM conversations.feeds WHERE user_id = $1"

_CHANGES = """
SELECT position, at_us, conversation_id, sequence, kind, turn_id, item_ids
FROM conversations.changes WHERE user_id = $1 AND position > $2 ORDER BY position LIMIT $3
"""

_OF_CONVERSATION = """
SELECT position, at_us, conversation_id, sequence, kind, turn_id, item_ids
FROM conversations.changes
WHERE user_id = $1 AND conversation_id = $2 AND sequence > $3
ORDER BY sequence, position LIMIT $4
"""

_EXPIRED_PLACES = """
SELECT EXISTS (
    SELECT FROM conversations.places
    WHERE user_id = $1 AND conversation_id = $2 AND sequence > $3
        AND at_us < extract(epoch FROM now()) * 1000000 - $4
)
"""

# Beyond the bytes a row says which item it is, and no more.
_ITEMS = """
SELECT place, conversation_id, sequence, index AS item_index, turn_id, item_id, kind, author,
    status, CASE WHEN place <= $4 OR total - size < $5 THEN blob END AS blob
FROM (
    SELECT wanted.place, i.*, octet_length(i.blob) AS size,
        sum(octet_length(i.blob)) OVER (ORDER BY wanted.place) AS total
    FROM unnest($2::text[], $3::text[]) WITH ORDINALITY
        AS wanted (conversation_id, item_id, place)
    JOIN conversations.items AS i ON i.user_id = $1
        AND i.item_id = wanted.item_id AND i.conversation_id = wanted.conversation_id
) AS counted ORDER BY place
"""


class FeedRow(NamedTuple):
    """How far a person's feed has come, and from where on it is whole."""

    position: int
    expired_through: int


class PlacedFeedChange(NamedTuple):
    """A change as the feed has it."""

    position: int
    at_us: int
    conversation_id: str
    sequence: int
    change: Change


async def read_feed(connection: asyncpg.Connection, user: int) -> FeedRow:
    """Return the state of the person's feed, also of one that has nothing yet."""
    row = await connection.fetchrow(_FEED, user)
    return FeedRow(0, 0) if row is None else FeedRow(*row)


async def read_changes(
    connection: asyncpg.Connection, user: int, after: int, limit: int
) -> list[PlacedFeedChange]:
    """Return the person's changes behind the position `after`."""
    return _changes(await connection.fetch(_CHANGES, user, after, limit))


async def read_conversation_changes(
    connection: asyncpg.Connection, place: tuple[int, str], after: int, limit: int
) -> list[PlacedFeedChange]:
    """Return the changes of a conversation (user, id) behind its sequence `after`."""
    return _changes(await connection.fetch(_OF_CONVERSATION, *place, after, limit))


async def has_expired_places(
    connection: asyncpg.Connection, place: tuple[int, str], after: int
) -> bool:
    """Return whether changes of (user, conversation) behind the sequence may be gone already."""
    expired: bool = await connection.fetchval(_EXPIRED_PLACES, *place, after, RETENTION_US)
    return expired


def _changes(rows: Sequence[asyncpg.Record]) -> list[PlacedFeedChange]:
    return [
        PlacedFeedChange(position, at_us, name, sequence, Change(kind, turn_id, item_ids))
        for position, at_us, name, sequence, kind, turn_id, item_ids in rows
    ]


class ShownItems(NamedTuple):
    """The items that a run of changes added and that are still there."""

    items: dict[tuple[str, str], ItemRow]
    """By conversation and item."""
    changes: int
    """How many of the changes, from the first, are shown whole."""


async def read_items(
    connection: asyncpg.Connection, user: int, changes: Sequence[PlacedFeedChange]
) -> ShownItems:
    """Return the added items of as many changes as fit on a page, of the first in any case."""
    wanted: list[tuple[str, str]] = []
    ends: list[int] = []
    for one in changes:
        added = one.change.item_ids if one.change.kind == ITEM_ADDED else ()
        if ends and len(wanted) + len(added) > ITEMS_MAX:
            break
        wanted += [(one.conversation_id, item_id) for item_id in added]
        ends.append(len(wanted))
    if not wanted:
        return ShownItems({}, len(ends))
    columns = [list(column) for column in zip(*wanted, strict=True)]
    rows = await connection.fetch(_ITEMS, user, *columns, ends[0], ITEM_BYTES_MAX)
    items: dict[tuple[str, str], ItemRow] = {}
    for found in rows:
        place, name, *_ = found
        if found["blob"] is None:
            return ShownItems(items, sum(end < place for end in ends))
        row = ItemRow(**{column: found[column] for column in ItemRow._fields})
        items[name, row.item_id] = row
    return ShownItems(items, len(ends))
