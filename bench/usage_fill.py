"""Fills PostgreSQL with the sums of usage of many organizations, one of them busy.

The sums by quarter of an hour are drawn, day by day and by the server itself; the others are made
of them, as turns would make them. Rows lie in the order of time, as the projector writes them: an
organization's are far apart. The indexes are made at the end, and nothing is logged: all of it is
one transaction that begins with empty tables.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from axon.base import GIB
from axon.metering import ROLLUPS

BUSY = "org_busy"
PEOPLE_OF_OTHERS = 10
DAYS = 62
"""August and September of 2026, and a day: September is whole in every time zone."""

POSTGRES_PARAMETERS = (
    "wal_level=minimal", "max_wal_senders=0", "max_wal_size=2GB", "maintenance_work_mem=512MB",
    "temp_buffers=256MB", "work_mem=64MB",
)  # fmt: skip
"""For filling; none of it makes a question or a batch of turns quicker."""

FREE_LEFT_BYTES = 10 * GIB
_ROW_BYTES = 300
"""A row, its place in the index, and its share of what is needed to sort the largest one."""

_BEGINS_US = 1_785_542_400_000_000
_QUARTER_US = 900_000_000
_DAY_US = 86_400_000_000
_FILL_TIMEOUT_S = 3600.0

_PARTS = 8
_MODELS_OF_PERSON = 4
_ROWS_OF_BUSY, _ROWS_OF_OTHER = 18, 33
"""Of a person, each day, in all tables; the more people, the more of them share a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How much there is."""

    others: int
    """Other organizations, each with ten people that have a key each."""
    people: int = 2000
    """Of the busy organization."""
    keys: int = 400
    """Of the busy organization."""
    models: int = 5

    @staticmethod
    def of_rows(rows: int, people: int) -> "Shape":
        """Return a shape with about as many rows in all of the tables together."""
        others = (rows // DAYS - people * _ROWS_OF_BUSY) // (PEOPLE_OF_OTHERS * _ROWS_OF_OTHER)
        return Shape(others=max(1, others), people=people)


class DiskTooSmall(Exception):
    """So many rows would leave less than 10 GiB of the disk free."""


def check_disk(folder: Path, rows: int) -> None:
    """Raise DiskTooSmall, which says how many rows there is room for."""
    room = shutil.disk_usage(folder).free - FREE_LEFT_BYTES
    if rows * _ROW_BYTES > room:
        fitting = max(0, room // _ROW_BYTES)
        raise DiskTooSmall(
            f"{rows:,} rows want {rows * _ROW_BYTES / GIB:.0f} GiB, and"
            f" {FREE_LEFT_BYTES / GIB:.0f} GiB are to stay free: ROWS={fitting} would fit"
        )


_SUMS = (
    "requests_count, input_tokens, cached_tokens, cache_write_tokens, output_tokens,"
    " reasoning_tokens, cost_nano, overage_nano"
)
_DRAWN = "1 + n % 7, 1000 + n % 9999, n % 500, n % 50, 100 + n % 999, n % 99, 1000 + n % 9999, 0"

# A person uses one of the organization's keys and four models, in eight quarters of each day.
_FRESH = f"""
INSERT INTO fresh (user_id, begins_us, org_id, credential_id, model, variant, currency, {_SUMS})
SELECT person + 1000000::bigint * (org + 1), $1::bigint + $6::int * {_DAY_US}
        + ((person * 7 + $6::int * 3 + part * 12) % 96) * {_QUARTER_US}::bigint,
    CASE WHEN org < 0 THEN '{BUSY}' ELSE 'org_' || org END, 'key_' || person % $4::int,
    'model-' || (person + part % {_MODELS_OF_PERSON}) % $5::int, '', 'USD', {_DRAWN}
FROM (
        SELECT -1 AS org, person FROM generate_series(1, $3::int) AS person
        UNION ALL SELECT org, person FROM generate_series(0, $2::int - 1) AS org,
            generate_series(1, {PEOPLE_OF_OTHERS}) AS person
    ) AS who,
    generate_series(0, {_PARTS - 1}) AS part,
    LATERAL (SELECT person * 31 + $6::int * 17 + part AS n) AS drawn
