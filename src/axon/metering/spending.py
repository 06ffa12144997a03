"""What organizations spent day by day, of all of them at once: for reports."""

from datetime import date

import msgspec

from axon.metering.rollups import DAY_US
from axon.stores import Postgres

TIMEOUT_S = 30.0

# Only who has spent a floor on the last day is of interest, and those are few.
_DAYS = """
WITH last AS (
    SELECT org_id, currency FROM metering.org_days WHERE date = date '1970-01-01' + $2::int
    GROUP BY org_id, currency HAVING sum(cost_nano) >= $3
)
SELECT org_id, currency, date, sum(cost_nano)::bigint AS cost_nano
FROM last JOIN metering.org_days USING (org_id, currency)
WHERE date >= date '1970-01-01' + $1::int AND date <= date '1970-01-01' + $2::int
GROUP BY org_id, currency, date ORDER BY org_id, currency, date
"""


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What one organization spent in one currency, by UTC day."""

    org_id: str
    currency: str
    nano_by_day: dict[date, int]
    """Days on which nothing was metered are not there."""


async def spending(postgres: Postgres, now_us: int, days: int, floor_nano: int) -> list[Spending]:
    """Return the last `days` days before the present UTC day, and that day, by organization.

    Of those only that have spent `floor_nano` on the present day. Raises PostgresAway.
    """
    today = now_us // DAY_US
    async with postgres.connection(TIMEOUT_S) as connection:
        rows = await connection.fetch(_DAYS, today - days, today, floor_nano)
    found: dict[tuple[str, str], dict[date, int]] = {}
    for row in rows:
        by_day = found.setdefault((row["org_id"], row["currency"]), {})
        by_day[row["date"]] = row["cost_nano"]
    return [
        Spending(org_id=org_id, currency=currency, nano_by_day=by_day)
        for (org_id, currency), by_day in found.items()
    ]
