"""The SQL of this room, but for what is counted: experiments, their history and their results."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from axon.experiments.errors import ExperimentsUnavailable
from axon.experiments.experiment import Experiment
from axon.records import ExperimentChanged
from axon.statistics import Results
from axon.stores import Postgres, PostgresAway

QUERY_TIMEOUT_S = 10.0

SILENT_MAX_MS = 5000
"""A process that was stopped in the middle of a change holds up nobody for longer."""

EXPERIMENTS_MAX = 1000
"""That are listed, the newest first."""

_HISTORY = """
INSERT INTO experiments.history (name, version, change_id, action, org_id, user_id, credential_id,
    at_us, why, before, after)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING RETURNING version
"""

_STANDING = """
INSERT INTO experiments.experiments (name, version, state, content, at_us)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO UPDATE SET version = EXCLUDED.version, state = EXCLUDED.state,
    content = EXCLUDED.content, at_us = EXCLUDED.at_us
WHERE experiments.version < EXCLUDED.version
"""

_RESULTS = """
INSERT INTO experiments.results (name, version, calculated_us, moved, results)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO UPDATE SET version = EXCLUDED.version,
    calculated_us = EXCLUDED.calculated_us, moved = EXCLUDED.moved, results = EXCLUDED.results
WHERE results.calculated_us < EXCLUDED.calculated_us
"""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment with its version."""

    version: int
    experiment: Experiment


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One change in the life of an experiment."""

    version: int
    action: str
    org_id: str
    user: int
    credential_id: str
    at_us: int
    why: str
    before: bytes
    after: bytes


class Calculated(msgspec.Struct, frozen=True, kw_only=True):
    """What was found last."""

    version: int
    """Of the experiment that it is about."""
    moved: int
    """Units that were served two variants. There are none, unless something is wrong."""
    results: Results


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """A flag that a guardrail wants off."""

    name: str
    flag: str
    metric: str
    why: str


async def apply_step(connection: asyncpg.Connection, record: ExperimentChanged) -> bool:
    """Apply the record within the open transaction; False when its version was taken."""
    taken = await connection.fetchval(
        _HISTORY,
        record.name,
        record.version,
        record.change_id,
        record.action,
        record.org_id,
        record.user,
        record.credential_id,
        record.at_us,
        record.why,
        record.before.decode(),
        record.after.decode(),
    )
    if taken is None:
        return False
    after = msgspec.json.decode(record.after, type=Experiment)
    await connection.execute(
        _STANDING, record.name, record.version, after.state, record.after.decode(), record.at_us
    )
    return True


async def is_applied(connection: asyncpg.Connection, change_id: str) -> bool:
    """Return whether the change is in the tables."""
    query = "SELECT 1 FROM experiments.history WHERE change_id = $1"
    return await connection.fetchval(query, change_id) is not None


async def exclude_others(connection: asyncpg.Connection) -> None:
    """Keep others from changing experiments until the transaction ends."""
    await connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = {SILENT_MAX_MS}")
    await connection.execute("LOCK TABLE experiments.experiments IN SHARE ROW EXCLUSIVE MODE")


async def read_standing(connection: asyncpg.Connection, name: str) -> Standing | None:
    """Return an experiment; None for one that never was."""
    row = await connection.fetchrow("SELECT * FROM experiments.experiments WHERE name = $1", name)
    return None if row is None else _standing(row)


async def read_all(connection: asyncpg.Connection, state: str = "") -> list[Standing]:
    """Return the experiments, of one state or of all, the newest change first."""
    rows = await connection.fetch(
        "SELECT * FROM experiments.experiments WHERE $1 = '' OR state = $1"
        " ORDER BY at_us DESC, name LIMIT $2",
        state,
        EXPERIMENTS_MAX,
    )
    return [_standing(row) for row in rows]


async def read_history(connection: asyncpg.Connection, name: str) -> list[Step]:
    """Return the changes of an experiment, the newest first."""
    rows = await connection.fetch(
        "SELECT * FROM experiments.history WHERE name = $1 ORDER BY version DESC LIMIT $2",
        name,
        EXPERIMENTS_MAX,
    )
    return [
        Step(
            version=row["version"],
            action=row["action"],
            org_id=row["org_id"],
            user=row["user_id"],
            credential_id=row["credential_id"],
            at_us=row["at_us"],
            why=row["why"],
            before=row["before"].encode(),
            after=row["after"].encode(),
        )
        for row in rows
    ]


async def read_results(connection: asyncpg.Connection, name: str) -> Calculated | None:
    """Return what was calculated last; None for nothing."""
    row = await connection.fetchrow("SELECT * FROM experiments.results WHERE name = $1", name)
    if row is None:
        return None
    results = msgspec.json.decode(row["results"], type=Results)
    return Calculated(version=row["version"], moved=row["moved"], results=results)


async def write_results(connection: asyncpg.Connection, name: str, found: Calculated) -> None:
    """Keep what was calculated; an older one changes nothing."""
    await connection.execute(
        _RESULTS,
        name,
        found.version,
        found.results.calculated_us,
        found.moved,
        msgspec.json.encode(found.results).decode(),
    )


async def ask_kill(connection: asyncpg.Connection, kill: Kill, now_us: int) -> bool:
    """Ask for a flag to be switched off; False when this was asked for before."""
    asked = await connection.fetchval(
        "INSERT INTO experiments.kills (name, flag, metric, why, asked_us)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING name",
        kill.name,
        kill.flag,
        kill.metric,
        kill.why,
        now_us,
    )
    return asked is not None


async def read_kills(connection: asyncpg.Connection) -> list[Kill]:
    """Return the flags that wait for being switched off."""
    rows = await connection.fetch(
        "SELECT name, flag, metric, why FROM experiments.kills WHERE number = 0 ORDER BY asked_us"
    )
    return [Kill(**dict(row)) for row in rows]


async def end_kill(connection: asyncpg.Connection, name: str, number: int) -> None:
    """Say with which change of the flags it was done."""
    query = "UPDATE experiments.kills SET number = $2 WHERE name = $1 AND number = 0"
    await connection.execute(query, name, number)


def _standing(row: asyncpg.Record) -> Standing:
    found = msgspec.json.decode(row["content"], type=Experiment)
    return Standing(version=row["version"], experiment=found)


@asynccontextmanager
async def connected(
    postgres: Postgres, timeout_s: float = QUERY_TIMEOUT_S
) -> AsyncIterator[asyncpg.Connection]:
    """Lend a connection; any error of the database means that it cannot be told, not a refusal."""
    try:
        async with postgres.connection(timeout_s) as connection:
            yield connection
    except (PostgresAway, asyncpg.PostgresError) as error:
        raise ExperimentsUnavailable(str(error)) from error
