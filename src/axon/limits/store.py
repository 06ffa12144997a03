"""The SQL of this room: what is defined, and what was used."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import asyncpg

from axon.limits.book import Counter, Key
from axon.limits.calendar import DAY_US, LASTS_US
from axon.limits.errors import LimitsUnavailable
from axon.limits.rules import Defined, Rule, Tier
from axon.records import Hold
from axon.stores import Postgres, PostgresAway

QUERY_TIMEOUT_S = 1.0
"""All of these read a few rows by their keys."""


KEPT_US = 7 * DAY_US
"""After its period a count is of no use but to an end that comes late, as after a long outage."""

FORGOTTEN_AT_ONCE = 2048
"""Rows of a table in one transaction; more than one batch of records can add of turns."""


class Counted(NamedTuple):
    """What PostgreSQL has of some counters, all of one instant."""

    projected: int
    """Through which entry of the asking process's journal."""
    own: dict[Key, int]
    others: dict[Key, dict[str, int]]


async def read_defined(postgres: Postgres, known: int) -> Defined | None:
    """Return everything that is defined, None when it is of the version `known`.

    Raises LimitsUnavailable, also for tables that were emptied: that is no news of no limits.
    """
    async with connected(postgres) as connection, connection.transaction():
        version = await connection.fetchval("SELECT number FROM limits.version")
        if version is None:
            raise LimitsUnavailable("the database holds no limits any more")
        if version == known:
            return None
        # The version was read first: what is newer than it is read again with the next one.
        tiers = await connection.fetch("SELECT * FROM limits.tiers ORDER BY name")
        rules = await connection.fetch("SELECT * FROM limits.rules ORDER BY id")
        zones = await connection.fetch("SELECT org_id, time_zone FROM limits.time_zones")
    return Defined(
        version=version,
        tiers=tuple(tier_of(row) for row in tiers),
        rules=tuple(rule_of(row) for row in rules),
        time_zones={row["org_id"]: row["time_zone"] for row in zones},
    )


async def read_counts(
    postgres: Postgres, org_id: str, instance: str, counters: Sequence[Counter]
) -> Counted:
    """Return what was used of the counters; raises LimitsUnavailable."""
    async with connected(postgres) as connection:
        rows = await connection.fetch(
            "SELECT instance, bucket, start_us, used::bigint AS used FROM limits.counts"
            " JOIN unnest($2::text[], $3::bigint[]) AS asked (bucket, start_us)"
            " USING (bucket, start_us) WHERE org_id = $1"
            " UNION ALL SELECT instance, NULL, NULL, sequence FROM projection.cursors"
            " WHERE instance = $4",
            org_id,
            [counter.hold.bucket for counter in counters],
            [counter.hold.start_us for counter in counters],
            instance,
        )
    counted = Counted(next((row["used"] for row in rows if row["bucket"] is None), 0), {}, {})
    for row in rows:
        if row["bucket"] is None:
            continue
        key = row["bucket"], row["start_us"]
        if row["instance"] == instance:
            counted.own[key] = row["used"]
        else:
            counted.others.setdefault(key, {})[row["instance"]] = row["used"]
    return counted


class Used(NamedTuple):
    """What one ended turn used of days and months."""

    instance: str
    turn_id: str
    org_id: str
    amounts: list[tuple[Hold, int]]

    @property
    def past_us(self) -> int:
        """Return when the longest of them is forgotten."""
        return max(_past_us(hold) for hold, _ in self.amounts)


async def count(connection: asyncpg.Connection, ended: Sequence[Used]) -> None:
    """Count the turns that have not been counted, in the caller's transaction."""
    first = {one.turn_id: one for one in reversed(ended)}
    rows = await connection.fetch(
        "INSERT INTO limits.turns (turn_id, past_us)"
        " SELECT * FROM unnest($1::text[], $2::bigint[]) ON CONFLICT DO NOTHING"
        " RETURNING turn_id",
        list(first),
        [one.past_us for one in first.values()],
    )
    sums: dict[tuple[str, str, int, str, int], int] = {}
    for one in (first[row["turn_id"]] for row in rows):
        for hold, used in one.amounts:
            key = one.org_id, hold.bucket, hold.start_us, one.instance, _past_us(hold)
            sums[key] = sums.get(key, 0) + used
    await connection.execute(
        "INSERT INTO limits.counts AS c (org_id, bucket, start_us, instance, past_us, used)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[],"
        " $6::bigint[])"
        " ON CONFLICT (org_id, bucket, start_us, instance)"
        " DO UPDATE SET used = c.used + EXCLUDED.used",
        *([key[place] for key in sums] for place in range(5)),
        list(sums.values()),
    )


async def forget(connection: asyncpg.Connection, before_us: int) -> None:
    """Forget turns and counts that nobody can ask for since an instant, so many of them at most."""
    await connection.execute(
        "DELETE FROM limits.turns WHERE turn_id IN (SELECT turn_id FROM limits.turns"
        " WHERE past_us < $1 ORDER BY past_us LIMIT $2)",
        before_us,
        FORGOTTEN_AT_ONCE,
    )
    await connection.execute(
        "DELETE FROM limits.counts WHERE (org_id, bucket, start_us, instance) IN"
        " (SELECT org_id, bucket, start_us, instance FROM limits.counts"
        " WHERE past_us < $1 ORDER BY past_us LIMIT $2)",
        before_us,
        FORGOTTEN_AT_ONCE,
    )


def _past_us(hold: Hold) -> int:
    return hold.start_us + LASTS_US[hold.period] + KEPT_US


def tier_of(row: asyncpg.Record) -> Tier:
    """Return the tier in a row."""
    return Tier(name=row["name"], description=row["description"], share=row["queue_share"])


def rule_of(row: asyncpg.Record) -> Rule:
    """Return the rule in a row."""
    return Rule(
        rule_id=row["id"],
        measure=row["measure"],
        period=row["period"],
        currency=row["currency"],
        amount=row["amount"],
        kind=row["kind"],
        grace=row["grace"],
        tier=row["tier"],
        org_id=row["org_id"],
        user=row["user_id"],
        credential_id=row["credential_id"],
        model=row["model"],
        apart=tuple(row["apart"]),
        overage_percent=row["overage_percent"],
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
        raise LimitsUnavailable(str(error)) from error
