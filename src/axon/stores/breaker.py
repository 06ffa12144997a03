"""Stops calling what does not answer, and says so once."""

from typing import Literal, NamedTuple

from axon.base import Clock, SystemClock
from axon.telemetry import gauge, log

SYSTEM_CLOCK = SystemClock()
"""What a store goes by unless it is handed another clock."""

REASONS_MAX = 8
"""Log lines an outage may have, one for each reason: a server that is first unreachable and then
refuses our password deserves two, a reason with a changing number in it must not flood the log."""

LINES_MAX = 10
"""Log lines of one episode, returns included: a server that comes and goes must not flood it."""

SETTLED_S = 60.0
"""An episode is over once the dependency has been well for so long."""

_up = gauge("axon_dependency_up", "1 while the dependency is being used.", ("dependency",))


class Health(NamedTuple):
    """How a dependency is, for whoever shows it."""

    up: bool
    since_us: int
    """Wall time since which it is so."""
    reason: str
    """Why it is not up; empty when it is."""


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
        self._since_us = clock.now_us()
        self._closed_at = clock.monotonic()
        self._lines = 0
        self._gauge = _up.labels(name)
        self._gauge.set(1)

    @property
    def state(self) -> Literal["closed", "open"]:
        """Return closed while the dependency is being used, else open."""
        return "closed" if self._probe_at is None else "open"

    @property
    def health(self) -> Health:
        """Return the state, since when, and why."""
        return Health(self._probe_at is None, self._since_us, self.reason)

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
        self._since_us = self._clock.now_us()
        self._closed_at = self._clock.monotonic()
        self._gauge.set(1)
        if self._may_speak():
            log.info(
                "dependency-back",
                f"{self.name} is back{self._last_word()}",
                axon__dependency=self.name,
            )

    def failed(self, reason: str) -> None:
        """Note that it did not; opens the breaker when that was one time too many in a row."""
        self._failures += 1
        if self._failures >= self._failures_to_open or self._probe_at is not None:
            self.trip(reason)

    def trip(self, reason: str) -> None:
        """Open now: there is no doubt that the dependency is away."""
        if self._probe_at is None:
            now = self._clock.monotonic()
            if now - self._closed_at >= SETTLED_S:
                self._lines = 0
            self._probe_at = now + self._probe_every_s
            self._since_us = self._clock.now_us()
            self._gauge.set(0)
        self.reason = reason
        if reason not in self._reasons and len(self._reasons) < REASONS_MAX:
            self._reasons.add(reason)
            if self._may_speak():
                log.warning(
                    "dependency-away",
                    f"{self.name} is away: {reason}{self._last_word()}",
                    axon__dependency=self.name,
                )

    def _may_speak(self) -> bool:
        self._lines += 1
        return self._lines <= LINES_MAX

    def _last_word(self) -> str:
        if self._lines < LINES_MAX:
            return ""
        return f" (nothing more is said of it until it has been well for {SETTLED_S:.0f} s)"
