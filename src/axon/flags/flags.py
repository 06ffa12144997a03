"""START HERE: the flags of one process: asked in memory, kept up to date, and changed."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from axon.base import Clock, IdMint, TaskOwner
from axon.flags.changing import ChangingParts, FlagChanges
from axon.flags.flag_set import FlagSet
from axon.flags.kept import Schedule
from axon.flags.listening import Listener, Listeners
from axon.flags.notices import Notices
from axon.flags.refusals import FlagsUnavailable, UnknownSchedule
from axon.flags.replica import FlagsReplica
from axon.flags.watching import FolderWatch
from axon.journal import Journal, JournalError
from axon.stores import Health, Postgres, Valkey
from axon.telemetry import log

_AGAIN_S = 0.02
"""Between looks for a change of which somebody has heard."""

_LAST_LOOK_S = 1.0
"""How long a look at PostgreSQL that has begun may still take at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagsParts:
    """What the flags of a process need."""

    postgres: Postgres
    valkey: Valkey
    valkey_url: str
    journal: Journal
    mint: IdMint
    clock: Clock
    snapshot: Path
    """The file that stands in for PostgreSQL at start; several processes may share it."""
    folder: Path | None = None
    """Files whose flags are changed there alone."""
    poll_every_ms: int = 400
    """How often PostgreSQL is asked; over Valkey a change is here sooner."""


class Flags:
    """One for each serving process."""

    def __init__(self, parts: FlagsParts) -> None:
        """The parts are opened and closed by their owner."""
        self._parts = parts
        self._replica = FlagsReplica(parts.postgres, parts.snapshot)
        self.changes = FlagChanges(
            ChangingParts(
                postgres=parts.postgres,
                journal=parts.journal,
                mint=parts.mint,
                clock=parts.clock,
                has_folder=parts.folder is not None,
            ),
            self._made,
        )
        """What is done to flags. A change is known here when it returns."""
        self._news = asyncio.Event()
        self._notices = Notices(parts.valkey, parts.valkey_url, parts.clock, self._news.set)
        self._watch = FolderWatch(parts.folder, self.changes, parts.clock) if parts.folder else None
        self._listeners = Listeners(lambda: self.number)
        self._closed = False
        self._tasks = TaskOwner(_task_failed)
        self._listening = TaskOwner(_task_failed)

    @property
    def flag_set(self) -> FlagSet:
        """Return what is asked: the flags as this process knows them now."""
        return self._replica.flag_set

    @property
    def number(self) -> int:
        """Return the number of the newest change that this process knows; 0 for none."""
        return self._replica.number

    @property
    def folder_health(self) -> Health | None:
        """Return how it stands with the folder; None without one."""
        return self._watch.health if self._watch else None

    def version_of(self, name: str) -> int:
        """Return the version of a flag, as its history counts; 0 for one that is not there."""
        kept = self._replica.kept.get(name)
        return kept.version if kept else 0

    async def start(self) -> None:
        """Read the snapshot, ask PostgreSQL once, and keep up; never fails for an outage."""
        await self._replica.load()
        await self._refresh()
        await self._notices.start()
        self._listening.start(self._notices.follow(), "hear of changed flags")
        self._tasks.start(self._keep_up(), "keep up with the flags")
        if self._watch is not None:
            self._tasks.start(self._watch.watch(), "watch the folder of flags")

    def close(self) -> None:
        """Let those who listen go; from now on nobody is told of anything."""
        self._closed = True
        self._listeners.close()

    async def stop(self) -> None:
        """Keep up no more."""
        self.close()
        self._news.set()
        if self._watch is not None:
            self._watch.stop()
        await self._listening.cancel()
        await self._notices.stop()
        await self._tasks.finish(_LAST_LOOK_S)

    def listen(self) -> Listener:
        """Return what hears of changes; its caller closes it. Raises TooManyListeners."""
        return self._listeners.listen()

    async def catch_up(self, number: int, within_s: float) -> None:
        """Return when a change is known here, or when that takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.number < number:
                    await self._refresh()
                    await asyncio.sleep(_AGAIN_S)

    async def _made(self, number: int) -> None:
        """Know a change that was made here, and tell the others."""
        await self._notices.tell(number)
        await self._refresh()

    async def _keep_up(self) -> None:
        every_s = self._parts.poll_every_ms / 1000
        while True:
            with suppress(TimeoutError):  # nothing was heard: it asks all the same
                async with asyncio.timeout(every_s):
                    await self._news.wait()
            self._news.clear()
            if self._closed:
                return
            await self._refresh()
            await self._carry_out_due()

    async def _refresh(self) -> None:
        """Take over what changed; an outage leaves everything as it is."""
        try:
            changed = await self._replica.refresh()
        except FlagsUnavailable:
            return
        if changed:
            self._listeners.tell()

    async def _carry_out_due(self) -> None:
        now_us = self._parts.clock.now_us()
        due: list[Schedule] = [one for one in self._replica.schedules if one.due_us <= now_us]
        for schedule in due:
            try:
                await self.changes.carry_out(schedule)
            except UnknownSchedule:
                continue  # another process was faster
            except (FlagsUnavailable, JournalError):
                return  # its time is over, and it is made when it can be


def _task_failed(name: str, error: BaseException) -> None:
    log.error(
        "task.failed", "A background task failed.", axon__task=name, error__message=repr(error)
    )
