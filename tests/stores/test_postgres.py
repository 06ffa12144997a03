import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from axon.stores import BadAddress, Postgres, PostgresAway, PostgresOptions
from tests.stores.tls_proxy import make_certificate, tls_proxy

PATIENCE_S = 20.0
"""Bounds a wait that would otherwise hang the tests; nothing is measured against it."""


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    pool = Postgres(database, PostgresOptions(connections_max=2, waiters_max=3))
    await pool.start()
    yield pool
    await pool.stop()


async def test_connections_are_used_again(postgres: Postgres) -> None:
    backends = set()
    for _ in range(5):
        async with postgres.connection(PATIENCE_S) as connection:
            backends.add(await connection.fetchval("SELECT pg_backend_pid()"))
    assert len(backends) == 1


async def test_a_callers_mistake_is_the_callers(postgres: Postgres) -> None:
    for _ in range(10):
        with pytest.raises(asyncpg.UndefinedTableError):
            async with postgres.connection(PATIENCE_S) as connection:
                await connection.fetch("SELECT * FROM nothing")
        with pytest.raises(FileNotFoundError):
            async with postgres.connection(PATIENCE_S):
                Path("/missing").read_bytes()
    assert postgres.available


async def test_an_open_transaction_is_not_handed_on(postgres: Postgres) -> None:
    async with postgres.connection(PATIENCE_S) as connection:
        await connection.execute("BEGIN")
    async with postgres.connection(PATIENCE_S) as connection:
        assert not connection.is_in_transaction()


@pytest.mark.failure("postgresql", "slow")
async def test_connections_and_waiters_are_bounded(postgres: Postgres) -> None:
    async with (
        postgres.connection(PATIENCE_S),
        postgres.connection(PATIENCE_S),
        asyncio.TaskGroup() as group,
    ):
        waiters = [group.create_task(_refusal(postgres, 0.2)) for _ in range(3)]
        await asyncio.sleep(0)
        assert "too many callers" in await _refusal(postgres, 0.2)
    assert {waiter.result() for waiter in waiters} == {"every connection was in use"}
    assert postgres.available  # the pool was too small; that is not PostgreSQL's fault


async def _refusal(postgres: Postgres, timeout_s: float) -> str:
    with pytest.raises(PostgresAway) as caught:
        async with postgres.connection(timeout_s):
            pass
    return caught.value.detail


@pytest.mark.failure("postgresql", "slow")
async def test_the_deadline_cuts_a_statement_off(postgres: Postgres) -> None:
    with pytest.raises(PostgresAway, match=r"no answer within 0\.1 s"):
        async with postgres.connection(0.1) as connection, connection.transaction():
            await connection.execute("SELECT pg_sleep(60)")
    async with postgres.connection(PATIENCE_S) as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_the_server_ends_what_nobody_waits_for(database: str) -> None:
    pool = Postgres(database, PostgresOptions(statement_timeout_s=0.05))
    with pytest.raises(PostgresAway, match="statement timeout"):
        async with pool.connection(PATIENCE_S) as connection:
            await connection.execute("SELECT pg_sleep(60)")
    await pool.stop()


async def test_a_cancelled_caller_gives_its_place_back(postgres: Postgres) -> None:
    async def sleep() -> None:
        async with postgres.connection(0.5) as connection, connection.transaction():
            entered.set()
            await connection.execute("SELECT pg_sleep(60)")

    for _ in range(4):  # more than the pool has places
        entered = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(sleep())
            await asyncio.wait_for(entered.wait(), PATIENCE_S)
            task.cancel()
        assert task.cancelled()
    async with postgres.connection(PATIENCE_S) as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_tls_and_password(database: str, tmp_path: Path) -> None:
    setup = await asyncpg.connect(database)
    hba = Path(await setup.fetchval("SHOW hba_file"))
    rule = "local all tls_visitor scram-sha-256\n"
    hba.write_text(rule + hba.read_text().removeprefix(rule))
    await setup.execute("DROP ROLE IF EXISTS tls_visitor")
    await setup.execute("CREATE ROLE tls_visitor LOGIN PASSWORD 'open sesame'")
    await setup.execute("SELECT pg_reload_conf()")
    folder = await setup.fetchval("SHOW unix_socket_directories")
    port = await setup.fetchval("SHOW port")
    name = await setup.fetchval("SELECT current_database()")
    await setup.close()
    certificate = make_certificate(tmp_path)
    async with tls_proxy(f"{folder}/.s.PGSQL.{port}", certificate, starttls=True) as proxy_port:
        place = f"127.0.0.1:{proxy_port}/{name}?sslmode=verify-full"
        url = f"postgresql://tls_visitor:open%20sesame@{place}&sslrootcert={certificate[0]}"
        pool = Postgres(url)
        await pool.start()
        async with pool.connection(PATIENCE_S) as connection:
            assert await connection.fetchval("SELECT current_user") == "tls_visitor"
        await pool.stop()
        stranger = make_certificate(tmp_path)[0]  # another certificate in the same place
        untrusting = Postgres(f"postgresql://tls_visitor@{place}&sslrootcert={stranger}")
        await untrusting.start()
        assert "certificate verify failed" in await _refusal(untrusting, PATIENCE_S)
        await untrusting.stop()


async def test_an_address_nobody_can_read() -> None:
    with pytest.raises(BadAddress):
        await Postgres("mysql://host/database").start()
