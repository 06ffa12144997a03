"""The projector's SQL: whole batches as arrays, never row by row."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import asyncpg

from axon.conversations.changes import ITEM_DELETED, Change
from axon.conversations.feed_store import ChangeRow, write_changes

Conversation = tuple[int, str]
"""A conversation: user and id."""

_LOCK_HEADS = """
SELECT c.user_id, c.id, c.head_sequence, c.head_fence, c.deleted_us IS NOT NULL AS deleted,
    c.implicit
FROM conversations.conversations AS c
JOIN unnest($1::bigint[], $2::text[]) AS wanted (user_id, id)
    ON c.user_id = wanted.user_id AND c.id = wanted.id
ORDER BY c.user_id, c.id FOR UPDATE OF c
"""

_FENCES = """
SELECT p.user_id, p.conversation_id, p.sequence, p.fence
FROM conversations.places AS p
JOIN unnest($1::bigint[], $2::text[], $3::int[]) AS wanted (user_id, conversation_id, sequence)
    ON p.user_id = wanted.user_id AND p.conversation_id = wanted.conversation_id
    AND p.sequence = wanted.sequence
"""

_CONVERSATIONS = """
INSERT INTO conversations.conversations AS c
    (user_id, id, org_id, created_us, updated_us, head_sequence, head_fence, model, implicit)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::int[],
    $7::bigint[], $8::text[], $9::boolean[])
ON CONFLICT (user_id, id) DO UPDATE SET
    updated_us = excluded.updated_us,
    head_sequence = excluded.head_sequence,
    head_fence = excluded.head_fence,
    model = coalesce(excluded.model, c.model)
"""

# A member that is not named stays; a title is named by `retitled`, for NULL takes it away.
_MEMBERS = """
UPDATE conversations.conversations AS c SET
    metadata = coalesce(new.metadata::jsonb, c.metadata),
    title = CASE WHEN new.retitled THEN new.title ELSE c.title END,
    archived = coalesce(new.archived, c.archived),
    forked_conversation_id = coalesce(new.forked_conversation_id, c.forked_conversation_id),
    forked_item_id = coalesce(new.forked_item_id, c.forked_item_id)
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::bytea[], $6::boolean[],
    $7::text[], $8::text[]) AS new (user_id, id, metadata, retitled, title, archived,
    forked_conversation_id, forked_item_id)
WHERE c.user_id = new.user_id AND c.id = new.id
"""

# A turn whose conversation was deleted with its items leaves nothing, however late it is told.
_TURNS = """
INSERT INTO conversations.turns AS t (user_id, id, org_id, conversation_id, sequence,
    credential_id, surface, model, status, reason, stored, answer, input_tokens, cached_tokens,
    output_tokens, reasoning_tokens, upstream, accepted_us, first_token_us, completed_us,
    without_history)
SELECT new.* FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[],
    $7::text[], $8::text[], $9::text[], $10::text[], $11::boolean[], $12::bytea[], $13::int[],
    $14::int[], $15::int[], $16::int[], $17::text[], $18::bigint[], $19::bigint[], $20::bigint[],
    $21::boolean[])
    AS new (user_id, id, org_id, conversation_id)
WHERE NOT EXISTS (
    SELECT FROM conversations.conversations AS c
    WHERE c.user_id = new.user_id AND c.id = new.conversation_id AND c.items_deleted
)
ON CONFLICT (user_id, id) DO UPDATE SET
    conversation_id = excluded.conversation_id, sequence = excluded.sequence,
    status = excluded.status, reason = excluded.reason,
    answer = excluded.answer, input_tokens = excluded.input_tokens,
    cached_tokens = excluded.cached_tokens, output_tokens = excluded.output_tokens,
    reasoning_tokens = excluded.reasoning_tokens, upstream = excluded.upstream,
    first_token_us = excluded.first_token_us, completed_us = excluded.completed_us
WHERE t.status = 'in_progress' AND excluded.status <> 'in_progress'
"""

_REPLACED_ITEMS = """
SELECT i.user_id, i.conversation_id, i.sequence,
    (extract(epoch FROM now()) * 1000000)::bigint AS at_us,
    array_agg(i.item_id ORDER BY i.index) AS item_ids
FROM conversations.items AS i
JOIN unnest($1::bigint[], $2::text[], $3::int[]) AS place (user_id, conversation_id, sequence)
    ON i.user_id = place.user_id AND i.conversation_id = place.conversation_id
    AND i.sequence = place.sequence
