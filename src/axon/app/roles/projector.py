"""The projector: brings what the journals say into PostgreSQL."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop

from axon.app.bound_stores import bound_database
from axon.app.folders import DataFolder
from axon.app.key_roots import open_keys
from axon.app.roles.burying import Burying
from axon.app.roles.checkpointing import Checkpointing
from axon.app.roles.following_keys import FollowingKeys
from axon.app.roles.log_level import follow_level_signal
from axon.app.roles.scrubbing import Scrubbing
from axon.app.roles.told_state import ToldStates
from axon.app.settings import Settings
from axon.app.tracing import tracing
from axon.audit import AuditProjector, Signer
from axon.base import SystemClock, SystemRandomness, TaskOwner
from axon.conversations import ConversationsProjector
from axon.deeds import Actor, DeedsProjector, actor_text
from axon.experiments import ExperimentsProjector
from axon.feedback import FeedbackProjector
from axon.flags import FlagsProjector
from axon.limits import LimitsProjector
from axon.metering import MeteringProjector
from axon.privacy import Redactor
from axon.projection import Projection
from axon.sealing import Keyring
from axon.stores import Health, Postgres, PostgresOptions
from axon.telemetry import configure_log, log
from axon.training import TrainingProjector

_CONNECTIONS = 3
"""One for the batch, one for what reads beside it, one for the checkpoints."""


def run(settings: Settings) -> int:
    """Project until SIGTERM or SIGINT, finish the batch, return 0; blocks.

    PostgreSQL may be away at any time, also at the start.
    """
    configure_log(sys.stderr, "axon-projector", settings.log.level, Redactor().redact_lines)
    return uvloop.run(_project(settings))


async def _project(settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    follow_level_signal()
    folder, clock = DataFolder.of(settings), SystemClock()
    states = ToldStates(folder.told_states, clock)
    scrubbing = Scrubbing(folder.journals, clock)
    beside = TaskOwner(_task_failed)
    async with (
        _opened_postgres(settings.database.url, settings.residency.region) as postgres,
        _projection_into(postgres, settings) as found,
    ):
        traces = tracing(settings, folder, clock)

        def health() -> dict[str, Health]:
            told = {"postgresql": postgres.health, "journal-disk": scrubbing.health}
            return told if traces is None else {**told, "telemetry": traces.health}

        telling = states.keep_telling("projector", health)
        if traces is not None:
            beside.start(traces.run(), "traces")
        beside.start(telling, "tell how it is")
        beside.start(scrubbing.keep_scrubbing(), "scrub the journals")
        keyring = await asyncio.to_thread(Keyring.open, folder.keyring, SystemRandomness())
        keys = open_keys(settings, keyring, clock, SystemRandomness()).store
        signing = Checkpointing(folder.journals, postgres, Signer(keyring), clock)
        beside.start(signing.keep_signing(), "sign checkpoints")
        beside.start(Burying(postgres, keys, clock).keep_burying(), "follow erasures")
        beside.start(FollowingKeys(postgres, keys, clock).keep_following(), "follow keys")
        log.info("projector.started", "Projecting.")
        try:
            await found.run(stop)
        finally:
            await beside.cancel()
            await keys.close()
    log.info("projector.stopped", "Stopped.")
    return 0


def _task_failed(name: str, error: BaseException) -> None:
    log.error(
        "task.failed", "A background task failed.", axon__task=name, error__message=repr(error)
    )


@asynccontextmanager
async def _opened_postgres(database_url: str, region: str) -> AsyncIterator[Postgres]:
    """Lend a pool for projecting; a database without tables, read only, or another region's,
    counts as away.

    An emptied database must not look like one in which everything is still to be done, and one
    that takes no writes would else refuse each batch anew.
    """
    options = PostgresOptions(
        connections_max=_CONNECTIONS,
        schema_wanted=True,
        writable_wanted=True,
        actor=actor_text(Actor(name="projector")),
    )
    postgres = Postgres(database_url, bound_database(options, region), SystemClock())
    await postgres.start()
    try:
        yield postgres
    finally:
        await postgres.stop()


@asynccontextmanager
async def projection(settings: Settings, database_url: str) -> AsyncIterator[Projection]:
    """Lend the projection of this node's journals with every room's projector."""
    async with (
        _opened_postgres(database_url, settings.residency.region) as postgres,
        _projection_into(postgres, settings) as found,
    ):
        yield found


@asynccontextmanager
async def _projection_into(postgres: Postgres, settings: Settings) -> AsyncIterator[Projection]:
    folder = DataFolder.of(settings)
    clock, randomness = SystemClock(), SystemRandomness()
    keyring = Keyring.open(folder.keyring, randomness)
    keys = open_keys(settings, keyring, clock, randomness).store
    try:
        yield Projection(
            postgres,
            folder.journals,
            [
                ConversationsProjector(),
                MeteringProjector(),
                LimitsProjector(),
                FlagsProjector(),
                FeedbackProjector(),
                TrainingProjector(),
                AuditProjector(),
                ExperimentsProjector(),
                DeedsProjector(),
            ],
            clock,
            before_batch=keys.upload,  # a row is never there without the key that opens it
        )
    finally:
        await keys.close()
