"""How long questions about usage take over many sums, and how fast turns become sums.

`python -m bench.usage --rows 100000000` fills a PostgreSQL of its own with about as many rows of
sums, asks for a month of the busy organization as the API asks, and lets turns become sums as the
projector does. It takes some 300 bytes of disk for each row, and gives them back.
"""

import argparse
import asyncio
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from rich.console import Console
from rich.progress import Progress

from axon.app.embedded import EmbeddedPostgres, EmbeddedServer
from axon.app.migrations import migrate_all
from axon.base import GIB, SystemClock
from axon.gateway.usage import PAGE_SUMS_MAX
from axon.gateway.usage_shapes import costs_results
from axon.metering import Dimension, Usage, UsageQuestion
from axon.metering.usage_query import ROWS_MAX, select_sums
from axon.stores import Postgres, PostgresOptions
from bench.cores import family_seconds
from bench.run import scratch
from bench.usage_fill import (
    BUSY,
    POSTGRES_PARAMETERS,
    DiskTooSmall,
    Shape,
    check_disk,
    fill,
    sizes,
    steps,
)
from bench.usage_rate import Rate, metering_rate, projector_rate, turns

ASKED_TIMES = 100

BENCH_TURNS_PER_S = 2_100
"""What `make bench` measures as durable turns a second of a node, on a machine with two cores."""

RATIO_GOAL = 10

NODES = (1, 2, 10)
"""How many journals the turns are in; each has a projector, and all of them one PostgreSQL."""

_SEPTEMBER = (datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))
_WEEK = (datetime(2026, 9, 7, tzinfo=UTC), datetime(2026, 9, 14, tzinfo=UTC))
_BERLIN = ZoneInfo("Europe/Berlin")


def questions() -> dict[str, UsageQuestion]:
    """Return the questions of a month, each under what is asked."""
    start_us, end_us = (_us(one) for one in _SEPTEMBER)
    local = [_us(one.replace(tzinfo=_BERLIN)) for one in _SEPTEMBER]
    week = [_us(one) for one in _WEEK]

    def asked(*group_by: Dimension, **more: object) -> UsageQuestion:
        given = {"org_id": BUSY, "start_us": start_us, "end_us": end_us, **more}
        return UsageQuestion(group_by=frozenset(group_by), **given)  # type: ignore[arg-type]

    zoned = {"start_us": local[0], "end_us": local[1], "zone": _BERLIN}
    hours = {"start_us": week[0], "end_us": week[1], "width": "hour"}
    return {
        "days": asked(),
        "days by model": asked("model"),
        "days by key": asked("credential_id"),
        "days by key and model": asked("credential_id", "model"),
        "days by person": asked("user_id"),
        "days by person, key and model": asked("user_id", "credential_id", "model"),
        "days of one key by model": asked("model", credentials=("key_3",)),
        "days of one person by model": asked("model", users=(7,)),
        "the month by model": asked("model", width="month"),
        "the month by key": asked("credential_id", width="month"),
        "the month by person": asked("user_id", width="month"),
        "the month by person and model": asked("user_id", "model", width="month"),
        "the month of one person by key": asked("credential_id", width="month", users=(7,)),
        "the month in Berlin by model": asked("model", width="month", **zoned),
        "the month in Berlin by person": asked("user_id", width="month", **zoned),
        "days in Berlin by model": asked("model", **zoned),
        "days in Berlin by key": asked("credential_id", **zoned),
        "days in Berlin of one person": asked("model", users=(7,), **zoned),
        "hours of a week by model": asked("model", **hours),
        "hours of a week of one person": asked("model", users=(7,), **hours),
    }


def _us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


