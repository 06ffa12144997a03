"""Fills PostgreSQL with the sums of usage of many organizations, one of them busy.

The sums by quarter of an hour are drawn; the others are made of them, as turns would make them.
Rows lie in the order of time, as the projector writes them: an organization's are far apart.
"""

from dataclasses import dataclass

import asyncpg

BUSY = "org_busy"
BEGINS = "2026-08-01"
"""UTC; sixty days, September among them whole in every time zone."""

DAYS = 60
_BEGINS_US = 1_785_542_400_000_000
_QUARTER_US = 900_000_000
_DAY_US = 86_400_000_000
_FILL_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How much there is."""

    others: int
    """Other organizations, each with ten people."""
    people: int
    """Of the busy organization; each is there in a few quarters of every day."""
    keys: int = 400
    models: int = 5


_SUMS = (
    "requests_count, input_tokens, cached_tokens, cache_write_tokens, output_tokens,"
    " reasoning_tokens, cost_nano, overage_nano"
)
_DRAWN = "1 + n % 7, 1000 + n % 9999, n % 500, n % 50, 100 + n % 999, n % 99, 1000 + n % 9999, 0"

# A person uses one of the organization's keys and two models, in four quarters of each day.
_QUARTERS = f"""
INSERT INTO metering.usage_quarters
    (user_id, begins_us, org_id, credential_id, model, variant, currency, {_SUMS})
SELECT person + 1000000 * (org + 1), $1::bigint + day * {_DAY_US}
        + ((person * 7 + day * 3 + part * 24) % 96) * {_QUARTER_US}::bigint,
    CASE WHEN org < 0 THEN '{BUSY}' ELSE 'org_' || org END, 'key_' || person % $4::int,
    'model-' || (person + part) % $5::int, '', 'USD', {_DRAWN}
FROM generate_series($6::int, $7::int) AS day,
    LATERAL (
        SELECT -1 AS org, person FROM generate_series(1, $3::int) AS person
        UNION ALL SELECT org, person FROM generate_series(0, $2::int - 1) AS org,
            generate_series(1, 10) AS person
    ) AS who,
    generate_series(0, 3) AS part, LATERAL (SELECT person * 31 + day * 17 + part AS n) AS drawn
ORDER BY 2, 1
"""  # noqa: S608 - names of ours alone

_TOTALS = ", ".join(f"sum({name})" for name in _SUMS.split(", "))
_DAY = f"date '1970-01-01' + (begins_us / {_DAY_US})::int"


_MONTH = f"date_trunc('month', ({_DAY})::timestamp)::date"
_KEYS = "org_id, credential_id, model, variant, currency"
_FEWER_KEYS = "org_id, model, variant, currency"


def _made(table: str, period: str, of_period: str, names: str) -> str:
    return f"""
INSERT INTO metering.{table} ({period}, {names}, {_SUMS})
SELECT {of_period}, {names}, {_TOTALS} FROM metering.usage_quarters
GROUP BY {of_period}, {names} ORDER BY 1
"""  # noqa: S608 - names of ours alone


async def fill(connection: asyncpg.Connection, shape: Shape) -> dict[str, int]:
    """Fill the tables; return how many rows each has."""
    for day in range(DAYS):
        parameters = (_BEGINS_US, shape.others, shape.people, shape.keys, shape.models, day, day)
        await connection.execute(_QUARTERS, *parameters, timeout=_FILL_TIMEOUT_S)
    for statement in (
        _made("usage", "date", _DAY, f"user_id, {_KEYS}"),
        _made("org_usage", "date", _DAY, _KEYS),
        _made("org_usage_quarters", "begins_us", "begins_us", _KEYS),
        _made("usage_months", "date", _MONTH, f"user_id, {_FEWER_KEYS}"),
        _made("org_days", "date", _DAY, _FEWER_KEYS),
    ):
        await connection.execute(statement, timeout=_FILL_TIMEOUT_S)
    counts = {}
    for table in (
        "usage_quarters", "usage", "usage_months", "org_usage_quarters", "org_usage", "org_days",
    ):  # fmt: skip
        await connection.execute(f"VACUUM ANALYZE metering.{table}", timeout=_FILL_TIMEOUT_S)
        counted = f"SELECT count(*) FROM metering.{table}"  # noqa: S608
        counts[table] = await connection.fetchval(counted, timeout=_FILL_TIMEOUT_S)
    return counts
