"""Looks at what was used and spent, and raises what is due: each alert once for its period."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from axon.alerts.alert import KINDS, Alert
from axon.alerts.rules import ANOMALY_DAYS, alert_of_spending, alerts_of_limit, day_of
from axon.alerts.store import forget, raise_alerts
from axon.base import Clock
from axon.limits import standings
from axon.metering import spending
from axon.stores import Postgres
from axon.telemetry import counter, log

AlertSource = Callable[[int], Awaitable[list[Alert]]]
"""Returns what else is due at an instant; the same again until it is raised, and after."""

TIMEOUT_S = 30.0

RAISED_AT_ONCE = 500
"""Of one transaction; the rest follows in the next."""

LINES_MAX = 100
"""Log lines of one look: an import or a long outage may raise thousands."""

_raised = counter("axon_alerts_raised_total", "Alerts that were raised.", ("kind",))
for _kind in KINDS:
    _raised.labels(_kind)


class AlertWatch:
    """One look reads sums that others keep; nothing of a turn waits for it."""

    def __init__(
        self,
        postgres: Postgres,
        clock: Clock,
        floor_nano: int,
        sources: Sequence[AlertSource] = (),
    ) -> None:
        """`floor_nano` is what a day's spending must come to before it can be an anomaly.

        `sources` know what else there is to tell; one that raises fails the look.
        """
        self._postgres = postgres
        self._clock = clock
        self._floor_nano = floor_nano
        self._sources = sources

    async def look(self) -> None:
        """Raise what is due now; raises PostgresAway and LimitsUnavailable, and may be repeated."""
        due = await self._due()
        lines = 0
        for start in range(0, len(due), RAISED_AT_ONCE):
            part = due[start : start + RAISED_AT_ONCE]
            async with (
                self._postgres.connection(TIMEOUT_S) as connection,
                connection.transaction(),
            ):
                fresh = await raise_alerts(connection, part, self._clock.now_us())
            for alert in fresh:
                _raised.labels(alert.kind).inc()
                lines += 1
                if lines <= LINES_MAX:
                    _say(alert)
        async with self._postgres.connection(TIMEOUT_S) as connection:
            await forget(connection, self._clock.now_us())

    async def _due(self) -> list[Alert]:
        now_us = self._clock.now_us()
        found = []
        for standing in await standings(self._postgres, now_us):
            found += alerts_of_limit(standing, now_us)
        today, today_us = day_of(now_us)
        for spent in await spending(self._postgres, now_us, ANOMALY_DAYS, self._floor_nano):
            alert = alert_of_spending(spent, today, today_us)
            if alert is not None:
                found.append(alert)
        for source in self._sources:
            found += await source(now_us)
        return found


def _say(alert: Alert) -> None:
    log.warning(
        "alert.raised",
        f"{alert.kind}: {alert.subject}",
        axon__org__id=alert.org_id,
        axon__alert__id=alert.alert_id,
        axon__alert__data=msgspec.json.encode(alert.data).decode(),
    )
