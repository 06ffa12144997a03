import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest

from axon.app.embedded import EmbeddedServer
from axon.stores import Postgres, PostgresAway, PostgresOptions, means_away

PATIENCE_S = 30.0
"""Bounds a wait that would otherwise hang the tests; nothing is measured against it."""


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    pool = Postgres(database, PostgresOptions(connections_max=4, connect_timeout_s=1.0))
    await pool.start()
    yield pool
    await pool.stop()


async def ask(postgres: Postgres, timeout_s: float = PATIENCE_S) -> int:
    async with postgres.connection(timeout_s) as connection, connection.transaction():
        return int(await connection.fetchval("SELECT 1"))


async def back(postgres: Postgres) -> None:
    await asyncio.wait_for(postgres.wait_until_available(), PATIENCE_S)
    assert await ask(postgres) == 1


@pytest.mark.failure("postgresql", "frozen")
async def test_frozen(postgres: Postgres, postgres_server: EmbeddedServer) -> None:
    await asyncio.gather(*(ask(postgres) for _ in range(4)))  # four warm connections
    postgres_server.freeze()
    outcomes = await asyncio.wait_for(
        asyncio.gather(*(ask(postgres, 0.1) for _ in range(20)), return_exceptions=True),
        PATIENCE_S,
    )
    assert all(isinstance(outcome, PostgresAway) for outcome in outcomes)
    while postgres.available:
        with pytest.raises(PostgresAway):
            await ask(postgres, 0.1)
    with pytest.raises(PostgresAway):
        await ask(postgres, 3600.0)  # at once, or the test would hang
    postgres_server.thaw()
    await back(postgres)


async def test_frozen_under_a_cancelled_caller(
    postgres: Postgres, postgres_server: EmbeddedServer
) -> None:
    """Cancelling makes asyncpg ask the frozen server to cancel, and a transaction roll back."""
    entered = asyncio.Event()

    async def work() -> None:
        async with postgres.connection(0.5) as connection, connection.transaction():
            postgres_server.freeze()
            entered.set()
            await connection.fetchval("SELECT 1")

    async with asyncio.timeout(PATIENCE_S):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work())
            await entered.wait()
            await asyncio.sleep(0)
            task.cancel()
    assert task.cancelled()
    postgres_server.thaw()
    assert await ask(postgres) == 1


@pytest.mark.failure("postgresql", "down")
async def test_killed_in_the_middle(postgres: Postgres, postgres_server: EmbeddedServer) -> None:
    async def die() -> None:
        async with postgres.connection(PATIENCE_S) as connection, connection.transaction():
            await connection.execute("SELECT 1")
            postgres_server.kill()
            await connection.execute("SELECT 1")

    with pytest.raises(PostgresAway):
        await die()
    while postgres.available:
        with pytest.raises(PostgresAway):
            await ask(postgres)
    postgres_server.start()
    await back(postgres)


@pytest.mark.failure("postgresql", "down")
async def test_shut_down_and_started_again(
    postgres: Postgres, postgres_server: EmbeddedServer
) -> None:
    await asyncio.gather(*(ask(postgres) for _ in range(4)))
    postgres_server.restart()
    for _ in range(5):
        if await _answers(postgres):
            break
    await back(postgres)


async def _answers(postgres: Postgres) -> bool:
    try:
        return await ask(postgres) == 1
    except PostgresAway:
        return False


@pytest.mark.failure("postgresql", "at-start")
async def test_away_at_start(database: str, postgres_server: EmbeddedServer) -> None:
    postgres_server.kill()
    pool = Postgres(database)
    await pool.start()
    assert not pool.available
    with pytest.raises(PostgresAway):
        await ask(pool)
    postgres_server.start()
    await back(pool)
    await pool.stop()


async def test_savepoints_show_an_outage_as_one(
    postgres: Postgres, postgres_server: EmbeddedServer
) -> None:
    """What a projector sees that catches the errors of one savepoint."""
    seen: list[Exception] = []

    async def project() -> None:
        async with postgres.connection(PATIENCE_S) as connection, connection.transaction():
            for _ in range(2):
                try:
                    async with connection.transaction():
                        if not seen:
                            postgres_server.kill()
                        await connection.execute("SELECT 1")
                except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    seen.append(error)

    with pytest.raises(PostgresAway):
        await project()
    assert len(seen) == 2 and all(means_away(error) for error in seen)
    postgres_server.start()
    assert not means_away(asyncpg.UniqueViolationError("twice"))
    assert not means_away(asyncpg.InterfaceError("another operation is in progress"))


