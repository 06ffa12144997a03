"""One seed: a world, its people and its misfortunes, and whether every promise was kept."""

import asyncio
import time
from dataclasses import dataclass

from axon.journal import read_cursor, read_durable
from tests.simulation.checker import check
from tests.simulation.faults import Misfortune
from tests.simulation.ledger import Ledger
from tests.simulation.machine import Machine, Real
from tests.simulation.network import Network
from tests.simulation.people import Person
from tests.simulation.planted import Plant
from tests.simulation.world import Process, Stuck, World

MISFORTUNE_S = 7.0
"""How long things go wrong, in the world's time; as long people find something to do."""

PEACE_S = 120.0
"""How long the world may then take to come to rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a seed."""

    seed: int
    broken: list[str]
    trace: str
    virtual_s: float
    real_s: float
    events: int
    acknowledged: int
    deaths: int
    refusals: dict[str, int]
    story: list[str]


def run_seed(seed: int, real: Real, plant: Plant = Plant.NONE) -> Outcome:
    """Let a world happen and look at what it leaves."""
    began_s = time.perf_counter()
    world = World(seed)
    machine, ledger = Machine(world, real, plant), Ledger()
    clients = Process(world, "clients")
    machine.start("serving")
    machine.start("projector")
    life = clients.create_task(_happen(machine, clients, ledger))
    try:
        world.run(life.done)
        life.result()
        broken = check(machine, ledger)
    except (Stuck, AssertionError, TimeoutError) as error:
        broken = [*machine.problems, *ledger.contradictions, f"{type(error).__name__}: {error}"]
    broken += clients.errors
    machine.postgres.close()
    for name in list(machine.processes):
        machine.processes[name].die()
    return Outcome(
        seed=seed,
        broken=broken,
        trace=world.trace,
        virtual_s=world.now,
        real_s=time.perf_counter() - began_s,
        events=world.events,
        acknowledged=ledger.acknowledged,
        deaths=machine.lives - 1,
        refusals=ledger.refusals,
        story=world.told,
    )


async def _happen(machine: Machine, clients: Process, ledger: Ledger) -> None:
    world = machine.world
    network, misfortune = Network(machine, clients), Misfortune(machine)
    clients.create_task(misfortune.restart())
    people = _people(machine, network, ledger)
    lives = [clients.create_task(person.live(MISFORTUNE_S)) for person in people]
    striking = clients.create_task(misfortune.strike(MISFORTUNE_S))
    await asyncio.sleep(max(0.0, MISFORTUNE_S - world.now))
    await striking
    misfortune.heal()
    world.tell("peace")
    async with asyncio.timeout(PEACE_S):
        await asyncio.gather(*lives)
        while not _at_rest(machine):
            await asyncio.sleep(0.2)


def _people(machine: Machine, network: Network, ledger: Ledger) -> list[Person]:
    people: list[Person] = []
    for number in range(machine.world.dice.randint(2, 4)):
        first = Person(machine, network, ledger, f"{chr(97 + number)}1")
        people.append(first)
        if machine.world.chance(0.5):
            second = Person(machine, network, ledger, f"{chr(97 + number)}2")
            second.partner = first
            people.append(second)
    return people


def _at_rest(machine: Machine) -> bool:
    """Return whether nothing is left to do."""
    serving = machine.serving
    if serving is None or len(serving.turns) or "projector" not in machine.processes:
        return False
    return read_durable(machine.journal) == read_cursor(machine.journal)
