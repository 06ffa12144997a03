"""Forgetting turns that are too old, a month at a time, but for those that are held."""

import asyncpg

from axon.audit.months import Month, forget_month, months_before
from axon.base import MICROS_PER_SECOND, Clock
from axon.stores import Postgres
from axon.telemetry import counter, log

_LIST_TIMEOUT_S = 30.0

_FORGET_TIMEOUT_S = 600.0
"""A month without holds goes at once; of another one all that is held is copied."""

_DAY_US = 86_400 * MICROS_PER_SECOND

_expired = counter(
    "axon_audit_expired_bytes_total",
    "Bytes that turns took in PostgreSQL which the audit forgot for their age.",
)


class Retention:
    """Drops whole months; what is held of one stays in its place until it is released."""

    def __init__(self, postgres: Postgres, clock: Clock, days: int) -> None:
        """Keep turns for so many days, and until all of their month is that old."""
        self._postgres = postgres
        self._clock = clock
        self._days = days

    async def expire(self) -> None:
        """Forget every month that is too old; raises PostgresAway.

        One that others are using, as a backup does, is left for the next time.
        """
        before_us = self._clock.now_us() - self._days * _DAY_US
        async with self._postgres.connection(_LIST_TIMEOUT_S) as connection:
            months = await months_before(connection, before_us)
        for month in months:
            try:
                freed = await self._forget(month)
            except asyncpg.LockNotAvailableError:
                log.info("audit.expiry-waits", "Others use an old month.", axon__month=month.name)
                continue
            if freed:
                _expired.inc(freed)
                log.info(
                    "audit.expired",
                    "A month of turns was forgotten for its age.",
                    axon__month=month.name,
                    axon__bytes=freed,
                )

    async def _forget(self, month: Month) -> int:
        borrowed = self._postgres.connection(_FORGET_TIMEOUT_S)
        async with borrowed as connection, connection.transaction():
            return await forget_month(connection, month)