async def test_an_outage_that_a_failing_rollback_hides(postgres: Postgres) -> None:
    """A server killed within a COPY may leave asyncpg's connection open, but of no use."""

    async def misuse(hidden: Exception | None) -> None:
        async with postgres.connection(PATIENCE_S):
            error = asyncpg.InterfaceError("another operation is in progress")
            error.__context__ = hidden
            raise error

    with pytest.raises(PostgresAway):
        await misuse(asyncpg.InternalClientError("cannot switch to state 21"))
    with pytest.raises(asyncpg.InterfaceError):
        await misuse(None)
    assert await ask(postgres) == 1


@pytest.mark.failure("postgresql", "wrong-password")
async def test_a_wrong_password_is_said_once(
    database: str, log_lines: Callable[[], list[str]]
) -> None:
    setup = await asyncpg.connect(database)
    hba = Path(await setup.fetchval("SHOW hba_file"))
    rule = "local all visitor scram-sha-256\n"
    hba.write_text(rule + hba.read_text().removeprefix(rule))
    await setup.execute("DROP ROLE IF EXISTS visitor")
    await setup.execute("CREATE ROLE visitor LOGIN PASSWORD 'right'")
    await setup.execute("SELECT pg_reload_conf()")
    host = await setup.fetchval("SHOW unix_socket_directories")
    port = await setup.fetchval("SHOW port")
    name = await setup.fetchval("SELECT current_database()")
    pool = Postgres(f"postgresql://visitor:guess@/{name}?host={host}&port={port}")
    await pool.start()
    for _ in range(50):
        with pytest.raises(PostgresAway, match="password authentication failed"):
            await ask(pool)
    said = [line for line in log_lines() if "password authentication failed" in line]
    assert len(said) == 1 and "postgresql is away" in said[0] and "guess" not in said[0]
    await setup.execute("ALTER ROLE visitor PASSWORD 'guess'")
    await back(pool)
    await pool.stop()
    await setup.close()


@pytest.mark.failure("postgresql", "refusing")
async def test_too_many_connections_are_said_once_and_waited_out(
    database: str, log_lines: Callable[[], list[str]]
) -> None:
    setup = await asyncpg.connect(database)
    await setup.execute("DROP ROLE IF EXISTS guest")
    await setup.execute("CREATE ROLE guest LOGIN CONNECTION LIMIT 1")
    guest = database.replace("axon@", "guest@")
    first = await asyncpg.connect(guest)
    pool = Postgres(guest)
    await pool.start()
    for _ in range(50):
        with pytest.raises(PostgresAway, match="too many connections"):
            await ask(pool)
    assert not pool.health.up and "too many connections" in pool.health.reason
    assert len([line for line in log_lines() if "too many connections" in line]) == 1
    await first.close()
    await back(pool)
    assert pool.health.reason == ""
    await pool.stop()
    await setup.close()


@pytest.mark.failure("postgresql", "wiped")
async def test_a_database_without_our_tables_is_away(database: str) -> None:
    setup = await asyncpg.connect(database)
    pool = Postgres(database, PostgresOptions(schema_wanted=True))
    await pool.start()
    assert await ask(pool) == 1
    await setup.execute("ALTER TABLE axon_migrations RENAME TO hidden")
    with pytest.raises(PostgresAway, match="does not exist"):
        async with pool.connection(PATIENCE_S) as connection:
            await connection.execute("SELECT 1 FROM axon_migrations")
    with pytest.raises(PostgresAway):
        await ask(pool)
    await setup.execute("ALTER TABLE hidden RENAME TO axon_migrations")
    await back(pool)
    await pool.stop()
    await setup.close()


@pytest.mark.failure("postgresql", "full")
async def test_a_database_that_can_only_be_read_is_away_for_who_writes(database: str) -> None:
    setup = await asyncpg.connect(database)
    name = await setup.fetchval("SELECT current_database()")
    await setup.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    reads, writes = Postgres(database), Postgres(database, PostgresOptions(writable_wanted=True))
    await reads.start()
    await writes.start()
    assert await ask(reads) == 1
    with pytest.raises(PostgresAway, match="can only be read"):
        await ask(writes)
    await setup.execute("SET default_transaction_read_only = off")
    await setup.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await back(writes)
    await reads.stop()
    await writes.stop()
    await setup.close()
