"""Keeps a set of programs running: one watcher each, restarts with backoff, an ordered stop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from axon.app.embedded.process import Program, last_words
from axon.app.supervisor.backoff import Backoff
from axon.app.supervisor.child import Child
from axon.base import AxonError, Clock, TaskOwner

EARLY_DEATHS_MAX = 5
"""A program that ends this often before it was ever ready will not become ready by itself."""

READY_POLL_S = 0.02

NOT_LAUNCHED = 127
"""What a shell answers for a program it cannot run."""


class RoleFailed(AxonError):
    """A process ended again and again while it was starting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that happened to a program."""

    role: str
    what: Literal["started", "ready", "ended", "stopped"]
    pid: int
    instance: str = ""
    exit_code: int = 0
    restart_in_s: float = 0.0

    @property
    def name(self) -> str:
        """Return what a person calls the program."""
        return self.instance or self.role


class _Watched:
    """One program and its present process."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.child: Child | None = None
        self.backoff = Backoff()
        self.was_ready = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None


class Supervisor:
    """Runs programs until told to stop; belongs to the loop of the main thread."""

    def __init__(self, clock: Clock, on_change: Callable[[Change], None]) -> None:
        """`on_change` is called on the loop and must not block."""
        self._clock = clock
        self._on_change = on_change
        self._watched: list[_Watched] = []
        self._owner = TaskOwner(self._watcher_failed)

    @property
    def pids(self) -> dict[str, list[int]]:
        """Return the ids of the living processes, by role."""
        found: dict[str, list[int]] = {}
        for watched in self._watched:
            if watched.child is not None and watched.child.alive:
                found.setdefault(watched.program.role, []).append(watched.child.pid)
        return found

    def start(self, program: Program) -> asyncio.Future[None]:
        """Start the program; return a future that is done once it is ready.

        It is kept running from now on. The future gets RoleFailed when the program ends
        EARLY_DEATHS_MAX times before that, and what preparing or launching it raises.
        """
        watched = _Watched(program)
        self._watched.append(watched)
        watched.task = self._owner.start(self._keep_running(watched), program.name)
        return watched.ready

    async def stop(self) -> None:
        """Stop everything, the last started first, those of one role together.

        Each has its own bound, and the siblings among them must not wait for each other.
        """
        for _, group in groupby(reversed(self._watched), lambda watched: watched.program.role):
            await asyncio.gather(*(self._stop(watched) for watched in group))
        self._watched.clear()

    async def _stop(self, watched: _Watched) -> None:
        if watched.task is not None:
            watched.task.cancel()
            await asyncio.wait([watched.task])
        if watched.child is not None:
            await watched.child.stop()
            self._tell(watched, "stopped")

    def kill(self) -> None:
        """Kill everything at once, without waiting."""
        for watched in self._watched:
            if watched.child is not None:
                watched.child.kill()

    async def _keep_running(self, watched: _Watched) -> None:
        """Run the program again whenever it ends; ends only when cancelled or given up."""
        program = watched.program
        while True:
            started = self._clock.monotonic()
            try:
                await asyncio.to_thread(program.before_start)
                watched.child = child = Child(program)
            except (OSError, AxonError):
                if not watched.was_ready:
                    raise  # the caller of start() learns it
                exit_code = NOT_LAUNCHED
            else:
                self._tell(watched, "started")
                exit_code = await self._until_it_ends(watched, child)
            delay = watched.backoff.after_death(self._clock.monotonic() - started)
            self._tell(watched, "ended", exit_code, delay)
            if not watched.was_ready and watched.backoff.early_deaths >= EARLY_DEATHS_MAX:
                words = f"{program.name} ended with {exit_code}: {last_words(program)}"
                watched.ready.set_exception(RoleFailed(words))
                return
            await asyncio.sleep(delay)

    async def _until_it_ends(self, watched: _Watched, child: Child) -> int:
        """Announce when the process is ready; return its exit code once it has ended."""
        while child.alive:
            if await watched.program.is_ready():
                watched.was_ready = True
                self._tell(watched, "ready")
                if not watched.ready.done():
                    watched.ready.set_result(None)
                break
            await asyncio.sleep(READY_POLL_S)
        return await child.wait()

    def _watcher_failed(self, name: str, error: BaseException) -> None:
        """Pass on what kept a program from being launched to whoever waits for it."""
        for watched in self._watched:
            if watched.program.name == name and not watched.ready.done():
                watched.ready.set_exception(error)
                return
        raise error  # a fault of ours: the loop prints it with its traceback

    def _tell(
        self,
        watched: _Watched,
        what: Literal["started", "ready", "ended", "stopped"],
        exit_code: int = 0,
        restart_in_s: float = 0.0,
    ) -> None:
        child = watched.child
        self._on_change(
            Change(
                role=watched.program.role,
                instance=watched.program.instance,
                what=what,
                pid=child.pid if child is not None else 0,
                exit_code=exit_code,
                restart_in_s=restart_in_s,
            )
        )