ORDER BY 2, 1
"""  # noqa: S608 - names of ours alone

_TOTALS = ", ".join(f"sum({name})" for name in _SUMS.split(", "))
_DAY = f"date '1970-01-01' + (begins_us / {_DAY_US})::int"
_KEYS = "org_id, credential_id, model, variant, currency"
_FEWER_KEYS = "org_id, model, variant, currency"


def _made(table: str, period: str, names: str, source: str = "fresh") -> str:
    """Return the statement that makes sums of days and quarters of a day's, or months of days."""
    of_period = "begins_us" if period == "begins_us" else _DAY
    if source != "fresh":
        of_period = "date_trunc('month', date::timestamp)::date"
    return f"""
INSERT INTO metering.{table} ({period}, {names}, {_SUMS})
SELECT {of_period}, {names}, {_TOTALS} FROM {source} GROUP BY {of_period}, {names}
"""  # noqa: S608 - names of ours alone


_OF_A_DAY = (
    "INSERT INTO metering.usage_quarters SELECT * FROM fresh",
    _made("usage", "date", f"user_id, {_KEYS}"),
    _made("org_usage", "date", _KEYS),
    _made("org_usage_quarters", "begins_us", _KEYS),
    _made("org_days", "date", _FEWER_KEYS),
    _made("org_quarters", "begins_us", _FEWER_KEYS),
)
_MONTHS = (
    _made("usage_months", "date", f"user_id, {_KEYS}", "metering.usage"),
    _made("org_usage_months", "date", _KEYS, "metering.org_usage"),
)

_PRIMARY_KEY = """
SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE conrelid = $1::text::regclass AND contype = 'p'
"""


async def fill(
    connection: asyncpg.Connection, shape: Shape, told: Callable[[str, int], None]
) -> None:
    """Fill the tables; `told` hears what is being done, and how many of `steps()` are done."""
    keys = {}
    async with connection.transaction():
        for table in ROLLUPS:
            key = await connection.fetchrow(_PRIMARY_KEY, f"metering.{table}")
            assert key is not None
            keys[table] = key["definition"]
            await connection.execute(f"TRUNCATE metering.{table}")
            await connection.execute(f"ALTER TABLE metering.{table} DROP CONSTRAINT {key['name']}")
        await connection.execute("CREATE TEMP TABLE fresh (LIKE metering.usage_quarters)")
        parameters = (_BEGINS_US, shape.others, shape.people, shape.keys, shape.models)
        for day in range(DAYS):
            told("days", day)
            await connection.execute("TRUNCATE fresh")
            await connection.execute(_FRESH, *parameters, day, timeout=_FILL_TIMEOUT_S)
            for statement in _OF_A_DAY:
                await connection.execute(statement, timeout=_FILL_TIMEOUT_S)
        told("months", DAYS)
        for statement in _MONTHS:
            await connection.execute(statement, timeout=_FILL_TIMEOUT_S)
        for number, table in enumerate(ROLLUPS):
            told(f"index of {table}", DAYS + 1 + 5 * number)
            adding = f"ALTER TABLE metering.{table} ADD {keys[table]}"
            await connection.execute(adding, timeout=_FILL_TIMEOUT_S)
    told("statistics", steps() - 1)
    for table in ROLLUPS:
        await connection.execute(f"VACUUM ANALYZE metering.{table}", timeout=_FILL_TIMEOUT_S)
    told("filled", steps())


def steps() -> int:
    """Return how many steps filling has; an index counts as five."""
    return DAYS + 2 + 5 * len(ROLLUPS)


async def sizes(connection: asyncpg.Connection) -> dict[str, tuple[int, int]]:
    """Return how many rows each table has, about, and how many bytes with its indexes."""
    rows = await connection.fetch(
        "SELECT relname, reltuples::bigint AS rows, pg_total_relation_size(oid) AS bytes"
        " FROM pg_class WHERE oid = ANY($1::text[]::regclass[]) ORDER BY 2 DESC",
        [f"metering.{table}" for table in ROLLUPS],
    )
    return {row["relname"]: (row["rows"], row["bytes"]) for row in rows}