async def measure(server: EmbeddedServer, explained: bool) -> None:
    """Ask each question some times and print how long it took."""
    options = PostgresOptions(connections_max=2, statement_timeout_s=60.0)
    postgres = Postgres(server.url, options, SystemClock())
    await postgres.start()
    usage = Usage(postgres)
    print(f"{'':32}{'first':>8}{'p50 ms':>8}{'p99 ms':>8}{'CPU ms':>8}{'sums':>8}  in periods")
    for name, question in questions().items():
        took = []
        used = family_seconds(server.pid)
        for _ in range(ASKED_TIMES):
            begins = time.perf_counter()
            answer = await usage.ask_page(question, PAGE_SUMS_MAX)
            msgspec.json.encode(costs_results(answer.sums))
            took.append((time.perf_counter() - begins) * 1000)
        used = (family_seconds(server.pid) - used) * 1000 / ASKED_TIMES
        first, p50, p99 = took[0], statistics.median(took), sorted(took)[-1 - ASKED_TIMES // 100]
        periods = f"{len(answer.edges) - 1} of {len(question.edges()) - 1}"
        figures = f"{first:8.1f}{p50:8.1f}{p99:8.1f}{used:8.1f}{len(answer.sums):8}"
        print(f"{name:32}{figures}  {periods}", flush=True)
        if explained:
            await explain(server.url, question)
    await postgres.stop()


async def explain(url: str, question: UsageQuestion) -> None:
    """Print how PostgreSQL answers a question, all of its periods at once."""
    connection = await asyncpg.connect(url)
    sql, parameters = select_sums(question, question.edges(), ROWS_MAX)
    for row in await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", *parameters):
        print("    ", row[0])
    await connection.close()


async def rates(server: EmbeddedServer, root: Path, shape: Shape, count: int) -> None:
    """Let turns become sums and print how many a second, beside the bench's."""
    print(f"turns that become sums, beside the bench's {BENCH_TURNS_PER_S:,} a second of a node:")
    for nodes in NODES:
        each = [turns(count // nodes, shape, f"{nodes}n{node}-") for node in range(nodes)]
        _tell(f"metering, nodes: {nodes}", await metering_rate(server, each))
    whole = await projector_rate(server, root, turns(count, shape, "whole"))
    _tell("the whole projector", whole)
    for room, seconds in whole.seconds_by_room.items():
        print(f"  of the whole, {room:16} {seconds:8.1f} s for a million turns")


def _tell(name: str, rate: Rate) -> None:
    ratio = f"{rate.turns_per_s / BENCH_TURNS_PER_S:.1f} times the bench's"
    figures = f"{rate.turns_per_s:9,.0f} a second, {rate.turns_per_cpu_s:9,.0f} a CPU-second"
    print(f"{name:24}{figures}, {ratio} (wanted: {RATIO_GOAL})", flush=True)


async def run(folder: Path, shape: Shape, chosen: argparse.Namespace) -> None:
    """Fill, ask, and apply, in a PostgreSQL of its own."""
    embedded = EmbeddedPostgres(folder, (*POSTGRES_PARAMETERS, f"shared_buffers={chosen.buffers}"))
    server = EmbeddedServer(embedded.program(), embedded.url())
    await asyncio.to_thread(server.start)
    try:
        url = embedded.url()
        await migrate_all(url)
        await _fill(url, shape)
        await measure(server, chosen.explain)
        await rates(server, folder / "journals", shape, chosen.turns)
    finally:
        await asyncio.to_thread(server.stop)


async def _fill(url: str, shape: Shape) -> None:
    connection = await asyncpg.connect(url)
    begins = time.perf_counter()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=steps())

        def told(what: str, done: int) -> None:
            progress.update(task, description=f"Filling: {what}", completed=done)

        await fill(connection, shape, told)
    found = await sizes(connection)
    await connection.close()
    for table, (rows, used) in found.items():
        print(f"{rows:13,} rows in {table:20} {used / GIB:7.2f} GiB")
    rows, used = (sum(column) for column in zip(*found.values(), strict=True))
    took = time.perf_counter() - begins
    print(f"{rows:13,} rows {'':23} {used / GIB:7.2f} GiB, filled in {took:.0f} s", flush=True)


def main() -> int:
    """Measure in a scratch folder and print the figures."""
    parser = argparse.ArgumentParser(prog="make usage", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of sums, in all tables, about")
    parser.add_argument("--people", type=int, default=2000, help="of the busy organization")
    parser.add_argument("--turns", type=int, default=200_000, help="that become sums")
    parser.add_argument("--buffers", default="2GB", help="PostgreSQL's own; `axon up` has 128MB")
    parser.add_argument("--explain", action="store_true", help="show how PostgreSQL answers")
    chosen = parser.parse_args()
    with scratch() as folder:
        try:
            check_disk(folder, chosen.rows)
        except DiskTooSmall as error:
            print(error, file=sys.stderr)
            return 1
        asyncio.run(run(folder, Shape.of_rows(chosen.rows, chosen.people), chosen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
