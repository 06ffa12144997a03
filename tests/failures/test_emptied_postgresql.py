"""Somebody empties the database, or sets it to read only, under a running Axon."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from axon.app.embedded import EmbeddedPostgres
from axon.app.migrations import migrate_all, rooms_with_migrations
from axon.base import SystemClock
from axon.journal import Journal, JournalEnvironment, SystemDisk
from axon.projection import Projection, read_status
from axon.records import encode
from axon.stores import Postgres
from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.journal.journals import SMALL, TurnedClock
from tests.projection.scene import change
from tests.promises.outages import degraded, healed, status
from tests.promises.reading import read_conversation_async

MODEL = "fake-model"


@pytest.fixture(scope="module")
def hurt_axon(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str
) -> Iterator[RunningAxon]:
    process, running = start_axon(tmp_path_factory.mktemp("hurt"), upstream_address)
    yield running
    stop(process)


async def execute(axon: RunningAxon, *statements: str) -> None:
    connection = await asyncpg.connect(EmbeddedPostgres(axon.data).url(), timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement, timeout=30)
    finally:
        await connection.close()


THROW_OUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.mark.failure("postgresql", "full")
@pytest.mark.failure("postgresql", "refusing")
async def test_a_database_that_takes_no_writes(hurt_axon: RunningAxon) -> None:
    """As a full disk or a standby: turns and reads go on, the projector waits and says why."""
    async with hurt_axon.async_client() as client:
        made = await client.conversations.create()
        await execute(
            hurt_axon, "ALTER DATABASE axon SET default_transaction_read_only = on", THROW_OUT
        )
        for number in range(4):
            await client.responses.create(
                model=MODEL, input=f"[[text:answer {number}]]", conversation=made.id
            )
        await degraded(hurt_axon.origin, "projector", "read-only|only be read")
        await execute(
            hurt_axon,
            "SET default_transaction_read_only = off",
            "ALTER DATABASE axon RESET default_transaction_read_only",
        )
        await healed(hurt_axon.origin)
        read = await read_conversation_async(client, made.id)
        assert [one.text for one in read[1::2]] == [f"answer {number}" for number in range(4)]


@pytest.mark.failure("postgresql", "wiped")
async def test_an_emptied_database_is_an_outage_and_is_filled_again_from_the_journal(
    hurt_axon: RunningAxon,
) -> None:
    """Nothing is told 404 or 401 of what is merely not there; with tables it has all again."""
    async with hurt_axon.async_client() as client:
        made = await client.conversations.create()
        await client.responses.create(model=MODEL, input="[[text:one]]", conversation=made.id)
        await healed(hurt_axon.origin)
        await execute(
            hurt_axon,
            *(f"DROP SCHEMA {schema} CASCADE" for schema in rooms_with_migrations()),
            "DROP TABLE axon_migrations",
        )
        await degraded(hurt_axon.origin, "postgresql", "emptied|does not exist")
        await client.responses.create(model=MODEL, input="[[text:two]]", conversation=made.id)
        await migrate_all(EmbeddedPostgres(hurt_axon.data).url())
        await projected(hurt_axon)
        patient = client.with_options(max_retries=10)  # the breaker closes with its next probe
        read = await read_conversation_async(patient, made.id)
        assert [one.text for one in read[1::2]] == ["one", "two"]
        connection = await asyncpg.connect(EmbeddedPostgres(hurt_axon.data).url())
        items = await connection.fetchval(
            "SELECT count(*) FROM conversations.items WHERE conversation_id = $1", made.id
        )
        await connection.close()
        assert items == 4
        await degraded(hurt_axon.origin, "snapshot", "holds none any more")


async def projected(axon: RunningAxon) -> None:
    """Wait until the emptied database has every record again."""
    for _ in range(1200):
        found = await asyncio.to_thread(status, axon.origin)
        if "projector" not in found["degraded"] and found["journal"]["lag_records"] == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(json.dumps(found))


@pytest.mark.failure("postgresql", "wiped")
async def test_what_the_journal_no_longer_has_is_not_passed_over(
    tmp_path: Path, database: str
) -> None:
    """An emptied database and retired segments: the projector stands still and says so."""
    clock = TurnedClock()
    environment = JournalEnvironment(disk=SystemDisk(), clock=clock, on_fatal=print)
    journal = Journal.open(tmp_path / "node", "node", SMALL, environment)
    for number in range(6):
        await journal.append(*encode(change(f"change {number}", "conv_1")))
    clock.ahead_us = (SMALL.retention_s + 1) * 1_000_000
    assert journal.retire(projected_through=6)
    await journal.close()
    postgres = Postgres(database)
    await postgres.start()
    projection = Projection(postgres, tmp_path, [], SystemClock(), before_batch=_nothing)
    over = asyncio.Event()
    running = asyncio.get_running_loop().create_task(projection.run(over))
    try:
        async with asyncio.timeout(20):
            while not (said := read_status(tmp_path)) or not said.journals[0].error:
                await asyncio.sleep(0.01)
        assert "sequence 1" in said.journals[0].error
        assert said.journals[0].projected_through == 0
    finally:
        over.set()
        await running
        await postgres.stop()


async def _nothing(connection: asyncpg.Connection) -> None:
    """Nothing goes before a batch here."""
