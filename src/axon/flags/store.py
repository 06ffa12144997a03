"""The SQL of this room: what the flags are, were and shall be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from axon.flags.kept import Defined, FlagVersion, KeptFlag, Schedule
from axon.flags.refusals import FlagsUnavailable, UnknownVersion
from axon.records import FlagsChanged
from axon.stores import Postgres, PostgresAway

QUERY_TIMEOUT_S = 1.0
"""The polls of every process read one row by its key, or some thousand rows after a change."""

SILENT_MAX_MS = 5000
"""A process that was stopped in the middle of a change holds up nobody for longer: not another
change, and not the projector."""

SCHEDULES_MAX = 1000
"""Changes that may wait for their time."""

_CHANGE = """
INSERT INTO flags.changes (number, change_id, org_id, user_id, credential_id, at_us, origin, why)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING number
"""

# The journals are read beside each other: after a restore the older of two may come later.
_DEFINITIONS = """
INSERT INTO flags.definitions (name, version, definition, origin, number, at_us)
SELECT name, version, definition, $4, $5, $6
FROM unnest($1::text[], $2::int[], $3::text[]) AS told (name, version, definition)
ON CONFLICT (name) DO UPDATE SET version = EXCLUDED.version, definition = EXCLUDED.definition,
    origin = EXCLUDED.origin, number = EXCLUDED.number, at_us = EXCLUDED.at_us
WHERE definitions.version < EXCLUDED.version
"""

_HISTORY = """
INSERT INTO flags.history (name, version, number, action, before, after)
SELECT name, version, $6, action, before, after
FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[])
    AS told (name, version, action, before, after)
ON CONFLICT DO NOTHING
"""

_SCHEDULES = """
INSERT INTO flags.schedules (schedule_id, number, due_us, wanted)
SELECT schedule_id, $4, due_us, wanted
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS told (schedule_id, due_us, wanted)
ON CONFLICT (schedule_id) DO UPDATE
SET number = EXCLUDED.number, due_us = EXCLUDED.due_us, wanted = EXCLUDED.wanted
"""

_ENDED = """
INSERT INTO flags.schedules (schedule_id, ended_number) SELECT unnest($1::text[]), $2
ON CONFLICT (schedule_id) DO UPDATE SET ended_number = EXCLUDED.ended_number
"""

_PENDING = """
SELECT schedule_id, due_us, wanted, changes.*
FROM flags.schedules JOIN flags.changes USING (number)
WHERE ended_number = 0 ORDER BY due_us, schedule_id
"""

_VERSIONS = """
SELECT name, version, action, before, after, changes.*
FROM flags.history JOIN flags.changes USING (number)
WHERE name = $1 AND version < $2 ORDER BY version DESC LIMIT $3
"""


async def apply_change(connection: asyncpg.Connection, record: FlagsChanged) -> bool:
    """Apply the record within the open transaction; return False when its number was taken.

    It may come again, and changes nothing then.
    """
    taken = await connection.fetchval(
        _CHANGE,
        record.number,
        record.change_id,
        record.org_id,
        record.user,
        record.credential_id,
        record.at_us,
        record.origin,
        record.why,
    )
    if taken is None:
        return False
    changes = record.changes
    names, versions = [one.name for one in changes], [one.version for one in changes]
    after = [one.after.decode() for one in changes]
    origin = "folder" if record.origin == "folder" else "api"
    await connection.execute(
        _DEFINITIONS, names, versions, after, origin, record.number, record.at_us
    )
    actions, before = [one.action for one in changes], [one.before.decode() for one in changes]
    await connection.execute(_HISTORY, names, versions, actions, before, after, record.number)
    planned = record.scheduled
    await connection.execute(
        _SCHEDULES,
        [one.schedule_id for one in planned],
        [one.due_us for one in planned],
        [one.wanted.decode() for one in planned],
        record.number,
    )
    await connection.execute(_ENDED, record.ended, record.number)
    await connection.execute(
        "UPDATE flags.version SET number = greatest(number, $1)", record.number
    )
    return True


async def is_applied(connection: asyncpg.Connection, change_id: str) -> bool:
    """Return whether the change is in the tables."""
    found = await connection.fetchval("SELECT 1 FROM flags.changes WHERE change_id = $1", change_id)
    return found is not None


async def exclude_others(connection: asyncpg.Connection) -> int:
    """Keep others from changing flags until the transaction ends; return the newest number."""
    await connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = {SILENT_MAX_MS}")
    number: int | None = await connection.fetchval("SELECT number FROM flags.version FOR UPDATE")
    if number is None:
        raise FlagsUnavailable("the database holds no flags any more")
    return number


async def read_changed(postgres: Postgres, known: int) -> Defined | None:
    """Return what is defined with what changed since `known`, None when nothing did.

    A database that was set back to a backup tells everything. Raises FlagsUnavailable, also for
    tables that were emptied: that is no news of no flags.
    """
    async with connected(postgres) as connection:
        number = await connection.fetchval("SELECT number FROM flags.version")
        if number is None:
            raise FlagsUnavailable("the database holds no flags any more")
        if number == known:
            return None
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await read_defined(connection, known if number > known else 0)


async def read_defined(connection: asyncpg.Connection, since: int = 0) -> Defined:
    """Return what changed after a number, of one instant; wants a transaction."""
    number = await connection.fetchval("SELECT number FROM flags.version")
    rows = await connection.fetch("SELECT * FROM flags.definitions WHERE number > $1", since)
    pending = await connection.fetch(_PENDING)
    return Defined(
        number=number,
        since=since,
        flags=tuple(kept_flag(row) for row in rows),
        schedules=tuple(_schedule(row) for row in pending),
    )


async def is_pending(connection: asyncpg.Connection, schedule_id: str) -> bool:
    """Return whether a change still waits for its time."""
    found = await connection.fetchval(
        "SELECT 1 FROM flags.schedules WHERE schedule_id = $1 AND number > 0 AND ended_number = 0",
        schedule_id,
    )
    return found is not None


async def read_flag(connection: asyncpg.Connection, name: str) -> KeptFlag | None:
    """Return a flag as it stands, archived or not; None for one that never was."""
    row = await connection.fetchrow("SELECT * FROM flags.definitions WHERE name = $1", name)
    return None if row is None else kept_flag(row)


async def read_versions(
    connection: asyncpg.Connection, name: str, before: int, limit: int
) -> list[FlagVersion]:
    """Return a flag's versions below `before`, the newest first."""
    return [_version(row) for row in await connection.fetch(_VERSIONS, name, before, limit)]


