"""How everything is that a serving process depends on, since when, and why."""

import asyncio

from axon.app.folders import DataFolder
from axon.app.roles.serving_rooms import ServingRooms
from axon.app.roles.told_state import SILENT_AFTER_S, ToldState, ToldStates
from axon.app.roles.worker import upstreams_health
from axon.app.settings import SchedulerSettings
from axon.base import MICROS_PER_SECOND, Clock
from axon.inference import Dispatcher
from axon.journal import JournalError
from axon.projection import ProjectorStatus, read_status
from axon.stores import Health
from axon.telemetry import counter, log

CLOCK_STEP_S = 2.0
"""A wall clock that moved so much more or less than the monotonic one was set by somebody. NTP's
own corrections are slewed, and a loop that was held up moves both."""

CLOCK_SUSPECT_S = 60.0
"""How long a step is shown as a degraded mode; its traces in ids and retention are longer."""

LAG_SHOWN_AFTER_S = 30.0
"""A projector this far behind is not just busy with a batch."""

_steps = counter("axon_clock_steps_total", "Times the wall clock was set while Axon ran.")


class Dependencies:
    """One per serving process; `refresh` once a second, `health` whenever somebody asks."""

    def __init__(
        self, rooms: ServingRooms, folder: DataFolder, scheduler: SchedulerSettings
    ) -> None:
        """Nothing has been looked at yet: before the first `refresh` files are not known."""
        self._rooms = rooms
        self._journals = folder.journals
        self._clock: Clock = rooms.door.clock
        self._states = ToldStates(folder.told_states, self._clock)
        self._scheduler = scheduler
        self._looked = False
        self._projector: ProjectorStatus | None = None
        self.told: list[ToldState] = []
        """The last word of every projector, worker and scheduler of this node."""
        self._changes: dict[str, Health] = {}
        self._offset_us = self._wall_offset_us()
        self._stepped_at = float("-inf")
        self._step_s = 0.0

    @property
    def projection_lag_s(self) -> float:
        """Return how far PostgreSQL is behind the journals, in seconds; 0 before it is known."""
        return 0.0 if self._projector is None else self._projector.lag_seconds

    async def refresh(self) -> None:
        """Read what the others say of themselves, and look at the clock."""
        self._watch_clock()
        self.told, self._projector = await asyncio.to_thread(
            lambda: (self._states.read(), read_status(self._journals))
        )
        self._looked = True

    def health(self) -> dict[str, Health]:
        """Return every dependency by its name; costs microseconds and reads no file."""
        rooms = self._rooms
        found = {"postgresql": rooms.postgres.health, "valkey": rooms.valkey.health}
        if isinstance(rooms.worker, Dispatcher):
            queue = "" if rooms.worker.available else "Valkey's queue or bus does not answer"
            found["queue"] = self._since("queue", queue)
        found.update(self._upstreams())
        found["journal-disk"] = self._since("journal-disk", self._journal_reason())
        found["snapshot"] = self._since("snapshot", rooms.door.accounts.snapshot_trouble)
        if rooms.door.flags.folder_health is not None:
            found["flags-folder"] = rooms.door.flags.folder_health
        if rooms.retriever is not None:
            found["retriever"] = rooms.retriever.health
        if rooms.key_root is not None:
            found["key-root"] = rooms.key_root.health
        if rooms.moderator is not None:
            found["moderation"] = rooms.moderator.health
        found["archive"] = rooms.thawing.health
        found["clock"] = self._since("clock", self._clock_reason())
        if self._looked:
            found["projector"] = self._since("projector", self._projector_reason())
            found.update(self._telemetry())
            if not self.elsewhere():
                found["scheduler"] = self._since("scheduler", self._scheduler_reason())
            found.update(self._tasks())
        return found

    def _telemetry(self) -> dict[str, Health]:
        """Return how the collector of traces is, as the projector sees it; nothing without one."""
        for one in self._living("projector"):
            if "telemetry" in one.dependencies:
                return {"telemetry": one.dependencies["telemetry"]}
        return {}

    def elsewhere(self) -> list[str]:
        """Return the roles that this node is without, as the settings want it."""
        return [] if self._scheduler.here or self._living("scheduler") else ["scheduler"]

    def _upstreams(self) -> dict[str, Health]:
        """Return the upstreams as who drives them sees them: the workers, else this process."""
        workers = [one for one in self.told if one.role == "worker"]
        if not isinstance(self._rooms.worker, Dispatcher) or not workers:
            return upstreams_health(self._rooms.models, self._rooms.engines)
        found: dict[str, Health] = {}
        for worker in workers:
            for name, health in worker.dependencies.items():
                if not health.up or name not in found:
                    found[name] = health  # one worker that cannot reach it is worth a word
        return found

    def _journal_reason(self) -> str:
        try:
            self._rooms.journal.admit()
        except JournalError as error:
            return str(error)
        for one in self.told:
            scrubbed = one.dependencies.get("journal-disk")
            if scrubbed is not None and not scrubbed.up:
                return scrubbed.reason
        return ""

    def _projector_reason(self) -> str:
        """Return why PostgreSQL is not being brought up to date; empty while it is."""
        now_us = self._clock.now_us()
        living = self._living("projector")
        status = self._projector
        if not living:
            return "no projector says that it runs"
        away = [one.dependencies["postgresql"] for one in living]
        if not any(health.up for health in away):
            return f"it is without PostgreSQL: {away[0].reason}"
        if status is None:
            return "it has not looked at the journals yet"
        silent_s = (now_us - status.at_us) / MICROS_PER_SECOND
        if silent_s > SILENT_AFTER_S:
            return "it lives, and no batch of it has ended lately"
        stuck = [f"{one.instance}: {one.error}" for one in status.journals if one.error]
        if stuck:
            return stuck[0]
        if status.last_error:
            return status.last_error
        if status.parked:
            return f"{status.parked} records could not be applied; see axon doctor"
        if status.lag_seconds > LAG_SHOWN_AFTER_S:
            return "PostgreSQL is far behind the journals"
        return ""

    def _scheduler_reason(self) -> str:
        """Return why nobody does what is scheduled; empty while somebody does."""
        living = self._living("scheduler")
        if not living:
            return "no scheduler says that it runs"
        away = [one.dependencies["postgresql"] for one in living]
        if not any(health.up for health in away):
            return f"it is without PostgreSQL: {away[0].reason}"
        return ""

    def _tasks(self) -> dict[str, Health]:
        """Return how the scheduled tasks are; of several processes the one that fails."""
        found: dict[str, Health] = {}
        for one in self._living("scheduler"):
            for name, health in one.dependencies.items():
                if name.startswith("task ") and (not health.up or name not in found):
                    found[name] = health
        return found

    def _living(self, role: str) -> list[ToldState]:
        now_us = self._clock.now_us()
        return [
            one
            for one in self.told
            if one.role == role and one.silent_for_s(now_us) < SILENT_AFTER_S
        ]

    def _wall_offset_us(self) -> float:
        return self._clock.now_us() - self._clock.monotonic() * MICROS_PER_SECOND

    def _watch_clock(self) -> None:
        offset_us = self._wall_offset_us()
        moved_s = (offset_us - self._offset_us) / MICROS_PER_SECOND
        self._offset_us = offset_us
        if abs(moved_s) < CLOCK_STEP_S:
            return
        _steps.inc()
        self._step_s, self._stepped_at = moved_s, self._clock.monotonic()
        log.warning("clock.step", "The wall clock was set.", axon__clock__step_s=round(moved_s, 3))

    def _clock_reason(self) -> str:
        if self._clock.monotonic() - self._stepped_at >= CLOCK_SUSPECT_S:
            return ""
        return f"the wall clock was set by {self._step_s:+.1f} s"

    def _since(self, name: str, reason: str) -> Health:
        """Return the state, with the instant at which it last went up or down."""
        before = self._changes.get(name)
        if before is not None and before.up == (not reason):
            found = before._replace(reason=reason)
        else:
            found = Health(not reason, self._clock.now_us(), reason)
        self._changes[name] = found
        return found
