"""The room's reading SQL; blobs come back as they are, sealed."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import asyncpg
import msgspec

from axon.base import KIB
from axon.conversations.history import WindowTurn
from axon.records import SealedItem, TokenUsage

WINDOW_LOAD_BYTES = 1024 * KIB
"""Sealed bytes of history that are loaded at most, the newest turn apart: above the context of
today's models at four bytes a token, compressed."""

WINDOW_LOAD_ITEMS = 4_000
"""Items that are loaded at most."""

PINNED_ITEMS_MAX = 256
"""Instructions from before the window that are loaded at most."""

STATE_COLUMNS = """created_us, updated_us, head_sequence, head_fence, metadata, title, model,
    implicit, archived, deleted_us IS NOT NULL AS deleted, forked_conversation_id, forked_item_id,
    cold"""

_STATES = f"""
SELECT id, {STATE_COLUMNS} FROM conversations.conversations
WHERE user_id = $1 AND id = ANY($2::text[])
"""  # noqa: S608 - constants

# Newest first until the bytes are full; the row that fills them is included, and of the newest
# turn every row is.
_NEWEST = """
SELECT sequence, turn_id, item_id, kind, author, model_tokens, blob, total FROM (
    SELECT *, sum(octet_length(blob)) OVER newest_first AS total,
        first_value(sequence) OVER newest_first AS newest
    FROM (
        SELECT sequence, index, turn_id, item_id, kind, author, model_tokens, blob
        FROM conversations.items
        WHERE user_id = $1 AND conversation_id = $2 AND sequence <= $3
        ORDER BY sequence DESC, index DESC LIMIT $4
    ) AS latest
    WINDOW newest_first AS (ORDER BY sequence DESC, index DESC)
) AS counted
WHERE total - octet_length(blob) < $5 OR sequence = newest
ORDER BY sequence DESC, index DESC
"""

_PINNED = """
SELECT sequence, turn_id, item_id, kind, author, model_tokens, blob FROM conversations.items
WHERE user_id = $1 AND conversation_id = $2 AND sequence < $3
    AND author IN ('system', 'developer')
ORDER BY sequence DESC, index DESC LIMIT $4
"""

_PAGE = """
SELECT sequence, index AS item_index, turn_id, item_id, kind, author, status, blob
FROM conversations.items
WHERE user_id = $1 AND conversation_id = $2 AND (sequence, index) {after} ($3, $4)
ORDER BY sequence {order}, index {order} LIMIT $5
"""

_PAGES = {
    "asc": _PAGE.format(after=">", order="ASC"),
    "desc": _PAGE.format(after="<", order="DESC"),
}

_ITEM = """
SELECT sequence, index AS item_index, turn_id, item_id, kind, author, status, blob
FROM conversations.items
WHERE user_id = $1 AND item_id = $2 AND conversation_id = $3
"""

_TURN = """
SELECT id, conversation_id, sequence, surface, model, status, reason, stored, answer,
    input_tokens, cached_tokens, output_tokens, reasoning_tokens, accepted_us, completed_us,
    without_history, EXISTS (
        SELECT FROM conversations.conversations AS c
        WHERE c.user_id = t.user_id AND c.id = t.conversation_id AND c.cold
    ) AS cold
FROM conversations.turns AS t WHERE user_id = $1 AND id = $2
"""

_TURN_ITEMS = """
SELECT sequence, index AS item_index, turn_id, item_id, kind, author, status, blob, output
FROM conversations.items
WHERE user_id = $1 AND conversation_id = $2 AND sequence = $3 AND turn_id = $4 ORDER BY index
"""


class StateRow(NamedTuple):
    """A conversation as projected."""

    created_us: int
    updated_us: int
    head_sequence: int
    head_fence: int
    metadata: dict[str, str]
    title: bytes | None
    """Sealed."""
    model: str | None
    implicit: bool
    archived: bool
    deleted: bool
    forked_conversation_id: str | None = None
    forked_item_id: str | None = None
    cold: bool = False
    """Whether the content of it is in the archive."""


class ItemRow(NamedTuple):
    """An item as projected, sealed."""

    sequence: int
    item_index: int
    turn_id: str
    item_id: str
    kind: str
    author: str
    status: str
    blob: bytes


