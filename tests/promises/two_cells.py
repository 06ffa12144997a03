"""Two whole cells, eu and us, and everything that one of them keeps.

The eu cell is as `axon up` makes it. The us cell speaks TLS, and has secrets for everything that
takes one; its servers are therefore its test's.
"""

import asyncio
import json
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from click.testing import CliRunner

from axon.app.cli.main import axon
from axon.app.embedded import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
from axon.base import MIB
from axon.stores import Valkey
from tests.gateway.audited import soon
from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.stores.tls_proxy import make_certificate

MODEL = "fake-model"
TIMEOUT_S = 30

URLS = {"eu": "https://eu.example.com/v1", "us": "https://us.example.com/v1"}

SECRETS = {
    name: f"hush-{name}-9f2c7d41a0b3"
    for name in ("database", "valkey", "upstream", "stripe", "webhook", "kafka")
}

FILE_BYTES_MAX = 64 * MIB
"""PostgreSQL's and the journal's files are smaller."""

_CELL = """
[residency]
region = "{region}"
[residency.cells.eu]
base_url = "https://eu.example.com/v1"
[residency.cells.us]
base_url = "https://us.example.com/v1"
[scheduler]
here = false
"""

_SERVERS = """
[database]
url = "{database}"
[valkey]
url = "{valkey}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A running cell, and a product's key."""

    axon: RunningAxon
    folder: Path
    """With all that it keeps, its servers' files among them."""
    database: str
    valkey: str
    key: str
    certificate: Path | None

    @contextmanager
    def asked(
        self, method: str, path: str, body: Any = None, key: str = "", **headers: str
    ) -> Iterator[HTTPResponse]:
        """Lend an answer, its body not yet read."""
        connection = connect(urlsplit(self.axon.base_url).netloc, self.certificate)
        content = None if body is None else json.dumps(body)
        sent = {"authorization": f"Bearer {key or self.key}", **headers}
        connection.request(method, path, content, sent)
        try:
            yield connection.getresponse()
        finally:
            connection.close()

    def send(
        self, method: str, path: str, body: Any = None, key: str = "", **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Return the status, the headers and the body of an answer."""
        with self.asked(method, path, body, key, **headers) as answer:
            told = dict(answer.getheaders())  # an export is a zip archive: what is no text goes
            return answer.status, told, answer.read().decode(errors="replace")

    def fetch(self, statement: str) -> list[Any]:
        """Return rows of its database."""

        async def work() -> list[Any]:
            connection = await asyncpg.connect(self.database)
            rows: list[Any] = await connection.fetch(statement)
            await connection.close()
            return rows

        return asyncio.run(work())

    def kept(self) -> Iterator[bytes]:
        """Return all it keeps: its files, its rows with what is in them, its keys of Valkey."""
        soon(lambda: self.lag() == 0)
        self.fetch("CHECKPOINT")
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.stat().st_size <= FILE_BYTES_MAX:
                yield path.read_bytes()
        for row in asyncio.run(_rows(self.database)):
            yield b"\n".join(one if isinstance(one, bytes) else str(one).encode() for one in row)
        yield from asyncio.run(_valkey(self.valkey))

    def lag(self) -> float:
        """Return how many entries of the journal its PostgreSQL lacks."""
        lines = self.send("GET", "/metrics")[2].splitlines()
        found = [line for line in lines if line.startswith("axon_projection_lag_records")]
        return float(found[0].split()[-1])


def connect(netloc: str, certificate: Path | None) -> HTTPConnection:
    """Return a connection, by TLS where a certificate is to be trusted."""
    if certificate is None:
        return HTTPConnection(netloc, timeout=TIMEOUT_S)
    context = ssl.create_default_context(cafile=certificate)
    return HTTPSConnection(netloc, timeout=TIMEOUT_S, context=context)


async def _rows(url: str) -> list[asyncpg.Record]:
    """Return every row of every table of ours."""
    connection = await asyncpg.connect(url)
    tables = await connection.fetch(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information)'"
    )
    rows: list[asyncpg.Record] = []
    for schema, table in tables:
        rows += await connection.fetch(f'SELECT * FROM "{schema}"."{table}"')
    await connection.close()
    return rows


async def _valkey(url: str) -> list[bytes]:
    """Return every key of a Valkey with its value, as Valkey itself would write it to a file."""
    valkey = Valkey(url, timeout_ms=10_000)
    await valkey.start()
    await valkey.call("CONFIG", "SET", "rdbcompression", "no")
    keys = await valkey.call("KEYS", "*")
    assert isinstance(keys, list) and keys
    texts = []
    for key in keys:
        assert isinstance(key, bytes)
        value = await valkey.call("DUMP", key)
        texts.append(key + (value if isinstance(value, bytes) else b""))
    await valkey.stop()
    return texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """The us cell's own."""

    postgres: EmbeddedServer
    valkey: EmbeddedServer
    database_url: str
    """With the password, like the next."""
    valkey_url: str


@contextmanager
def us_servers(folder: Path) -> Iterator[Servers]:
    """Run a PostgreSQL and a Valkey, and lend them with their passwords."""
    postgres, valkey = EmbeddedPostgres(folder), EmbeddedValkey(folder)
    servers = [EmbeddedServer(one.program(), one.url()) for one in (postgres, valkey)]
    for server in servers:
        server.start()
    asyncio.run(_set_password(valkey.url()))
    where = urlsplit(postgres.url())
    user = f"{where.username}:{SECRETS['database']}"
    try:
        yield Servers(
            postgres=servers[0],
            valkey=servers[1],
            database_url=postgres.url().replace(f"{where.username}@", f"{user}@", 1),
            valkey_url=f"{valkey.url()}?password={SECRETS['valkey']}",
        )
    finally:
        for server in servers:
            server.kill()


async def _set_password(url: str) -> None:
    valkey = Valkey(url)
    await valkey.start()
    await valkey.call("CONFIG", "SET", "requirepass", SECRETS["valkey"])
    await valkey.stop()


@contextmanager
def running_cells(folder: Path, upstream: str) -> Iterator[tuple[dict[str, Cell], Servers]]:
    """Run both cells; they share an engine, which keeps nothing."""
    folders = {region: folder / region for region in URLS}
    for one in folders.values():
        one.mkdir()
    certificate, key = make_certificate(folder)
    with us_servers(folders["us"]) as servers, ThreadPoolExecutor(2) as threads:
        config = _CELL.format(region="us") + _SERVERS.format(
            database=servers.database_url, valkey=servers.valkey_url
        )
        (folders["us"] / "axon.toml").write_text(config)
        (folders["eu"] / "axon.toml").write_text(_CELL.format(region="eu"))
        webhook = folder / "webhook-secret"
        webhook.write_text(SECRETS["webhook"] + "\n")
        environment = {
            "AXON_UPSTREAM_KEY": SECRETS["upstream"],
            "AXON_STRIPE_KEY": SECRETS["stripe"],
            "AXON_STRIPE_WEBHOOK_SECRET_FILE": str(webhook),
            "AXON_USAGE_STREAM_PASSWORD": SECRETS["kafka"],
        }
        tls = ("--tls-cert", str(certificate), "--tls-key", str(key))
        options: dict[str, tuple[str, ...]] = {"eu": (), "us": tls}
        begun = {
            region: threads.submit(
                start_axon,
                one / "data",
                upstream,
                "--config",
                str(one / "axon.toml"),
                *options[region],
                environment=environment if region == "us" else None,
            )
            for region, one in folders.items()
        }
        try:
            eu, us = (begun[region].result()[1] for region in ("eu", "us"))
            data = eu.data
            yield (
                {
                    "eu": _cell(eu, EmbeddedPostgres(data).url(), EmbeddedValkey(data).url(), None),
                    "us": _cell(us, servers.database_url, servers.valkey_url, certificate),
                },
                servers,
            )
        finally:
            ended = list(threads.map(lambda one: stop(one.result()[0]), begun.values()))
        assert ended == [0, 0]


def run_command(running: RunningAxon, *words: str) -> dict[str, Any]:
    """Run a command for a cell; return what it printed, raise what it raises."""
    environment = {
        "AXON_DATA": str(running.data),
        "AXON_CONFIG": str(running.data.with_name("axon.toml")),
    }
    done = CliRunner().invoke(axon, [*words, "--json"], env=environment)
    if done.exception is not None:
        raise done.exception
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def _cell(running: RunningAxon, database: str, valkey: str, certificate: Path | None) -> Cell:
    run_command(running, "orgs", "create", "acme")
    of_it = ("--org", "acme")
    run_command(running, "users", "create", "backend", *of_it)
    as_product = ("--user", "backend", "--name", "b", "--acts-for-users")
    made = run_command(running, "keys", "create", *of_it, *as_product)
    return Cell(
        axon=running,
        folder=running.data.parent,
        database=database,
        valkey=valkey,
        key=str(made["secret"]),
        certificate=certificate,
    )