JOIN conversations.conversations AS c ON c.user_id = i.user_id AND c.id = i.conversation_id
WHERE NOT c.implicit AND c.deleted_us IS NULL
GROUP BY i.user_id, i.conversation_id, i.sequence
"""

_CLEAR_PLACES = """
WITH replaced AS (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::int[])
        AS place (user_id, conversation_id, sequence)
), items AS (
    DELETE FROM conversations.items AS i USING replaced AS r
    WHERE i.user_id = r.user_id AND i.conversation_id = r.conversation_id
        AND i.sequence = r.sequence
)
DELETE FROM conversations.places AS p USING replaced AS r
WHERE p.user_id = r.user_id AND p.conversation_id = r.conversation_id AND p.sequence = r.sequence
"""

# One that is in the archive stays away when its conversation comes back.
_DELETE_ITEMS = """
WITH gone AS (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[])
        AS gone (user_id, conversation_id, item_id)
), cold AS (
    UPDATE conversations.cold AS c SET gone = c.gone || away.item_ids
    FROM (
        SELECT user_id, conversation_id, array_agg(item_id) AS item_ids FROM gone
        GROUP BY user_id, conversation_id
    ) AS away
    WHERE c.user_id = away.user_id AND c.conversation_id = away.conversation_id
)
DELETE FROM conversations.items AS i USING gone
WHERE i.user_id = gone.user_id AND i.item_id = gone.item_id
    AND i.conversation_id = gone.conversation_id
"""

_FORGET_TURNS = """
UPDATE conversations.turns AS t SET stored = false, answer = NULL
FROM unnest($1::bigint[], $2::text[]) AS gone (user_id, id)
WHERE t.user_id = gone.user_id AND t.id = gone.id
"""

# As OpenAI means it: the items and the answers stay with the responses that made them.
_DELETE_CONVERSATIONS = """
UPDATE conversations.conversations AS c
SET deleted_us = gone.at_us, metadata = '{}', title = NULL
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS gone (user_id, id, at_us)
WHERE c.user_id = gone.user_id AND c.id = gone.id AND c.deleted_us IS NULL
"""

# What is left says that it was deleted, and which numbers its places had.
_DELETE_WITH_ITEMS = """
WITH gone AS (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS gone (user_id, id, at_us)
), items AS (
    DELETE FROM conversations.items AS i USING gone
    WHERE i.user_id = gone.user_id AND i.conversation_id = gone.id
), turns AS (
    DELETE FROM conversations.turns AS t USING gone
    WHERE t.user_id = gone.user_id AND t.conversation_id = gone.id
), changes AS (
    DELETE FROM conversations.changes AS f USING gone
    WHERE f.user_id = gone.user_id AND f.conversation_id = gone.id AND f.kind <> 'deleted'
), cold AS (
    DELETE FROM conversations.cold AS a USING gone
    WHERE a.user_id = gone.user_id AND a.conversation_id = gone.id
)
UPDATE conversations.conversations AS c
SET deleted_us = gone.at_us, items_deleted = true, cold = false, metadata = '{}', title = NULL,
    forked_conversation_id = NULL, forked_item_id = NULL
FROM gone
WHERE c.user_id = gone.user_id AND c.id = gone.id
"""

# Ids, times and counts stay: what was used is still billed. Who follows the feed begins anew.
_ERASE_PERSON = """
WITH items AS (DELETE FROM conversations.items WHERE user_id = $1),
turns AS (UPDATE conversations.turns SET answer = NULL WHERE user_id = $1),
changes AS (DELETE FROM conversations.changes WHERE user_id = $1),
cold AS (DELETE FROM conversations.cold WHERE user_id = $1),
feeds AS (UPDATE conversations.feeds SET expired_through = position WHERE user_id = $1)
UPDATE conversations.conversations SET metadata = '{}', title = NULL, cold = false
WHERE user_id = $1
"""

_END_LEASES = """
DELETE FROM conversations.leases AS l
USING unnest($1::bigint[], $2::text[], $3::int[]) AS came (user_id, conversation_id, head_sequence)
WHERE l.user_id = came.user_id AND l.conversation_id = came.conversation_id
    AND l.head_sequence <= came.head_sequence AND l.expires_at < clock_timestamp()
