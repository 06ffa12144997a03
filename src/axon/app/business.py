"""What the business is told of an installation: who used it, who came, and what it earned.

PostgreSQL is asked for the whole installation by one process now and again, and what it says is
shown as metrics. Never by person or organization: such labels would have no bound.
"""

from axon.accounts import signups
from axon.audit import standing_holds
from axon.base import MICROS_PER_SECOND, Clock
from axon.metering import activity
from axon.stores import Postgres
from axon.telemetry import gauge

LOOK_EVERY_S = 300.0
"""The widest question reads the index of a month's usage; what is drawn by the day may wait."""

WINDOWS = {"day": 1, "week": 7, "month": 30}
"""UTC days, the present one included."""
LONGEST = "month"
"""Its currencies are all there are in the others."""

_DAY_US = 86_400 * MICROS_PER_SECOND

_active = gauge(
    "axon_business_active_users", "People with a turn, on so many UTC days until now.", ("window",)
)
_signups = gauge(
    "axon_business_signups", "Users and organizations that were made within them.",
    ("kind", "window"),
)  # fmt: skip
_accounts = gauge("axon_business_accounts", "Users and organizations there are.", ("kind",))
_revenue = gauge(
    "axon_business_revenue_nano", "What turns cost within them, in nano-units of the currency.",
    ("currency", "window"),
)  # fmt: skip
_holds = gauge("axon_business_legal_holds", "Legal holds in force.", ("kind",))


class BusinessFigures:
    """One look counts everything anew; what it says is as old as the last one."""

    def __init__(self, postgres: Postgres, clock: Clock) -> None:
        """`postgres` is started and stopped by its owner."""
        self._postgres = postgres
        self._clock = clock

    async def look(self) -> None:
        """Bring the metrics up to date; raises PostgresAway, and may be repeated."""
        now_us = self._clock.now_us()
        today_us = now_us - now_us % _DAY_US
        found = {
            window: await activity(self._postgres, now_us, days) for window, days in WINDOWS.items()
        }
        came = {
            window: await signups(self._postgres, today_us - (days - 1) * _DAY_US)
            for window, days in WINDOWS.items()
        }
        there, holds = await signups(self._postgres, 0), await standing_holds(self._postgres)
        _revenue.clear()  # of a currency that nobody paid in any more nothing is said
        for window, one in found.items():
            _active.labels(window).set(one.people)
            for currency in found[LONGEST].revenue_nano:
                _revenue.labels(currency, window).set(one.revenue_nano.get(currency, 0))
        for window, new in came.items():
            _signups.labels("user", window).set(new.users)
            _signups.labels("organization", window).set(new.orgs)
        _accounts.labels("user").set(there.users)
        _accounts.labels("organization").set(there.orgs)
        _holds.labels("person").set(holds.people)
        _holds.labels("conversation").set(holds.conversations)
