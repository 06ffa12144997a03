"""How many people used the installation, and what that earned: for reports."""

from dataclasses import dataclass

from axon.metering.rollups import DAY_US
from axon.stores import Postgres

_TIMEOUT_S = 60.0
"""The widest question reads one index row for each person, day, key and model of a month."""

CURRENCIES_MAX = 64
"""Shown by name; an installation bills in a few."""

# The primary keys begin with the organization, so each organization's days are one stretch of the
# index. People are numbered within their organization.
_ACTIVE = """
WITH RECURSIVE known AS (
    (SELECT org_id FROM metering.org_days ORDER BY org_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.org_id FROM metering.org_days AS d WHERE d.org_id > known.org_id
        ORDER BY d.org_id LIMIT 1) FROM known WHERE known.org_id IS NOT NULL
)
SELECT coalesce(sum(people), 0)::bigint FROM known CROSS JOIN LATERAL (
    SELECT count(DISTINCT user_id) AS people FROM metering.usage AS u
    WHERE u.org_id = known.org_id AND u.date >= date '1970-01-01' + $1::int
) AS each WHERE known.org_id IS NOT NULL
"""

_REVENUE = """
SELECT currency, sum(cost_nano) AS nano FROM metering.org_days
WHERE date >= date '1970-01-01' + $1::int AND currency <> ''
GROUP BY currency ORDER BY currency LIMIT $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What happened on the last days."""

    people: int
    """Who had at least one turn."""
    revenue_nano: dict[str, int]
    """What turns cost their organizations, by currency, corrections included."""


async def activity(postgres: Postgres, now_us: int, days: int) -> Activity:
    """Return what happened on the last `days` UTC days, the present one included.

    Raises PostgresAway.
    """
    since = now_us // DAY_US - days + 1
    async with postgres.connection(_TIMEOUT_S) as connection:
        people: int = await connection.fetchval(_ACTIVE, since)
        rows = await connection.fetch(_REVENUE, since, CURRENCIES_MAX)
    return Activity(people=people, revenue_nano={row["currency"]: int(row["nano"]) for row in rows})
