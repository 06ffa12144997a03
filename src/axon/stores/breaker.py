"""Stops calling what does not answer, and says so once."""

from typing import Literal

from axon.base import Clock, SystemClock
from axon.telemetry import gauge, log

SYSTEM_CLOCK = SystemClock()
"""What a store goes by unless it is handed another clock."""

REASONS_MAX = 8
"""Log lines an outage may have, one for each reason: a server that is first unreachable and then
refuses our password deserves two, a reason with a changing number in it must not flood the log."""

_up = gauge("axon_dependency_up", "1 while the dependency is being used.", ("dependency",))


class Breaker:
    """Opens after a run of failures; while open it lets one probe through every so often.

    For one event loop: nothing here is safe between threads.
    """

    def __init__(
        self,
        name: str,
        failures_to_open: int = 5,
        probe_every_s: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`name` is the dependency in log lines and metrics; it starts closed."""
        self.name = name
        self.reason = ""
        self._failures_to_open = failures_to_open
        self._probe_every_s = probe_every_s
        self._clock = clock
        self._failures = 0
        self._probe_at: float | None = None
        self._reasons: set[str] = set()
        self._gauge = _up.labels(name)
        self._gauge.set(1)

    @property
    def state(self) -> Literal["closed", "open"]:
        """Return closed while the dependency is being used, else open."""
        return "closed" if self._probe_at is None else "open"

    def allow(self) -> bool:
        """Return whether to call now; while open, True is a probe and comes once an interval."""
        if self._probe_at is None:
            return True
        now = self._clock.monotonic()
        if now < self._probe_at:
            return False
        self._probe_at = now + self._probe_every_s
        return True

    def succeeded(self) -> None:
        """Note that the dependency answered; closes the breaker."""
        self._failures = 0
        if self._probe_at is None:
            return
        self._probe_at = None
        self.reason = ""
        self._reasons.clear()
        self._gauge.set(1)
        log.info("dependency-back", f"{self.name} is back", axon__dependency=self.name)

    def failed(self, reason: str) -> None:
        """Note that it did not; opens the breaker when that was one time too many in a row."""
        self._failures += 1
        if self._failures >= self._failures_to_open or self._probe_at is not None:
            self.trip(reason)

    def trip(self, reason: str) -> None:
        """Open now: there is no doubt that the dependency is away."""
        if self._probe_at is None:
            self._probe_at = self._clock.monotonic() + self._probe_every_s
            self._gauge.set(0)
        self.reason = reason
        if reason not in self._reasons and len(self._reasons) < REASONS_MAX:
            self._reasons.add(reason)
            message = f"{self.name} is away: {reason}"
            log.warning("dependency-away", message, axon__dependency=self.name)