async def read_version(connection: asyncpg.Connection, name: str, version: int) -> bytes:
    """Return a flag's definition as it once was, empty for archived; raises UnknownVersion."""
    found: str | None = await connection.fetchval(
        "SELECT after FROM flags.history WHERE name = $1 AND version = $2", name, version
    )
    if found is None:
        raise UnknownVersion(f"{name}, version {version}")
    return found.encode()


def kept_flag(row: asyncpg.Record) -> KeptFlag:
    """Return the flag in a row."""
    return KeptFlag(
        name=row["name"],
        version=row["version"],
        definition=row["definition"].encode(),
        origin=row["origin"],
        number=row["number"],
        at_us=row["at_us"],
    )


def _schedule(row: asyncpg.Record) -> Schedule:
    return Schedule(
        schedule_id=row["schedule_id"],
        due_us=row["due_us"],
        wanted=row["wanted"].encode(),
        org_id=row["org_id"],
        user=row["user_id"],
        credential_id=row["credential_id"],
        at_us=row["at_us"],
        why=row["why"],
    )


def _version(row: asyncpg.Record) -> FlagVersion:
    return FlagVersion(
        name=row["name"],
        version=row["version"],
        action=row["action"],
        before=row["before"].encode(),
        after=row["after"].encode(),
        number=row["number"],
        change_id=row["change_id"],
        org_id=row["org_id"],
        user=row["user_id"],
        credential_id=row["credential_id"],
        at_us=row["at_us"],
        origin=row["origin"],
        why=row["why"],
    )


@asynccontextmanager
async def connected(
    postgres: Postgres, timeout_s: float = QUERY_TIMEOUT_S
) -> AsyncIterator[asyncpg.Connection]:
    """Lend a connection; any error of the database means that it cannot be told, not a refusal."""
    try:
        async with postgres.connection(timeout_s) as connection:
            yield connection
    except (PostgresAway, asyncpg.PostgresError) as error:
        raise FlagsUnavailable(str(error)) from error
