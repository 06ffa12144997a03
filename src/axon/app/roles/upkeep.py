"""What a serving process does on the side: retires segments, and says how it is."""

import asyncio
from dataclasses import dataclass

from axon import __version__
from axon.app.folders import DataFolder
from axon.app.roles.serving_rooms import ServingRooms
from axon.gateway import Status
from axon.journal import JournalError, read_cursor
from axon.telemetry import gauge, log

_PRUNE_EVERY_S = 0.25
"""PostgreSQL is usually this far behind or less; pruning more often would find nothing."""

_RETIRE_EVERY_S = 60.0
"""How often segments that may go are looked for."""

_lag = gauge("axon_projection_lag_records", "Journal entries PostgreSQL does not have yet.")
_degraded = gauge("axon_degraded_mode", "1 while this dependency is done without.", ("dependency",))
_running = gauge("axon_turns_running", "Turns between acceptance and acknowledgement.")


@dataclass(slots=True)
class Upkeep:
    """One per process; `keep_up` runs as a background task."""

    rooms: ServingRooms
    folder: DataFolder
    draining: bool = False

    async def keep_up(self) -> None:
        """Forget what PostgreSQL has: in the tail at once, on disk after its retention."""
        retire_at_s = 0.0
        clock = self.rooms.door.clock
        while True:
            projected = self._projected()
            self.rooms.door.conversations.tail.prune(projected)
            if clock.monotonic() >= retire_at_s:
                retire_at_s = clock.monotonic() + _RETIRE_EVERY_S
                retired = await asyncio.to_thread(self.rooms.journal.retire, projected)
                if retired:
                    log.info("journal.retired", "Deleted segments.", axon__segments=len(retired))
            await asyncio.sleep(_PRUNE_EVERY_S)

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

    def _degraded_modes(self) -> dict[str, bool]:
        return {
            "postgresql": not self.rooms.postgres.available,
            "valkey": not self.rooms.valkey.available,
        }

    def measure(self) -> None:
        """Bring the gauges up to date, for a scrape."""
        _lag.set(self.rooms.journal.durable_through - self._projected())
        _running.set(len(self.rooms.door.turns))
        for dependency, degraded in self._degraded_modes().items():
            _degraded.labels(dependency).set(degraded)

    def status(self) -> Status:
        """Return what `GET /status` shows."""
        durable, projected = self.rooms.journal.durable_through, self._projected()
        degraded = [name for name, is_so in self._degraded_modes().items() if is_so]
        recovery = self.rooms.journal.recovery
        return {
            "version": __version__,
            "ready": self.not_ready() is None,
            "degraded": degraded,
            "journal": {
                "instance": self.rooms.journal.instance,
                "durable_through": durable,
                "projected_through": projected,
                "lag_records": durable - projected,
                "torn_bytes_at_start": recovery.torn_bytes,
            },
            "turns": {"running": len(self.rooms.door.turns)},
            "dependencies": {
                "postgresql": {"up": self.rooms.postgres.available},
                "valkey": {"up": self.rooms.valkey.available},
            },
            "durability": "acknowledged turns are on this node's disk; PostgreSQL has them "
            "'lag_records' later, and the loss of the disk itself can lose those",
        }
