"""The serving process, as the serving role wires it, but for HTTP and the engine's connections."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING

from axon.app.roles.reading_back import read_journal
from axon.base import KIB, MIB, IdMint, TaskOwner, instance_mark
from axon.conversations import Conversations, ConversationsParts
from axon.inference import Engines, Inference, LocalBus, LocalQueue, Model, ModelTable, Upstream
from axon.journal import (
    Journal,
    JournalEnvironment,
    JournalOptions,
    Mark,
    read_cursor,
)
from axon.limits import Limits, LimitsParts
from axon.metering import PriceBook
from axon.sealing import KeyStore
from axon.stores import Postgres, PostgresOptions, Valkey
from axon.turns import TurnOptions, TurnRooms, Turns
from tests.simulation.carrier import SimulatedCarrier
from tests.simulation.engine import MODEL, SimulatedEngine
from tests.simulation.planted import Plant, planted_functions
from tests.simulation.world import Process

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

PRUNE_EVERY_S = 0.25
ENTRY_BYTES_MAX = 48 * KIB
SEGMENT_BYTES = 64 * KIB
"""So small that a world has several segments."""

LOW_WATER_BYTES = MIB

_MODELS = ModelTable(
    (
        Model(
            alias=MODEL,
            context_window=10_000_000,
            output_tokens_max=1000,
            upstreams=(Upstream(name="engine", base_url="http://127.0.0.1:1", model="m"),),
        ),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A serving process that is ready."""

    machine: "Machine"
    process: Process
    journal: Journal
    conversations: Conversations
    turns: Turns

    async def keep_up(self) -> None:
        """Forget what PostgreSQL has, until the process is killed."""
        while True:
            projected = read_cursor(self.journal.directory)
            self.conversations.tail.prune(projected)
            await asyncio.sleep(PRUNE_EVERY_S)


def _turn_options(machine: "Machine") -> TurnOptions:
    return TurnOptions(
        wait_s=10.0,
        deadline_s=30.0,
        progress_every_s=0.2,
        answers_without_history=machine.answers_without_history,
    )


def _limits(machine: "Machine", postgres: Postgres, valkey: Valkey, journal: Journal) -> Limits:
    return Limits(
        LimitsParts(
            postgres=postgres,
            valkey=valkey,
            clock=machine.clock,
            randomness=machine.randomness,
            instance=journal.instance,
            projected=lambda: read_cursor(journal.directory),
            snapshot=machine.folder / "limits.json",
        )
    )


async def open_serving(machine: "Machine", process: Process) -> Serving:
    """Recover the journal and return what takes requests."""
    clock, randomness, keyring = machine.clock, machine.randomness, machine.keyring
    mint = IdMint(keyring.identity, clock, randomness, instance_mark("node"))
    keys = KeyStore(machine.folder / "keys", keyring, clock, randomness)
    postgres = Postgres("simulated", PostgresOptions(connections_max=6), clock)
    await postgres.start()
    journal = _open_journal(machine, process)
    valkey = Valkey("unix:///simulated", clock=clock)
    conversations = Conversations(
        ConversationsParts(
            postgres=postgres,
            valkey=valkey,
            journal=journal,
            keys=keys,
            mint=mint,
            clock=clock,
            randomness=randomness,
            instance=journal.instance,
            epoch_path=machine.folder / "epoch",
        )
    )
    if machine.plant is Plant.RESEED_ADDS:
        source = files("axon.conversations").joinpath("window.lua").read_text()
        valkey.load_functions("axon_conversations", planted_functions(source))
    unfinished = Mark(journal.directory / "unfinished", writable=True)
    limits = _limits(machine, postgres, valkey, journal)
    turns = Turns(
        TurnRooms(
            journal=journal,
            conversations=conversations,
            inference=_inference(machine, process),
            models=_MODELS,
            prices=PriceBook(),
            limits=limits,
            keys=keys,
            mint=mint,
            clock=clock,
            randomness=randomness,
            tasks=TaskOwner(_problem(process)),
            identity=keyring.derive("idempotency"),
        ),
        _turn_options(machine),
        unfinished,
    )
    left_open = await asyncio.to_thread(read_journal, journal, unfinished, conversations, turns)
    await valkey.start()
    await conversations.open()
    await limits.start()
    await turns.recover(left_open)
    return Serving(
        machine=machine,
        process=process,
        journal=journal,
        conversations=conversations,
        turns=turns,
    )


def _inference(machine: "Machine", process: Process) -> Inference:
    """Return the way to an engine that serves from now on."""
    queue, bus = LocalQueue(), LocalBus(machine.clock)
    tasks = TaskOwner(_problem(process))
    SimulatedEngine(machine.world, machine.engine, bus, tasks).serve(queue)
    return Inference(queue, bus, Engines((), machine.clock))


def _open_journal(machine: "Machine", process: Process) -> Journal:
    def on_fatal(error: BaseException) -> None:
        machine.world.tell(f"the journal failed: {error}")
        process.call_later(machine.world.between(0.0, 1.0), process.die)

    return Journal.open(
        machine.journal,
        machine.journal.name,
        JournalOptions(
            segment_bytes=SEGMENT_BYTES,
            entry_bytes_max=ENTRY_BYTES_MAX,
            queue_entries_max=256,
            queue_bytes_max=4 * ENTRY_BYTES_MAX,
            reserve_bytes=4096,
            low_water_bytes=LOW_WATER_BYTES,
            acknowledge_before_fsync=machine.plant is Plant.ACKNOWLEDGE_EARLY,
        ),
        JournalEnvironment(
            disk=machine.disk,
            clock=machine.clock,
            on_fatal=on_fatal,
            carrier=partial(SimulatedCarrier, process),
        ),
    )


def _problem(process: Process) -> Callable[[str, BaseException], None]:
    return lambda name, error: process.errors.append(f"task {name}: {error!r}")
