"""The SQL of the audit's months: each is a table, and goes as a whole but for turns on hold."""

import asyncpg
import msgspec

# A reader who takes longer, or a backup, comes first: the month goes an hour later. What is held
# may be much to copy; whoever lends the connection bounds it.
_PATIENCE = "SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = 0"

# Until the end of the transaction no hold is added, and no row of the month changes.
_STAND_STILL = """
LOCK TABLE audit.holds IN SHARE MODE;
LOCK TABLE audit.{month} IN SHARE ROW EXCLUSIVE MODE
"""

_HELD = """EXISTS (
    SELECT FROM audit.holds AS h WHERE h.user_id = t.user_id AND h.org_id = t.org_id
        AND h.released_us = 0 AND h.conversation_id IN ('', t.conversation_id)
)"""

_HAS = "SELECT EXISTS (SELECT FROM audit.{month} AS t WHERE {which})"

_COPY_HELD = f"""
CREATE TABLE audit.turns_held (LIKE audit.turns INCLUDING ALL) WITH (fillfactor = 60);
INSERT INTO audit.turns_held SELECT t.* FROM audit.{{month}} AS t WHERE {_HELD}
"""  # noqa: S608 - text of ours alone

_REPLACE = """
ALTER TABLE audit.turns DETACH PARTITION audit.{month};
DROP TABLE audit.{month};
ALTER TABLE audit.turns_held RENAME TO {month};
ALTER TABLE audit.turns ATTACH PARTITION audit.{month} FOR VALUES FROM ({since_us}) TO ({until_us})
"""


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """One month (UTC) of turns, by the instant of their acceptance."""

    name: str
    """Of its table in the schema audit."""
    since_us: int
    until_us: int


async def months_before(connection: asyncpg.Connection, before_us: int) -> list[Month]:
    """Return the months that were over at an instant, the oldest first."""
    rows = await connection.fetch(
        "SELECT name, since_us, until_us FROM audit.months WHERE until_us <= $1 ORDER BY since_us",
        before_us,
    )
    return [Month(**row) for row in rows]


async def forget_month(connection: asyncpg.Connection, month: Month) -> int:
    """Drop a month but for turns on hold, within the open transaction; return the bytes freed.

    Readers wait only while tables change places. Raises asyncpg.LockNotAvailableError when others
    use the table for longer than a second; nothing is changed then.
    """
    names = {"month": month.name, "since_us": month.since_us, "until_us": month.until_us}
    await connection.execute(_PATIENCE)
    await connection.execute(_STAND_STILL.format_map(names))
    before = await _bytes_of(connection, month)
    if not await connection.fetchval(_HAS.format(which=_HELD, **names)):
        await connection.execute(f"DROP TABLE audit.{month.name}")
        return before
    if not await connection.fetchval(_HAS.format(which=f"NOT {_HELD}", **names)):
        return 0
    await connection.execute(_COPY_HELD.format_map(names))
    await connection.execute(_REPLACE.format_map(names))
    return before - await _bytes_of(connection, month)


async def _bytes_of(connection: asyncpg.Connection, month: Month) -> int:
    size: int = await connection.fetchval(
        "SELECT pg_total_relation_size($1::text::regclass)", f"audit.{month.name}"
    )
    return size