class TurnRow(NamedTuple):
    """A turn as projected, its answer sealed."""

    turn_id: str
    conversation_id: str
    sequence: int
    surface: str
    model: str
    status: str
    reason: str
    stored: bool
    answer: bytes | None
    usage: TokenUsage
    accepted_us: int
    completed_us: int
    without_history: bool
    cold: bool = False
    """Whether what its conversation says is in the archive."""


def state_row(row: asyncpg.Record) -> StateRow:
    """Return the state in a row; columns that are no part of it are left out."""
    fields = {name: row[name] for name in StateRow._fields}
    fields["metadata"] = msgspec.json.decode(row["metadata"], type=dict[str, str])
    return StateRow(**fields)


async def read_states(
    connection: asyncpg.Connection, user: int, names: Sequence[str]
) -> dict[str, StateRow]:
    """Return those of the person's conversations that there are, also deleted ones."""
    if not names:
        return {}
    rows = await connection.fetch(_STATES, user, names)
    return {row["id"]: state_row(row) for row in rows}


async def read_window(
    connection: asyncpg.Connection, place: tuple[int, str], head_sequence: int
) -> tuple[list[WindowTurn], bool]:
    """Return the newest whole turns up to `head_sequence` and whether there are no others.

    Of turns that are left out, the items by system and developer authors are there.
    """
    rows = await connection.fetch(
        _NEWEST, *place, head_sequence, WINDOW_LOAD_ITEMS, WINDOW_LOAD_BYTES
    )
    complete = len(rows) < WINDOW_LOAD_ITEMS and (not rows or rows[-1]["total"] < WINDOW_LOAD_BYTES)
    if not complete:
        oldest = rows[-1]["sequence"]  # it may have been cut in the middle
        if oldest != rows[0]["sequence"]:
            rows = [row for row in rows if row["sequence"] != oldest]
        rows += await connection.fetch(_PINNED, *place, rows[-1]["sequence"], PINNED_ITEMS_MAX)
    return _turns(rows), complete


async def read_page(
    connection: asyncpg.Connection,
    place: tuple[int, str],
    page: tuple[Literal["asc", "desc"], tuple[int, int], int],
) -> list[ItemRow]:
    """Return the items of the page (order, place they follow, how many at most)."""
    order, after, limit = page
    rows = await connection.fetch(_PAGES[order], *place, *after, limit)
    return [ItemRow(**row) for row in rows]


async def read_item_row(
    connection: asyncpg.Connection, place: tuple[int, str], item_id: str
) -> ItemRow | None:
    """Return an item of the conversation."""
    row = await connection.fetchrow(_ITEM, place[0], item_id, place[1])
    return None if row is None else ItemRow(**row)


async def read_turn(connection: asyncpg.Connection, user: int, turn_id: str) -> TurnRow | None:
    """Return a turn without its items."""
    row = await connection.fetchrow(_TURN, user, turn_id)
    if row is None:
        return None
    fields: dict[str, Any] = dict(row)
    usage = {name: fields.pop(name) for name in _USAGE}
    return TurnRow(turn_id=fields.pop("id"), usage=TokenUsage(**usage), **fields)


async def read_turn_items(
    connection: asyncpg.Connection, user: int, turn: TurnRow
) -> tuple[list[ItemRow], list[ItemRow]]:
    """Return the turn's input and its output."""
    rows = await connection.fetch(
        _TURN_ITEMS, user, turn.conversation_id, turn.sequence, turn.turn_id
    )
    items: tuple[list[ItemRow], list[ItemRow]] = ([], [])
    for row in rows:
        *fields, output = row.values()
        items[output].append(ItemRow(*fields))
    return items


_USAGE = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")


def _turns(newest_first: list[asyncpg.Record]) -> list[WindowTurn]:
    """Group rows into turns, oldest first."""
    turns: list[WindowTurn] = []
    for row in reversed(newest_first):
        if not turns or turns[-1].sequence != row["sequence"]:
            turns.append(WindowTurn(row["turn_id"], row["sequence"], []))
        turns[-1].items.append(
            SealedItem(row["item_id"], row["kind"], row["author"], row["model_tokens"], row["blob"])
        )
    return turns
