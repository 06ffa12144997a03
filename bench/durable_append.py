"""Acknowledged appends a second: the journal, a raw fdatasync loop, one commit a message.

Runs in a process of its own: `python -m bench.durable_append KIND CLIENTS SECONDS FOLDER URL`.
Every client of KIND appends one record of 2 KiB, waits until it is on disk, and appends the next.
Prints one JSON line.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import msgspec
import uvloop

from axon.base import KIB, SystemClock
from axon.journal import Journal, JournalEnvironment, JournalOptions, SystemDisk

RECORD_BYTES = 2 * KIB
RECORD_KIND = 1
WARMUP_S = 0.5
POSTGRES_CONNECTIONS_MAX = 64
"""More clients than this share them, as the users of a connection pool do."""

Append = Callable[[], Awaitable[object]]


class AppendReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one run measured; `cpu_us` is this process's, not PostgreSQL's."""

    kind: str
    clients: int
    rate_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


class FsyncIsOff(Exception):
    """PostgreSQL runs without fsync; its commits would be compared as what they are not."""


async def drive(append: Append, clients: int, seconds: float) -> list[float]:
    """Run `clients` closed loops and return the latency in seconds of every append measured."""
    latencies: list[float] = []
    start = time.perf_counter() + WARMUP_S
    end = start + seconds

    async def client() -> None:
        while (sent := time.perf_counter()) < end:
            await append()
            answered = time.perf_counter()
            if sent >= start and answered < end:
                latencies.append(answered - sent)

    await asyncio.gather(*(client() for _ in range(clients)))
    return latencies


async def on_journal(folder: Path, clients: int, seconds: float) -> list[float]:
    """Append to a new journal."""
    environment = JournalEnvironment(disk=SystemDisk(), clock=SystemClock(), on_fatal=_die)
    options = JournalOptions(low_water_bytes=0)
    journal = await asyncio.to_thread(
        Journal.open, folder / "journal", "bench", options, environment
    )
    record = os.urandom(RECORD_BYTES)
    try:
        return await drive(lambda: journal.append(RECORD_KIND, record), clients, seconds)
    finally:
        await journal.close()


def _die(error: BaseException) -> None:
    print(f"the journal failed: {error}", file=sys.stderr)
    os._exit(3)


async def on_postgres(url: str, clients: int, seconds: float) -> list[float]:
    """Insert one row a transaction through a pool, each commit waiting for its flush."""
    size = min(clients, POSTGRES_CONNECTIONS_MAX)
    settings = {"synchronous_commit": "on"}
    record = os.urandom(RECORD_BYTES)
    async with asyncpg.create_pool(
        url, min_size=size, max_size=size, server_settings=settings
    ) as pool:
        if await pool.fetchval("SHOW fsync") != "on":
            raise FsyncIsOff
        await pool.execute(
            "CREATE TABLE IF NOT EXISTS bench_messages "
            "(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, content bytea NOT NULL)"
        )
        await pool.execute("TRUNCATE bench_messages")
        insert = "INSERT INTO bench_messages (content) VALUES ($1)"
        return await drive(lambda: pool.execute(insert, record), clients, seconds)


def on_disk(folder: Path, seconds: float) -> list[float]:
    """Write and fdatasync one record at a time: what the disk itself can do for one client."""
    descriptor = os.open(folder / "raw", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    record, latencies = os.urandom(RECORD_BYTES), []
    start = time.perf_counter() + WARMUP_S
    end = start + seconds
    while (sent := time.perf_counter()) < end:
        os.write(descriptor, record)
        os.fdatasync(descriptor)
        if sent >= start:
            latencies.append(time.perf_counter() - sent)
    os.close(descriptor)
    return latencies


def main(arguments: list[str]) -> None:
    """Run one measurement and print its AppendReport."""
    kind, clients, seconds, folder, url = arguments
    cpu_before, start = time.process_time(), time.perf_counter()
    if kind == "fdatasync":
        latencies = on_disk(Path(folder), float(seconds))
    elif kind == "journal":
        latencies = uvloop.run(on_journal(Path(folder), int(clients), float(seconds)))
    else:
        latencies = uvloop.run(on_postgres(url, int(clients), float(seconds)))
    busy_share = (time.process_time() - cpu_before) / (time.perf_counter() - start)
    latencies.sort()
    count = len(latencies)
    report = AppendReport(
        kind=kind,
        clients=int(clients),
        rate_per_s=count / float(seconds),
        p50_ms=latencies[count // 2] * 1e3,
        p99_ms=latencies[count * 99 // 100] * 1e3,
        cpu_us=busy_share * float(seconds) / count * 1e6,
    )
    print(msgspec.json.encode(report).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
