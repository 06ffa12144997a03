"""Servers and databases for every room's tests: real ones, started once, cheap for each test."""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from axon.app.embedded import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
from axon.app.migrations import migrate_all
from axon.base import SystemRandomness
from axon.sealing import Keyring

_TEMPLATE = "axon_template"

_LONG_FIRST = ("powerloss", "chaos", "promises", "failures", "bench", "fuzz", "app", "simulation")
"""Folders whose tests start whole installations. Their files take minutes and have few tests: begun
last, they would leave one worker at work and the others idle."""
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker by which docs/failures.md knows its proofs (tests/failures/table.py)."""
    config.addinivalue_line(
        "markers", "failure(dependency, fault): proves this row of docs/failures.md"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; within a folder the order stays."""
    last = len(_LONG_FIRST)
    places = {folder: place for place, folder in enumerate(_LONG_FIRST)}
    items.sort(key=lambda item: places.get(_folder(item), last))


def _folder(item: pytest.Item) -> str:
    """Return the folder of tests/ that the test lies in."""
    return item.path.relative_to(Path(__file__).parent).parts[0]


def _outside(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end in a loop of its own, whatever loop the test uses."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement, timeout=30)
    finally:
        await connection.close()


async def _make_template(server: EmbeddedPostgres) -> None:
    await _execute(server.url("postgres"), f"CREATE DATABASE {_TEMPLATE}")
    await migrate_all(server.url(_TEMPLATE))


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A short private folder for the session's servers; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="axon-tests-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def embedded_postgres(server_folder: Path) -> EmbeddedPostgres:
    """Where the session's PostgreSQL lives; without fsync, for no test cuts its power."""
    return EmbeddedPostgres(server_folder, ("fsync=off", "full_page_writes=off"))


@pytest.fixture(scope="session")
def postgres_server(embedded_postgres: EmbeddedPostgres) -> Iterator[EmbeddedServer]:
    """The session's PostgreSQL: `.pid`, `.stop()`, `.freeze()`, `.thaw()`, `.kill()`, `.restart()`.

    `database` calls `.ensure()` first, so a test may leave it in any state.
    """
    server = EmbeddedServer(embedded_postgres.program(), embedded_postgres.url())
    server.start()
    _outside(_make_template(embedded_postgres))
    yield server
    server.kill()


@pytest.fixture(scope="session")
def valkey_server(server_folder: Path) -> Iterator[EmbeddedServer]:
    """The session's Valkey, with the same handle; `valkey_url` calls `.ensure()` first."""
    embedded = EmbeddedValkey(server_folder)
    server = EmbeddedServer(embedded.program(), embedded.url())
    server.start()
    yield server
    server.kill()


@pytest.fixture
def database(embedded_postgres: EmbeddedPostgres, postgres_server: EmbeddedServer) -> Iterator[str]:
    """The address of a fresh database with every room's migrations applied."""
    name = f"test_{next(_numbers)}"
    admin = embedded_postgres.url("postgres")
    postgres_server.ensure()
    _outside(_execute(admin, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy"))
    yield embedded_postgres.url(name)
    postgres_server.ensure()
    _outside(_execute(admin, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


async def _flush(socket_path: str) -> None:
    reader, writer = await asyncio.open_unix_connection(socket_path)
    for command in (b"FLUSHALL\r\n", b"FUNCTION FLUSH\r\n"):
        writer.write(command)
        assert await reader.readline() == b"+OK\r\n"
    writer.close()


@pytest.fixture
def valkey_url(valkey_server: EmbeddedServer) -> str:
    """The address of an empty Valkey: no keys, no functions."""
    valkey_server.ensure()
    _outside(_flush(valkey_server.url.removeprefix("unix://")))
    return valkey_server.url


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """A new keyring in a folder of its own."""
    return Keyring.open(tmp_path / "keyring.json", SystemRandomness())
