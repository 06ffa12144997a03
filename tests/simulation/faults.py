"""What goes wrong, and when: drawn from the dice of the world."""

import asyncio
from collections.abc import Callable

from tests.simulation.disk import PLENTY
from tests.simulation.machine import Machine
from tests.simulation.postgres import Ambush

FAULTS_MAX = 12
KINDS_MAX = 4
"""Besides one way to die: few kinds, often, find more than many kinds, seldom."""

RESTART_WITHIN_S = 1.5


class Misfortune:
    """Breaks things for a while; `heal` makes good whatever it left broken."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._world = machine.world

    async def strike(self, until_s: float) -> None:
        """Let some faults happen before that time: crashes and a few other kinds, which meet."""
        world = self._world
        crash = world.dice.choice([self._kill_serving, self._kill_both, self._cut_power])
        kinds = [crash, *world.dice.sample(self._kinds(), world.dice.randint(1, KINDS_MAX))]
        for _ in range(world.dice.randint(1, FAULTS_MAX)):
            await asyncio.sleep(world.between(0.0, until_s / 3))
            if world.now >= until_s:
                break
            fault = world.dice.choice(kinds)
            world.tell(fault.__name__.strip("_"))
            fault()

    def _kinds(self) -> list[Callable[[], None]]:
        return [
            self._kill_serving,
            self._kill_projector,
            self._kill_both,
            *[self._ambush] * 2,
            self._cut_power,
            *[self._break_a_flush] * 3,  # the rarest to do harm: somebody must die soon after
            self._fill_disk,
            self._postgres_away,
            self._postgres_frozen,
            self._postgres_slow,
            self._postgres_unreliable,
            self._valkey_away,
            self._valkey_frozen,
            self._valkey_unreliable,
            self._valkey_forgets,
            self._valkey_saves,
            self._engine_fails,
            self._clock_steps,
        ]

    async def restart(self) -> None:
        """Start whatever does not run, as the supervisor does."""
        while True:
            await asyncio.sleep(self._world.between(0.02, RESTART_WITHIN_S))
            for name in ("serving", "projector"):
                if name not in self._machine.processes:
                    self._machine.start(name)

    def _for_a_while(self, mend: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self._world.between(0.05, 5.0), mend)

    # ---- processes ----

    def _at_some_step(self, name: str) -> None:
        process = self._machine.processes.get(name)
        if process is not None:
            process.dies_at_step = process.steps + self._world.dice.randint(1, 300)

    def _kill_serving(self) -> None:
        self._at_some_step("serving")

    def _kill_projector(self) -> None:
        self._at_some_step("projector")

    def _kill_both(self) -> None:
        self._machine.kill("serving")
        self._machine.kill("projector")

    def _ambush(self) -> None:
        """Wait for a statement of one of them, above all for a COMMIT."""
        self._machine.postgres.ambush = Ambush(
            process=self._world.dice.choice(["projector", "projector", "serving"]),
            statements=self._world.dice.choice([0, self._world.dice.randint(1, 40)]),
            deadly=self._world.chance(0.5),
            afterwards=self._world.chance(0.5),
        )

    # ---- the disk ----

    def _cut_power(self) -> None:
        if self._world.chance(0.3):
            self._machine.lose_power()
        else:
            self._machine.disk.power_cut_at = self._world.dice.randint(0, 20)

    def _break_a_flush(self) -> None:
        self._machine.disk.fail_flushes = self._world.dice.choice([1, 1, 2])

    def _fill_disk(self) -> None:
        disk = self._machine.disk
        disk.free = 0
        disk.refuse_writes = self._world.chance(0.3)

        def mend() -> None:
            disk.free, disk.refuse_writes = PLENTY, False

        self._for_a_while(mend)

    # ---- the stores ----

    def _postgres_away(self) -> None:
        postgres = self._machine.postgres
        postgres.go_away()
        self._for_a_while(lambda: setattr(postgres, "up", True))

    def _postgres_frozen(self) -> None:
        self._machine.postgres.frozen = True
        self._for_a_while(self._machine.postgres.thaw)

    def _postgres_slow(self) -> None:
        postgres = self._machine.postgres
        postgres.slow = self._world.dice.choice([10.0, 100.0, 1000.0])
        self._for_a_while(lambda: setattr(postgres, "slow", 1.0))

    def _postgres_unreliable(self) -> None:
        postgres = self._machine.postgres
        postgres.lose_connections = self._world.dice.choice([0.01, 0.1])
        postgres.refuse_transactions = self._world.dice.choice([0.0, 0.3])

        def mend() -> None:
            postgres.lose_connections = postgres.refuse_transactions = 0.0

        self._for_a_while(mend)

    def _valkey_away(self) -> None:
        valkey = self._machine.valkey
        if valkey.up:
            valkey.go_away()
            self._for_a_while(valkey.come_back)

    def _valkey_frozen(self) -> None:
        self._machine.valkey.frozen = True
        self._for_a_while(self._machine.valkey.thaw)

    def _valkey_unreliable(self) -> None:
        valkey = self._machine.valkey
        valkey.lose_connections = self._world.dice.choice([0.02, 0.2])
        valkey.slow = self._world.dice.choice([1.0, 30.0])

        def mend() -> None:
            valkey.lose_connections, valkey.slow = 0.0, 1.0

        self._for_a_while(mend)

    def _valkey_forgets(self) -> None:
        if self._world.chance(0.5):
            self._machine.valkey.forget()
        else:
            self._machine.valkey.forget_some()

    def _valkey_saves(self) -> None:
        self._machine.valkey.save()

    # ---- the rest ----

    def _engine_fails(self) -> None:
        engine = self._machine.engine
        engine.fail = self._world.dice.choice([0.2, 1.0])
        engine.slow = self._world.dice.choice([1.0, 10.0])

        def mend() -> None:
            engine.fail, engine.slow = 0.0, 1.0

        self._for_a_while(mend)

    def _clock_steps(self) -> None:
        """The wall clock is set, back or forward."""
        self._machine.clock.ahead_us += self._world.dice.randint(-2_000_000, 2_000_000)

    def heal(self) -> None:
        """Make everything good, at once."""
        machine = self._machine
        machine.disk.free, machine.disk.refuse_writes = PLENTY, False
        machine.disk.power_cut_at, machine.disk.fail_flushes = -1, 0
        machine.postgres.up, machine.postgres.slow = True, 1.0
        machine.postgres.lose_connections = machine.postgres.refuse_transactions = 0.0
        machine.postgres.ambush = None
        machine.postgres.thaw()
        if not machine.valkey.up:
            machine.valkey.come_back()
        machine.valkey.lose_connections, machine.valkey.slow = 0.0, 1.0
        machine.valkey.thaw()
        machine.engine.fail, machine.engine.slow = 0.0, 1.0
        for process in machine.processes.values():
            process.dies_at_step = -1
