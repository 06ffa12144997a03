"""The projector: brings what the journals say into PostgreSQL."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop

from axon.app.folders import DataFolder
from axon.app.settings import Settings
from axon.base import SystemClock, SystemRandomness
from axon.conversations import ConversationsProjector
from axon.projection import Projection
from axon.sealing import Keyring, KeyStore
from axon.stores import Postgres, PostgresOptions
from axon.telemetry import configure_log, log

_CONNECTIONS = 2
"""One for the batch, one for what reads beside it."""


def run(settings: Settings) -> int:
    """Project until SIGTERM or SIGINT, finish the batch, return 0; blocks.

    PostgreSQL may be away at any time, also at the start.
    """
    configure_log(sys.stderr, service="axon-projector", level=settings.log.level)
    return uvloop.run(_project(settings))


async def _project(settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with projection(settings, settings.database.url) as found:
        log.info("projector.started", "Projecting.")
        await found.run(stop)
    log.info("projector.stopped", "Stopped.")
    return 0


@asynccontextmanager
async def projection(settings: Settings, database_url: str) -> AsyncIterator[Projection]:
    """Lend the projection of this node's journals with every room's projector."""
    folder = DataFolder.of(settings)
    clock, randomness = SystemClock(), SystemRandomness()
    keyring = Keyring.open(folder.keyring, randomness)
    keys = KeyStore(folder.key_store, keyring, clock, randomness)
    postgres = Postgres(database_url, PostgresOptions(connections_max=_CONNECTIONS), clock)
    await postgres.start()
    try:
        yield Projection(
            postgres,
            folder.journals,
            [ConversationsProjector()],
            clock,
            before_batch=keys.upload,  # a row is never there without the key that opens it
        )
    finally:
        await postgres.stop()
        await keys.close()
