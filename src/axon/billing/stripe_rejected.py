"""What Stripe took and could not use, and having it told again; Stripe is not asked."""

from dataclasses import dataclass

from axon.stores import Postgres

TIMEOUT_S = 60.0

REJECTED_MAX = 5
"""Events of one hour that may be rejected before an operator has to look."""

LISTED_MAX = 1000
"""Rejected events shown at once."""

_REJECTED = """
SELECT identifier, org_id, currency, hour_us, value_nano, error,
    count(*) OVER (PARTITION BY org_id, currency, hour_us) < $2 AS told_again
FROM billing.stripe_events WHERE state = 'rejected' AND ($1 = '' OR org_id = $1)
ORDER BY hour_us DESC, org_id, currency, number LIMIT $3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedEvent:
    """An event that Stripe could not use."""

    identifier: str
    org_id: str
    currency: str
    hour_us: int
    value_nano: int
    error: str
    told_again: bool
    """Whether another event tells its amount, or will; else an operator has to look."""


class RejectedEvents:
    """The outbox's events that were rejected; every method raises PostgresAway."""

    def __init__(self, postgres: Postgres) -> None:
        """`postgres` is started and stopped by its owner."""
        self._postgres = postgres

    async def list_all(self, org_id: str = "") -> list[RejectedEvent]:
        """Return them, the newest hour first."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            rows = await connection.fetch(_REJECTED, org_id, REJECTED_MAX, LISTED_MAX)
        return [RejectedEvent(**row) for row in rows]

    async def forgive(self, org_id: str = "") -> int:
        """Have what was rejected too often told again, its cause corrected; return how many.

        The next round tells each hour's amount, under an identifier of its own.
        """
        async with self._postgres.connection(TIMEOUT_S) as connection:
            done: str = await connection.execute(
                "UPDATE billing.stripe_events SET state = 'forgiven'"
                " WHERE state = 'rejected' AND ($1 = '' OR org_id = $1)",
                org_id,
            )
        return int(done.rsplit(maxsplit=1)[-1])
