"""One machine: a disk, two processes that die and are started again, and the stores they use."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from axon.base import Randomness
from axon.journal import DiskLow, JournalFailed, JournalFull
from axon.sealing import Keyring
from tests.simulation.disk import SimulatedDisk
from tests.simulation.engine import EngineLog
from tests.simulation.planted import Plant
from tests.simulation.postgres import SimulatedPostgres
from tests.simulation.projecting import project
from tests.simulation.real_servers import RealPostgres, RealValkey
from tests.simulation.serving import Serving, open_serving
from tests.simulation.valkey import SimulatedValkey
from tests.simulation.world import Process, World, WorldClock, WorldRandomness

INSTANCE = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """What is not simulated: the servers behind the network, and where files lie."""

    postgres: RealPostgres
    valkey: RealValkey
    folder: Path


_REFUSED = (OSError, JournalFailed, JournalFull, DiskLow)
"""Why a process may end while it starts: the disk does not take what must be written first."""


class Machine:
    """What one world is about."""

    def __init__(self, world: World, real: Real, plant: Plant) -> None:
        """Everything is empty; nothing runs before `start`."""
        self.world = world
        self.plant = plant
        self.clock = WorldClock(world)
        self.randomness: Randomness = WorldRandomness(world.seed)
        self.folder = real.folder
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "journal").mkdir(parents=True)
        real.postgres.wipe()
        real.valkey.wipe()
        self.keyring = Keyring.open(self.folder / "keyring.json", self.randomness)
        self.disk = SimulatedDisk(world)
        self.disk.on_power_cut = self.lose_power
        self.disk.retried_flush = plant is Plant.RETRIED_FLUSH
        self.postgres = SimulatedPostgres(world, real.postgres, plant)
        self.valkey = SimulatedValkey(world, real.valkey)
        self.engine = EngineLog()
        self.answers_without_history = world.chance(0.3)
        self.serving: Serving | None = None
        self.processes: dict[str, Process] = {}
        self.problems: list[str] = []
        self.lives = 0
        self.on_serving: list[Callable[[Serving | None], None]] = []
        """Told when the serving process is ready, and with None when it died."""
        vars(asyncpg)["connect"] = self.postgres.connect  # the network ends here

    @property
    def journal(self) -> Path:
        """Return the journal's folder."""
        return self.folder / "journal" / INSTANCE

    def start(self, name: str) -> None:
        """Start a process; it is started again whenever it dies, as the supervisor does."""
        process = Process(self.world, name)
        process.connect = self.valkey.connect
        process.on_death.append(lambda: self._died(process))
        self.processes[name] = process
        work = self._serve(process) if name == "serving" else self._project(process)

        def begin() -> None:
            process.create_task(work).add_done_callback(lambda task: self._ended(process, task))

        process.call_soon(begin)

    async def _serve(self, process: Process) -> None:
        self.lives += 1
        self.serving = None
        serving = await open_serving(self, process)
        self.world.tell(f"serving is ready, life {self.lives}")
        self.serving = serving
        for tell in self.on_serving:
            tell(serving)
        await serving.keep_up()

    async def _project(self, process: Process) -> None:
        await project(self, process)

    def _ended(self, process: Process, task: "asyncio.Task[None]") -> None:
        """A process that ended by itself: its role raised."""
        if process.dead:
            return
        if isinstance(task.exception(), _REFUSED):
            self.world.tell(f"{process.name} gives up: {task.exception()}")
        else:
            self.problems.append(f"{process.name} ended: {task.exception()!r}")
        process.die()

    def _died(self, process: Process) -> None:
        self.problems += process.errors
        self.postgres.process_died(process)
        self.valkey.process_died(process)
        if process.name == "serving":
            self.serving = None
            self.disk.process_died()
            (self.journal / "lock").unlink(missing_ok=True)  # the kernel lets go of it
            for tell in self.on_serving:
                tell(None)
        if self.processes.get(process.name) is process:
            del self.processes[process.name]

    def kill(self, name: str) -> None:
        """Kill -9, when it runs."""
        process = self.processes.get(name)
        if process is not None:
            self.world.tell(f"{name} is killed")
            process.die()

    def lose_power(self) -> None:
        """Both processes and the machine's memory are gone."""
        self.world.tell("the power fails")
        for name in list(self.processes):
            self.processes[name].die()
        self.disk.power_lost()
        for name in ("durable", "cursor", "unfinished"):
            mark = self.journal / name
            if mark.exists() and self.world.chance(0.5):
                mark.unlink()
        self.valkey.go_away()
        self.valkey.come_back()