"""


class Head(NamedTuple):
    """How far a conversation is projected."""

    sequence: int
    fence: int
    deleted: bool
    implicit: bool


NO_HEAD = Head(0, 0, deleted=False, implicit=False)


async def lock_heads(
    connection: asyncpg.Connection, places: Iterable[Conversation]
) -> dict[Conversation, Head]:
    """Return the heads of those conversations that exist, locked against other projectors."""
    rows = await connection.fetch(_LOCK_HEADS, *_columns(set(places), 2))
    return {
        (user, name): Head(sequence, fence, deleted, implicit)
        for user, name, sequence, fence, deleted, implicit in rows
    }


async def find_fences(
    connection: asyncpg.Connection, places: Sequence[tuple[int, str, int]]
) -> dict[tuple[int, str, int], int]:
    """Return the fence of what stands at each of the places (user, conversation, sequence)."""
    if not places:
        return {}
    rows = await connection.fetch(_FENCES, *_columns(places, 3))
    return {(row[0], row[1], row[2]): row[3] for row in rows}


class Rows(NamedTuple):
    """What a batch writes, as rows of the tables' columns."""

    conversations: list[tuple[Any, ...]]
    members: list[tuple[Any, ...]]
    turns: list[tuple[Any, ...]]
    replaced: list[tuple[int, str, int]]
    places: list[tuple[Any, ...]]
    items: list[tuple[Any, ...]]
    deleted_items: list[tuple[int, str, str]]
    forgotten_turns: list[tuple[int, str]]
    deleted: list[tuple[int, str, int]]
    deleted_with_items: list[tuple[int, str, int]]
    changes: list[ChangeRow]
    ended_leases: list[tuple[int, str, int]]


async def write_rows(connection: asyncpg.Connection, rows: Rows) -> None:
    """Write them all; what is taken away goes last, so that it may be of the same batch."""
    await _execute(connection, _CONVERSATIONS, rows.conversations)
    await _execute(connection, _MEMBERS, rows.members)
    await _execute(connection, _TURNS, rows.turns)
    taken_away = await _replaced_items(connection, rows.replaced)
    await _execute(connection, _CLEAR_PLACES, rows.replaced)
    await _copy(connection, "places", _PLACE_COLUMNS, rows.places)
    await _copy(connection, "items", _ITEM_COLUMNS, rows.items)
    await _execute(connection, _DELETE_ITEMS, rows.deleted_items)
    await _execute(connection, _FORGET_TURNS, rows.forgotten_turns)
    await write_changes(connection, [*taken_away, *rows.changes])
    await _execute(connection, _DELETE_CONVERSATIONS, rows.deleted)
    await _execute(connection, _DELETE_WITH_ITEMS, rows.deleted_with_items)
    await _execute(connection, _END_LEASES, rows.ended_leases)


async def _replaced_items(
    connection: asyncpg.Connection, places: Sequence[tuple[int, str, int]]
) -> list[ChangeRow]:
    """Return the deletion of the items that another record puts its own in place of."""
    if not places:
        return []
    rows = await connection.fetch(_REPLACED_ITEMS, *_columns(places, 3))
    return [
        ChangeRow(user, conversation_id, sequence, at_us, Change(ITEM_DELETED, "", item_ids))
        for user, conversation_id, sequence, at_us, item_ids in rows
    ]


async def erase_person(connection: asyncpg.Connection, user: int) -> None:
    """Delete what the person wrote or could be known by."""
    await connection.execute(_ERASE_PERSON, user)


_PLACE_COLUMNS = ("user_id", "conversation_id", "sequence", "fence", "origin_id", "at_us")
_ITEM_COLUMNS = (
    *("user_id", "conversation_id", "sequence", "index", "item_id", "turn_id", "output"),
    *("kind", "author", "status", "model_tokens", "blob", "created_us"),
)


def without_nul(text: str) -> str:
    """Return the text as PostgreSQL can hold it: no record may be kept out by a NUL in it."""
    return text.replace("\0", "")


async def _execute(
    connection: asyncpg.Connection, sql: str, rows: Sequence[tuple[Any, ...]]
) -> None:
    if rows:
        await connection.execute(sql, *_columns(rows, len(rows[0])))


async def _copy(
    connection: asyncpg.Connection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    if rows:
        records = zip(*_columns(rows, len(columns)), strict=True)
        await connection.copy_records_to_table(
            table, schema_name="conversations", columns=columns, records=records
        )


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    """Turn rows into one array per column."""
    return [_storable(column) for column in zip(*rows, strict=True)] or [()] * width


def _storable(column: Sequence[Any]) -> Sequence[Any]:
    """Return a column's values, its texts (or None) as PostgreSQL can hold them."""
    if not any(isinstance(value, str) for value in column):
        return column
    return [value and without_nul(value) for value in column]
