"""One timer for everything that has an instant by which it must have ended."""

import asyncio
from typing import Protocol

from axon.base import Clock

TICK_S = 0.05
"""How late an expiry may be noticed. A timer per job would cost more than the job's own work."""


class Watched(Protocol):
    """Something that must not last for ever."""

    due: float
    """The instant, in monotonic seconds; it may change at any time."""

    def expired(self, now: float) -> None:
        """`due` has passed. The watch goes on until `forget`."""
        ...


class Deadlines:
    """Looks at all it watches every TICK_S seconds, and rests while it watches nothing."""

    __slots__ = ("_clock", "_timer", "_watched")

    def __init__(self, clock: Clock) -> None:
        """Use the clock's monotonic seconds."""
        self._clock = clock
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many are watched."""
        return len(self._watched)

    def watch(self, one: Watched) -> None:
        """Call `one.expired` on every tick from its `due` on."""
        self._watched.add(one)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def forget(self, one: Watched) -> None:
        """Stop watching one; may be repeated."""
        self._watched.discard(one)

    def close(self) -> None:
        """Watch nothing any more."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        if not self._watched:
            return
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        now = self._clock.monotonic()
        for one in [one for one in self._watched if one.due <= now]:
            one.expired(now)
