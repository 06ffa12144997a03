"""What a serving process does on the side: retires segments, and says how it is."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from axon import __version__
from axon.app.folders import DataFolder
from axon.app.roles.dependencies import Dependencies
from axon.app.roles.projection_lag import ProjectionLag
from axon.app.roles.serving_rooms import ServingRooms
from axon.app.roles.told_state import SILENT_AFTER_S
from axon.app.settings import SchedulerSettings
from axon.base import utc_from_us
from axon.gateway import Status
from axon.journal import JournalError, read_cursor
from axon.stores import Health
from axon.telemetry import gauge, log

_PRUNE_EVERY_S = 0.25
"""PostgreSQL is usually this far behind or less; pruning more often would find nothing."""

_LOOK_EVERY_S = 1.0
"""How often what the other processes say of themselves is read; they write it as often."""

_RETIRE_EVERY_S = 60.0
"""How often segments that may go are looked for."""

_lag = gauge("axon_projection_lag_records", "Journal entries PostgreSQL does not have yet.")
_lag_s = gauge(
    "axon_projection_lag_seconds", "How long PostgreSQL has lacked the oldest entry it lacks."
)
_degraded = gauge("axon_degraded_mode", "1 while this dependency is done without.", ("dependency",))
_running = gauge("axon_turns_running", "Turns between acceptance and acknowledgement.")


@dataclass(slots=True)
class Upkeep:
    """One per process; `keep_up` runs as a background task."""

    rooms: ServingRooms
    folder: DataFolder
    scheduler: SchedulerSettings
    draining: bool = False
    dependencies: Dependencies = field(init=False)
    lag: ProjectionLag = field(init=False)

    def __post_init__(self) -> None:
        """Look at everything from now on."""
        self.dependencies = Dependencies(self.rooms, self.folder, self.scheduler)
        self.lag = ProjectionLag(self.rooms.door.clock)

    async def keep_up(self) -> None:
        """Forget what PostgreSQL has: in the tail at once, on disk after its retention."""
        retire_at_s = look_at_s = 0.0
        clock = self.rooms.door.clock
        while True:
            projected = self._projected()
            self.rooms.door.conversations.tail.prune(projected)
            self.lag.look(self.rooms.journal.durable_through, projected)
            if clock.monotonic() >= look_at_s:
                look_at_s = clock.monotonic() + _LOOK_EVERY_S
                await self.dependencies.refresh()
            if clock.monotonic() >= retire_at_s:
                retire_at_s = clock.monotonic() + _RETIRE_EVERY_S
                retired = await asyncio.to_thread(self.rooms.journal.retire, self._kept_from())
                if retired:
                    log.info("journal.retired", "Deleted segments.", axon__segments=len(retired))
            await asyncio.sleep(_PRUNE_EVERY_S)

    def _kept_from(self) -> int:
        """Return how far nobody needs the journal any more: PostgreSQL has it, and every turn in it
        has its place."""
        projected, unplaced = self._projected(), self.rooms.door.conversations.unplaced_from
        return projected if unplaced is None else min(projected, unplaced - 1)

    def _projected(self) -> int:
        return read_cursor(self.rooms.journal.directory)

    def not_ready(self) -> str | None:
        """Return why no turn can be taken, or None."""
        if self.draining:
            return "draining"
        try:
            self.rooms.journal.admit()
        except JournalError as error:
            return str(error)
        return None

    def measure(self) -> None:
        """Bring the gauges up to date, for a scrape."""
        durable, projected = self.rooms.journal.durable_through, self._projected()
        _lag.set(durable - projected)
        _lag_s.set(max(self.lag.look(durable, projected), self.dependencies.projection_lag_s))
        _running.set(len(self.rooms.door.turns))
        for dependency, health in self.dependencies.health().items():
            _degraded.labels(dependency).set(not health.up)

    def other_pages(self) -> dict[str, bytes]:
        """Return the metrics of the processes that answer no HTTP, as they last told them."""
        now_us = self.rooms.door.clock.now_us()
        pages: dict[str, bytes] = {}
        count: Counter[str] = Counter()
        for one in self.dependencies.told:
            if one.silent_for_s(now_us) < SILENT_AFTER_S:
                count[one.role] += 1
                name = one.role if count[one.role] == 1 else f"{one.role}-{count[one.role]}"
                pages[name] = one.metrics.encode()
        return pages

    def status(self) -> Status:
        """Return what `GET /status` shows."""
        durable, projected = self.rooms.journal.durable_through, self._projected()
        health = self.dependencies.health()
        recovery = self.rooms.journal.recovery
        return {
            "version": __version__,
            "ready": self.not_ready() is None,
            "degraded": [name for name, one in health.items() if not one.up],
            "elsewhere": self.dependencies.elsewhere(),
            "journal": {
                "instance": self.rooms.journal.instance,
                "durable_through": durable,
                "projected_through": projected,
                "lag_records": durable - projected,
                "torn_bytes_at_start": recovery.torn_bytes,
            },
            "turns": {"running": len(self.rooms.door.turns)},
            "dependencies": {name: _shown(one) for name, one in health.items()},
            "accounts": {"confirmed_s_ago": _finite(self.rooms.door.accounts.age_s)},
            "durability": "acknowledged turns are on this node's disk; PostgreSQL has them "
            "'lag_records' later, and the loss of the disk itself can lose those",
        }


def _shown(health: Health) -> dict[str, object]:
    since = utc_from_us(health.since_us).isoformat(timespec="milliseconds")
    return {"up": health.up, "since": since, "reason": health.reason}


def _finite(seconds: float) -> float | None:
    """Return the seconds for JSON, None for never."""
    return round(seconds, 1) if seconds < float("inf") else None
