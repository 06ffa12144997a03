"""How long a wiped cache takes to fill again, and what it costs until then.

`python -m bench.warm --conversations 100000` fills PostgreSQL with conversations, wipes Valkey and
takes one turn in each of them (cold), then another (warm). The projector stands still while the
statements of cold turns are counted, so that all of them are the serving process's.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import msgspec
from rich.console import Console
from rich.progress import Progress

from axon.app.embedded import EmbeddedPostgres, EmbeddedValkey
from bench import gateways
from bench.cores import Cores
from bench.gateways import Gateway
from bench.load import MODEL, LoadFailed
from bench.run import scratch
from bench.warm_fill import Filler

COUNTED_MAX = 1000
"""Conversations whose cold turns are counted statement by statement."""

_SETTLED_LOOKS_MAX = 600
_RESTART_LOOKS_MAX = 600
_PAUSE_S = 0.1

_STATEMENTS = """
SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
WHERE query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE '%accounts.version%'
"""


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """One turn in each conversation."""

    seconds: float
    turns_per_s: float
    p50_ms: float
    p99_ms: float


class Warming(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured; the machine's figures, and the ratios that travel."""

    conversations: int
    concurrency: int
    cold: Pass
    warm: Pass
    p99_cold_to_warm: float
    loads: int
    """Histories PostgreSQL was asked for in the cold pass; one for each conversation is ideal."""
    statements_per_cold_turn: float


