"""The SQL of the comparison: whole batches of what is wanted, and the database against itself."""

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg

from axon.app.reconcile.difference import NAMED_MAX, Findings
from axon.app.reconcile.expected import Place
from axon.metering import ROLLUPS

STATEMENT_TIMEOUT_S = 600.0
"""A check of a whole table may take long; a frozen server must not hold it for ever."""

_TURNS = """
SELECT t.user_id, t.id, t.status, t.input_tokens, t.cached_tokens, t.output_tokens,
    t.reasoning_tokens
FROM conversations.turns AS t
JOIN unnest($1::bigint[], $2::text[]) AS wanted (user_id, id)
    ON t.user_id = wanted.user_id AND t.id = wanted.id
"""

_METERED = """
SELECT t.user_id, t.turn_id, t.input_tokens, t.cached_tokens, t.cache_write_tokens,
    t.output_tokens, t.reasoning_tokens, t.currency, t.cost_nano,
    t.overage_nano
FROM metering.turns AS t
JOIN unnest($1::bigint[], $2::text[]) AS wanted (user_id, id)
    ON t.user_id = wanted.user_id AND t.turn_id = wanted.id
"""

_EVENTS = """
SELECT e.org_id, e.source, e.id
FROM metering.events AS e
JOIN unnest($1::text[], $2::text[], $3::text[]) AS wanted (org_id, source, id)
    ON e.org_id = wanted.org_id AND e.source = wanted.source AND e.id = wanted.id
"""

_PLACES = """
SELECT p.user_id, p.conversation_id, p.sequence, p.fence, p.origin_id,
    coalesce(array_agg(i.item_id ORDER BY i.index) FILTER (WHERE i.item_id IS NOT NULL), '{}')
        AS item_ids,
    EXISTS (
        SELECT FROM conversations.cold AS f
        WHERE f.user_id = p.user_id AND f.conversation_id = p.conversation_id
    ) AS cold
FROM unnest($1::bigint[], $2::text[], $3::int[]) AS wanted (user_id, conversation_id, sequence)
JOIN conversations.places AS p USING (user_id, conversation_id, sequence)
LEFT JOIN conversations.items AS i USING (user_id, conversation_id, sequence)
GROUP BY p.user_id, p.conversation_id, p.sequence
"""

_CONVERSATIONS = """
SELECT c.user_id, c.id, c.head_sequence, c.head_fence,
    c.deleted_us IS NOT NULL AS deleted, c.items_deleted
FROM conversations.conversations AS c
JOIN unnest($1::bigint[], $2::text[]) AS wanted (user_id, id)
    ON c.user_id = wanted.user_id AND c.id = wanted.id
"""

_KEYS = """
SELECT k.user_id, k.key_mac, k.object_id, k.at_us
FROM conversations.idempotency_keys AS k
JOIN unnest($1::bigint[], $2::bytea[]) AS wanted (user_id, key_mac)
    ON k.user_id = wanted.user_id AND k.key_mac = wanted.key_mac
"""

_PARKED = """
SELECT sequence FROM projection.parked
WHERE room = $1 AND instance = $2 AND sequence BETWEEN $3 AND $4
"""


def _rolled_up(table: str) -> str:
    """Return the query for organizations whose sums are not those of their turns."""
    sums = (
        "sum(%s)::text || ' turns, ' || sum(%s)::text || ' tokens, ' || sum(cost_nano)::text"
        " || ' with ' || sum(overage_nano)::text || ' of overage'"
    )
    of_table = sums % ("requests_count", "input_tokens + output_tokens")
    of_turns = sums % ("requests", "tokens")
    return f"""
SELECT coalesce(kept.org_id, wanted.org_id), coalesce(nullif(currency, ''), 'no currency'),
    coalesce(kept.sums, 'nothing'), coalesce(wanted.sums, 'nothing')
FROM (
    SELECT org_id, currency, {of_table} AS sums FROM metering.{table} GROUP BY org_id, currency
) AS kept FULL JOIN (
    SELECT org_id, currency, {of_turns} AS sums FROM (
        SELECT org_id, currency, 1 AS requests, input_tokens::bigint + output_tokens AS tokens,
            cost_nano::bigint, overage_nano FROM metering.turns
        UNION ALL SELECT org_id, currency, 0, 0, cost_nano, overage_nano FROM metering.corrections
    ) AS told GROUP BY org_id, currency
) AS wanted USING (org_id, currency)
WHERE kept.sums IS DISTINCT FROM wanted.sums
"""  # noqa: S608 - names of ours alone


