"""Leases in PostgreSQL, for the time when Valkey is away."""

from typing import NamedTuple

import asyncpg

from axon.conversations.window_cache import LEASE_MS, MARGIN_MS

_TAKE = """
INSERT INTO conversations.leases AS held
    (user_id, conversation_id, holder, fence, expires_at, head_sequence)
VALUES ($1, $2, $3, $4, clock_timestamp() + $5 * interval '1 millisecond', 0)
ON CONFLICT (user_id, conversation_id) DO UPDATE
SET holder = excluded.holder, fence = excluded.fence, expires_at = excluded.expires_at
WHERE held.fence < excluded.fence
  AND (held.holder = excluded.holder OR held.expires_at <= clock_timestamp())
RETURNING held.head_sequence
"""

LEASE_COLUMNS = """holder, fence, head_sequence AS led_through,
    ceil(extract(epoch FROM expires_at - clock_timestamp()) * 1000)::bigint AS left_ms"""

_FIND = f"""
SELECT {LEASE_COLUMNS} FROM conversations.leases WHERE user_id = $1 AND conversation_id = $2
"""  # noqa: S608 - constants

_RENEW = """
INSERT INTO conversations.leases AS held
    (user_id, conversation_id, holder, fence, expires_at, head_sequence)
VALUES ($1, $2, $3, $4, clock_timestamp() + $5 * interval '1 millisecond', 0)
ON CONFLICT (user_id, conversation_id) DO UPDATE
SET holder = excluded.holder, fence = excluded.fence, expires_at = excluded.expires_at
WHERE held.fence <= excluded.fence
  AND (held.holder = excluded.holder OR held.expires_at <= clock_timestamp())
RETURNING held.head_sequence
"""

# The head is noted even when a later turn of the same holder has the lease already. A row that
# says nothing is not kept.
_GIVE_BACK = """
WITH unused AS (
    DELETE FROM conversations.leases
    WHERE user_id = $1 AND conversation_id = $2 AND fence = $3 AND head_sequence = 0 AND $4 = 0
)
UPDATE conversations.leases
SET head_sequence = greatest(head_sequence, $4),
    expires_at = CASE fence WHEN $3 THEN clock_timestamp() ELSE expires_at END
WHERE user_id = $1 AND conversation_id = $2 AND greatest(head_sequence, $4) > 0
"""


class LeaseRow(NamedTuple):
    """What PostgreSQL knows of a conversation's lease."""

    holder: str
    fence: int
    led_through: int
    """The last record written under a lease of this table; 0 for none."""
    left_ms: int
    """Until it ends; 0 or less when it is free."""


async def take_lease(
    connection: asyncpg.Connection, place: tuple[int, str], holder: str, fence: int
) -> bool:
    """Take the lease of (user, conversation) and return True, or leave it as it is.

    A holder may follow itself at once: it lets its own turns in one by one.
    """
    return await _lease(connection, _TAKE, place, (holder, fence))


async def renew_lease(
    connection: asyncpg.Connection, place: tuple[int, str], holder: str, fence: int
) -> bool:
    """Prolong the lease, also when another authority gave it; return whether it is ours."""
    return await _lease(connection, _RENEW, place, (holder, fence))


async def find_lease(connection: asyncpg.Connection, place: tuple[int, str]) -> LeaseRow | None:
    """Return the lease as it stands."""
    row = await connection.fetchrow(_FIND, *place)
    return None if row is None else lease_row(row)


def lease_row(row: asyncpg.Record) -> LeaseRow:
    """Return the lease in a row; columns that are no part of it are left out."""
    return LeaseRow(*(row[name] for name in LeaseRow._fields))


async def give_lease_back(
    connection: asyncpg.Connection, place: tuple[int, str], fence: int, head_sequence: int
) -> None:
    """Free the lease and note how far the conversation came; nothing when it is another's."""
    await connection.execute(_GIVE_BACK, *place, fence, head_sequence)


async def _lease(
    connection: asyncpg.Connection, sql: str, place: tuple[int, str], holder: tuple[str, int]
) -> bool:
    taken = await connection.fetchval(sql, *place, *holder, LEASE_MS + MARGIN_MS)
    return taken is not None