@dataclass(slots=True)
class Client:
    """Takes turns over its own connections; one task each."""

    gateway: Gateway
    concurrency: int
    told: Callable[[int], None]
    _waiting: deque[str] = field(default_factory=deque)
    _latencies_s: list[float] = field(default_factory=list)

    async def run(self, conversations: Sequence[str]) -> Pass:
        """Take one turn in each; raises LoadFailed when one is not acknowledged."""
        self._waiting.extend(conversations)
        self._latencies_s.clear()
        began_s = time.perf_counter()
        await asyncio.gather(*(self._connection() for _ in range(self.concurrency)))
        seconds = time.perf_counter() - began_s
        ordered = sorted(self._latencies_s)
        return Pass(
            seconds=seconds,
            turns_per_s=len(ordered) / seconds,
            p50_ms=ordered[len(ordered) // 2] * 1e3,
            p99_ms=ordered[len(ordered) * 99 // 100] * 1e3,
        )

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        try:
            while self._waiting:
                conversation = self._waiting.popleft()
                began_s = time.perf_counter()
                await self._turn(reader, writer, conversation)
                self._latencies_s.append(time.perf_counter() - began_s)
                self.told(len(self._latencies_s))
        finally:
            writer.close()

    async def _turn(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, conversation: str
    ) -> None:
        members = {"model": MODEL, "input": "And then?", "conversation": conversation}
        body = json.dumps(members).encode()
        lines = [
            "POST /v1/responses HTTP/1.1", "host: axon", "content-type: application/json",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in self.gateway.headers.items()),
        ]  # fmt: skip
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        answer = await reader.readexactly(length)
        if " 200 " not in head.split("\r\n")[0] or b'"error":null' not in answer:
            raise LoadFailed(f"{head.splitlines()[0]} {answer[:300]!r}")


async def measure(count: int, concurrency: int, place: tuple[Path, Gateway]) -> Warming:
    """Fill, wipe, take the turns and return what they took; raises LoadFailed."""
    folder, gateway = place
    data = folder / "axon"
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:

        def bar(what: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(what, total=total)
            return lambda done: progress.update(task, completed=done)

        await _count_statements(data)
        ids = await Filler(data).fill(count, bar("filling PostgreSQL", count))
        await _wipe(data)
        before = await _loads(gateway)
        cold = await Client(gateway, concurrency, bar("cold", count)).run(ids)
        loads = await _loads(gateway) - before
        warm = await Client(gateway, concurrency, bar("warm", count)).run(ids)
        counted = ids[:COUNTED_MAX]
        client = Client(gateway, concurrency, bar("counting statements", len(counted)))
        statements = await _statements_of(client, counted, data)
    return Warming(
        conversations=count,
        concurrency=concurrency,
        cold=cold,
        warm=warm,
        p99_cold_to_warm=cold.p99_ms / warm.p99_ms,
        loads=loads,
        statements_per_cold_turn=statements / len(counted),
    )


async def _statements_of(client: Client, conversations: list[str], data: Path) -> int:
    """Return how many statements cold turns in these conversations cost, the projector's apart."""
    await _settled(client.gateway)
    projectors = client.gateway.background_pids
    await _wipe(data)
    for pid in projectors:
        os.kill(pid, signal.SIGSTOP)
    try:
        before = await _query(data, _STATEMENTS)
        await client.run(conversations)
        return await _query(data, _STATEMENTS) - before
    finally:
        for pid in projectors:
            os.kill(pid, signal.SIGCONT)


async def _count_statements(data: Path) -> None:
    """Let PostgreSQL count its statements; it is killed for that, and the supervisor starts it."""
    url = EmbeddedPostgres(data).url()
    connection = await asyncpg.connect(url, timeout=10)
    await connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    await connection.close()
    os.kill(int((data / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
    for _ in range(_RESTART_LOOKS_MAX):
        await asyncio.sleep(_PAUSE_S)
        try:
            connection = await asyncpg.connect(url, timeout=10)
        except (OSError, asyncpg.PostgresError):
            continue
        try:
            if "pg_stat" in await connection.fetchval("SHOW shared_preload_libraries"):
                await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
                return
        finally:
            await connection.close()
    raise LoadFailed("PostgreSQL did not come back")


async def _query(data: Path, sql: str) -> int:
    connection = await asyncpg.connect(EmbeddedPostgres(data).url(), timeout=10)
    try:
        return int(await connection.fetchval(sql))
    finally:
        await connection.close()


async def _wipe(data: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(EmbeddedValkey(data).socket)
    writer.write(b"FLUSHALL\r\n")
    if await reader.readline() != b"+OK\r\n":
        raise LoadFailed("Valkey was not wiped")
    writer.close()


async def _metric(gateway: Gateway, name: str) -> int:
    """Return the value of a metric; 0 when there is none yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nhost: axon\r\nconnection: close\r\n\r\n")
    lines = (await reader.read(-1)).decode().splitlines()
    writer.close()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(name))


async def _loads(gateway: Gateway) -> int:
    return await _metric(gateway, 'axon_conversation_windows_total{from="postgresql"}')


async def _settled(gateway: Gateway) -> None:
    """Return when PostgreSQL has everything, so that what is counted is what turns cost."""
    for _ in range(_SETTLED_LOOKS_MAX):
        if await _metric(gateway, "axon_projection_lag_records") == 0:
            return
        await asyncio.sleep(_PAUSE_S)
    raise LoadFailed("PostgreSQL stays behind")


def render(found: Warming) -> str:
    """Return the figures as a table for people."""
    lines = [
        f"{found.conversations:,} conversations, {found.concurrency} turns at a time",
        f"{'':12}{'seconds':>10}{'turns/s':>10}{'p50 ms':>10}{'p99 ms':>10}",
    ]
    for name, one in (("cold", found.cold), ("warm", found.warm)):
        times = f"{one.p50_ms:>10.2f}{one.p99_ms:>10.2f}"
        lines.append(f"{name:12}{one.seconds:>10.1f}{one.turns_per_s:>10.0f}{times}")
    lines.append(f"p99 of a cold turn: {found.p99_cold_to_warm:.1f} times that of a warm one")
    lines.append(f"statements per cold turn: {found.statements_per_cold_turn:.2f}")
    lines.append(f"histories read from PostgreSQL in the cold pass: {found.loads:,}")
    return "\n".join(lines)


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.warm", description=__doc__)
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--json", action="store_true", help="print the results as one JSON line")
    chosen = parser.parse_args()
    cores = Cores.of_this_machine()
    with (
        scratch() as folder,
        gateways.upstream(folder, cores) as engine,
        gateways.axon(folder, cores, engine) as gateway,
    ):
        print("filling and measuring", file=sys.stderr, flush=True)
        measured = measure(chosen.conversations, chosen.concurrency, (folder, gateway))
        found = asyncio.run(measured)
    print(msgspec.json.encode(found).decode() if chosen.json else render(found))


if __name__ == "__main__":
    main()