_CHECKS = {
    ("conversation", "its head is {0}, but its places end with {1} and are {2}"): """
SELECT coalesce(c.id, p.conversation_id), coalesce(c.head_sequence, 0), coalesce(p.last, 0),
    coalesce(p.places, 0)
FROM conversations.conversations AS c
FULL JOIN (
    SELECT user_id, conversation_id, max(sequence) AS last, count(*) AS places
    FROM conversations.places GROUP BY user_id, conversation_id
) AS p ON p.user_id = c.user_id AND p.conversation_id = c.id
WHERE c.head_sequence IS DISTINCT FROM p.last OR c.head_sequence IS DISTINCT FROM p.places
""",
    ("conversation", "its head has fence {0}, the place there {1}"): """
SELECT c.id, c.head_fence, p.fence FROM conversations.conversations AS c
JOIN conversations.places AS p ON p.user_id = c.user_id AND p.conversation_id = c.id
    AND p.sequence = c.head_sequence
WHERE p.fence <> c.head_fence
""",
    ("item", "it is of {0}, but {1} stands at place {2} of {3}"): """
SELECT i.item_id, i.turn_id, coalesce(p.origin_id, 'nothing'), i.sequence, i.conversation_id
FROM conversations.items AS i
LEFT JOIN conversations.places AS p USING (user_id, conversation_id, sequence)
WHERE p.origin_id IS DISTINCT FROM i.turn_id
""",
    ("item", "it is {0} times in {1}"): """
SELECT item_id, count(*), conversation_id FROM conversations.items
GROUP BY user_id, conversation_id, item_id HAVING count(*) > 1
""",
    ("turn", "it ended, but nothing stands at its place {0} of {1}"): """
SELECT t.id, t.sequence, t.conversation_id FROM conversations.turns AS t
LEFT JOIN conversations.places AS p USING (user_id, conversation_id, sequence)
WHERE t.conversation_id <> '' AND t.sequence > 0 AND t.status <> 'in_progress'
    AND p.origin_id IS NULL
""",
    **{
        (table, "its sums of {0} are {1}, those of its turns {2}"): _rolled_up(table)
        for table in ROLLUPS
    },
    ("parked", "room {0} does not have it ({1}): {2}"): """
SELECT instance || ':' || sequence, room, state, error FROM projection.parked ORDER BY place
""",
}
"""What holds of the database alone, at any moment: each finding in words, and who breaks it."""

_COUNTS = {
    "conversations": "SELECT count(*) FROM conversations.conversations",
    "places": "SELECT count(*) FROM conversations.places",
    "items": "SELECT count(*) FROM conversations.items",
    "turns": "SELECT count(*) FROM conversations.turns",
    "turns in progress": ("SELECT count(*) FROM conversations.turns WHERE status = 'in_progress'"),
    "tokens": "SELECT coalesce(sum(input_tokens + output_tokens), 0) FROM conversations.turns",
    "turns metered": "SELECT count(*) FROM metering.turns",
    "nano-units charged": "SELECT coalesce(sum(cost_nano), 0)::bigint FROM metering.turns",
    "outside events": "SELECT count(*) FROM metering.events",
    "nano-units corrected": (
        "SELECT coalesce(sum(cost_nano), 0)::bigint FROM metering.corrections"
    ),
    "idempotency keys": "SELECT count(*) FROM conversations.idempotency_keys",
    "parked": "SELECT count(*) FROM projection.parked",
}


