"""The projector's process, as the projector role wires it."""

import asyncio
from typing import TYPE_CHECKING

from axon.conversations import ConversationsProjector
from axon.projection import Projection
from axon.sealing import KeyStore
from axon.stores import Postgres, PostgresOptions
from tests.simulation.world import Process

if TYPE_CHECKING:
    from tests.simulation.machine import Machine


async def project(machine: "Machine", process: Process) -> None:
    """Project until the process is killed."""
    del process
    clock = machine.clock
    keys = KeyStore(machine.folder / "keys", machine.keyring, clock, machine.randomness)
    postgres = Postgres("simulated", PostgresOptions(connections_max=2), clock)
    await postgres.start()
    projection = Projection(
        postgres,
        machine.folder / "journal",
        [ConversationsProjector()],
        clock,
        before_batch=keys.upload,
    )
    await projection.run(asyncio.Event())
