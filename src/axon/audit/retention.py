"""Forgetting turns that are too old, but for those that are held."""

from axon.audit.store import EXPIRED_AT_ONCE, expire_turns
from axon.base import MICROS_PER_SECOND, Clock
from axon.stores import Postgres
from axon.telemetry import counter, log

_TIMEOUT_S = 30.0

_DAY_US = 86_400 * MICROS_PER_SECOND

_expired = counter("axon_audit_expired_total", "Turns that the audit forgot for their age.")


class Retention:
    """Deletes in small statements: held turns stand among the others, so no partition could go."""

    def __init__(self, postgres: Postgres, clock: Clock, days: int) -> None:
        """Keep turns for so many days."""
        self._postgres = postgres
        self._clock = clock
        self._days = days

    async def expire(self) -> None:
        """Delete every turn that is too old and not held; raises PostgresAway."""
        before_us = self._clock.now_us() - self._days * _DAY_US
        total, count = 0, EXPIRED_AT_ONCE
        while count == EXPIRED_AT_ONCE:
            async with self._postgres.connection(_TIMEOUT_S) as connection:
                count = await expire_turns(connection, before_us)
            total += count
            _expired.inc(count)
        if total:
            log.info("audit.expired", "Turns were forgotten for their age.", axon__turns=total)