async def _fetch(
    connection: asyncpg.Connection, sql: str, rows: Iterable[tuple[Any, ...]], width: int
) -> list[asyncpg.Record]:
    columns: list[list[Any]] = [[] for _ in range(width)]
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    if not columns[0]:
        return []
    found: list[asyncpg.Record] = await connection.fetch(sql, *columns, timeout=STATEMENT_TIMEOUT_S)
    return found


async def read_turns(
    connection: asyncpg.Connection, wanted: Iterable[tuple[int, str]]
) -> dict[tuple[int, str], asyncpg.Record]:
    """Return the rows of those turns (user, id) that there are."""
    return {(row[0], row[1]): row for row in await _fetch(connection, _TURNS, wanted, 2)}


async def read_metered(
    connection: asyncpg.Connection, wanted: Iterable[tuple[int, str]]
) -> dict[tuple[int, str], asyncpg.Record]:
    """Return the rows of those metered turns (user, id) that there are."""
    return {(row[0], row[1]): row for row in await _fetch(connection, _METERED, wanted, 2)}


async def read_events(
    connection: asyncpg.Connection, wanted: Iterable[tuple[str, str, str]]
) -> set[tuple[str, str, str]]:
    """Return those outside events (organization, source, id) that there are."""
    return {(row[0], row[1], row[2]) for row in await _fetch(connection, _EVENTS, wanted, 3)}


async def read_places(
    connection: asyncpg.Connection, wanted: Iterable[Place]
) -> dict[Place, asyncpg.Record]:
    """Return fence, origin_id and item_ids, in order, of those places that there are."""
    return {(row[0], row[1], row[2]): row for row in await _fetch(connection, _PLACES, wanted, 3)}


async def read_conversations(
    connection: asyncpg.Connection, wanted: Iterable[tuple[int, str]]
) -> dict[tuple[int, str], asyncpg.Record]:
    """Return the heads of those conversations (user, id) that there are, deleted ones too."""
    found = await _fetch(connection, _CONVERSATIONS, wanted, 2)
    return {(row[0], row[1]): row for row in found}


async def read_keys(
    connection: asyncpg.Connection, wanted: Iterable[tuple[int, bytes]]
) -> dict[tuple[int, bytes], asyncpg.Record]:
    """Return what those idempotency keys (user, hash) stand for."""
    return {(row[0], row[1]): row for row in await _fetch(connection, _KEYS, wanted, 2)}


async def read_parked(
    connection: asyncpg.Connection, room: str, instance: str, bounds: tuple[int, int]
) -> set[int]:
    """Return which entries of a journal, between two sequences, are parked for a room."""
    rows = await connection.fetch(_PARKED, room, instance, *bounds, timeout=STATEMENT_TIMEOUT_S)
    return {row[0] for row in rows}


async def read_cursors(connection: asyncpg.Connection) -> dict[str, int]:
    """Return how far each journal is in PostgreSQL."""
    rows = await connection.fetch(
        "SELECT instance, sequence FROM projection.cursors", timeout=STATEMENT_TIMEOUT_S
    )
    return {row["instance"]: row["sequence"] for row in rows}


async def check_database(connection: asyncpg.Connection, findings: Findings) -> None:
    """Note where the database contradicts itself, and count what it holds."""
    for (kind, words), sql in _CHECKS.items():
        rows: Sequence[asyncpg.Record] = await connection.fetch(
            f"{sql} LIMIT {NAMED_MAX}", timeout=STATEMENT_TIMEOUT_S
        )
        for name, *values in rows:
            findings.add(kind, name, "postgresql", words.format(*values))
    for what, sql in _COUNTS.items():
        findings.postgresql[what] = await connection.fetchval(sql, timeout=STATEMENT_TIMEOUT_S)
