"""How many outside events a second become durable, beside single-row inserts into PostgreSQL.

`python -m bench.ingest` sends events to a real `axon up` in requests of 1, 100 and 10,000, and
inserts the same rows one commit each into a PostgreSQL of its own, in turn; the ratio is of one
run. What the projector had to do then is waited out, and told as a rate of its own.
"""

import argparse
import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import asyncpg
import msgspec

from axon.app.embedded import EmbeddedPostgres, EmbeddedServer
from bench.gateways import first_line, running
from bench.run import scratch

BATCHES = (1, 100, 10_000)
CLIENTS = {1: 64, 100: 16, 10_000: 4}
"""Connections that send at once, each its next request when it has the answer to the last."""

POSTGRES_CLIENTS = 64
CAUGHT_UP_WITHIN_S = 300.0
_POLL_S = 0.02

_EVENT = (
    b'{"specversion":"1.0","id":"%d","source":"bench","type":"prompt","subject":"customer-%d",'
    b'"time":"2026-11-01T00:00:00Z","data":{"tokens":%d,"model":"small","region":"eu"}}'
)
_INSERT = (
    "INSERT INTO bench_events VALUES ('org', 'bench', $1, 'prompt', $2, 0,"
    ' \'{"tokens": 7, "model": "small", "region": "eu"}\')'
)
_TABLE = """
CREATE TABLE bench_events (org_id text, source text, id text, type text, subject text,
    time_us bigint, data jsonb, PRIMARY KEY (org_id, source, id))
"""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table; `batch` is 0 for PostgreSQL."""

    batch: int
    clients: int
    events_per_s: float
    projected_per_s: float
    """As fast as PostgreSQL had them, from the first request on."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What `axon up --json` prints."""

    base_url: str
    api_key: str


async def drive(step: Callable[[int], Awaitable[int]], clients: int, seconds: float) -> float:
    """Run closed loops for so long; return how many events a second were acknowledged."""
    began = time.perf_counter()
    done = 0

    async def client(number: int) -> None:
        nonlocal done
        while time.perf_counter() - began < seconds:
            count = await step(number)  # apart: `done` is read only once there is an answer
            done += count

    await asyncio.gather(*(client(number) for number in range(clients)))
    return done / (time.perf_counter() - began)


async def on_postgres(url: str, seconds: float) -> Rate:
    """Insert one row a commit, with as many connections as clients."""
    numbers = itertools.count()
    settings = {"synchronous_commit": "on"}
    size = POSTGRES_CLIENTS
    async with asyncpg.create_pool(
        url, min_size=size, max_size=size, server_settings=settings
    ) as pool:
        assert await pool.fetchval("SHOW fsync") == "on"
        await pool.execute(f"DROP TABLE IF EXISTS bench_events; {_TABLE}")

        async def insert(number: int) -> int:
            await pool.execute(_INSERT, str(next(numbers)), f"customer-{number}")
            return 1

        rate = await drive(insert, size, seconds)
    return Rate(batch=0, clients=size, events_per_s=rate, projected_per_s=rate)


async def on_axon(server: Server, batch: int, seconds: float, numbers: Iterator[int]) -> Rate:
    """Send batches over connections that are kept."""
    address = urlsplit(server.base_url)
    clients = CLIENTS[batch]
    opened = [await asyncio.open_connection(address.hostname, address.port) for _ in range(clients)]

    async def send(number: int) -> int:
        reader, writer = opened[number]
        events = (_EVENT % (next(numbers), number, number) for _ in range(batch))
        body = b"[" + b",".join(events) + b"]"
        head = (
            f"POST /api/v1/events HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {server.api_key}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        status = await reader.readuntil(b"\r\n\r\n")
        if not status.startswith(b"HTTP/1.1 204"):
            raise SystemExit(status.decode())
        return batch

    began = time.perf_counter()
    rate = await drive(send, clients, seconds)
    sent_s = time.perf_counter() - began
    for _, writer in opened:
        writer.close()
    await asyncio.to_thread(wait_for_projector, server)
    caught_up_s = time.perf_counter() - began
    return Rate(
        batch=batch,
        clients=clients,
        events_per_s=rate,
        projected_per_s=rate * sent_s / caught_up_s,
    )


def wait_for_projector(server: Server) -> None:
    """Return when PostgreSQL has everything; raises SystemExit when that takes too long."""
    end = time.monotonic() + CAUGHT_UP_WITHIN_S
    while time.monotonic() < end:
        with urlopen(server.base_url.removesuffix("/v1") + "/status", timeout=10) as page:
            if b'"lag_records": 0,' in page.read():
                return
        time.sleep(_POLL_S)
    raise SystemExit("PostgreSQL does not catch up")


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL of its own, with its fsync; yield its address."""
    embedded = EmbeddedPostgres(folder)
    server = EmbeddedServer(embedded.program(), embedded.url())
    server.start()
    try:
        yield embedded.url()
    finally:
        server.stop()


@contextmanager
def axon(folder: Path) -> Iterator[Server]:
    """Run `axon up`; its upstream is nobody, for no turn is taken."""
    log = folder / "axon.log"
    command = [str(Path(sys.executable).with_name("axon")), "up", "--json", "--port", "0"]
    command += ["--data", str(folder / "axon"), "--upstream", "http://127.0.0.1:9/v1"]
    with running(command, log) as child:
        yield msgspec.json.decode(first_line(child, log), type=Server)


def measure(rounds: int, seconds: float) -> list[Rate]:
    """Return the median of each row over rounds that take turns."""
    found: dict[int, list[Rate]] = {}
    numbers = itertools.count()
    with scratch() as folder, postgres(folder / "postgres") as url, axon(folder) as server:
        for _ in range(rounds):
            found.setdefault(0, []).append(asyncio.run(on_postgres(url, seconds)))
            for batch in BATCHES:
                rate = asyncio.run(on_axon(server, batch, seconds, numbers))
                found.setdefault(batch, []).append(rate)
    return [
        Rate(
            batch=batch,
            clients=rates[0].clients,
            events_per_s=statistics.median(rate.events_per_s for rate in rates),
            projected_per_s=statistics.median(rate.projected_per_s for rate in rates),
        )
        for batch, rates in found.items()
    ]


def render(rates: list[Rate]) -> str:
    """Return the table."""
    columns = f"{'clients':>8}{'per s':>11}{'ratio':>8}{'projected/s':>13}"
    lines = [f"{'durable events a second':34}{columns}"]
    single = rates[0].events_per_s
    for rate in rates:
        name = f"Axon, {rate.batch:,} a request" if rate.batch else "PostgreSQL, one commit a row"
        lines.append(
            f"{name:34}{rate.clients:8}{rate.events_per_s:11,.0f}"
            f"{rate.events_per_s / single:8.1f}{rate.projected_per_s:13,.0f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print the table, or its rows as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rates = measure(asked.rounds, asked.seconds)
    print(msgspec.json.encode(rates).decode() if asked.json else render(rates))


if __name__ == "__main__":
    main()
