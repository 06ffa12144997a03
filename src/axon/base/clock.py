"""Time behind an interface, so that the simulator can own it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where instants come from; nothing else in Axon reads the time."""

    def now_us(self) -> int:
        """Return the wall time in microseconds since 1970-01-01 UTC; it may step backwards."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; it never steps backwards. Leases use it."""
        ...


class SystemClock:
    """The clock of the machine."""

    __slots__ = ()

    def now_us(self) -> int:
        """Return the wall time in microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000

    monotonic = staticmethod(time.monotonic)
    """Seconds of the machine's monotonic clock; asked ten times a turn, so without a frame."""


def utc_from_us(instant_us: int) -> datetime:
    """Return the aware UTC datetime of an instant given in microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=instant_us)
