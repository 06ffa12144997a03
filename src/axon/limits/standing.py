"""How far the limits of days and months are used, of everybody at once: for reports, not turns."""

import msgspec

from axon.limits.calendar import Period, period_at
from axon.limits.rules import Rule, Rules
from axon.limits.store import KEPT_US, read_defined
from axon.stores import Postgres

TIMEOUT_S = 30.0
"""It reads every count of the present periods: tens of thousands in a moment."""

_PRESENT = """
SELECT org_id, bucket, start_us, sum(used)::bigint AS used FROM limits.counts
WHERE past_us > $1 GROUP BY org_id, bucket, start_us ORDER BY org_id, bucket, start_us
"""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What was used of one counter of a rule in its present period, by turns that have ended."""

    org_id: str
    rule: Rule
    bucket: str
    """The counter: the rule's id, and of whom where the rule counts apart."""
    period: Period
    used: int


async def standings(postgres: Postgres, now_us: int) -> list[Standing]:
    """Return every counter of the periods in which `now_us` lies that was used at all.

    From what PostgreSQL has counted, so it is some milliseconds late. Raises LimitsUnavailable and
    PostgresAway.
    """
    defined = await read_defined(postgres, known=0)
    if defined is None:
        return []
    rules = {rule.rule_id: rule for rule in defined.rules}
    zones = Rules(defined)
    async with postgres.connection(TIMEOUT_S) as connection:
        rows = await connection.fetch(_PRESENT, now_us + KEPT_US)
    found = []
    for row in rows:
        rule = rules.get(row["bucket"].partition("/")[0])
        if rule is None or not rule.durable:
            continue  # it was removed, or became another
        period = period_at(rule.period, now_us, zones.time_zone(row["org_id"]))
        if period.start_us == row["start_us"]:
            standing = Standing(
                org_id=row["org_id"],
                rule=rule,
                bucket=row["bucket"],
                period=period,
                used=row["used"],
            )
            found.append(standing)
    return found
