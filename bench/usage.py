"""How long questions about usage take over many sums, and how fast turns become sums.

`python -m bench.usage --people 2000 --others 800` fills a PostgreSQL of its own, asks for a month
of the busy organization as the API and the CLI ask, and applies records of turns as the projector
does.
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg

from axon.app.embedded import EmbeddedPostgres, EmbeddedServer
from axon.app.migrations import migrate_all
from axon.base import SystemClock
from axon.metering import MeteringProjector, Usage, UsageQuestion
from axon.metering.usage_query import select_sums
from axon.projection import Positioned
from axon.records import Charge, TokenUsage, TurnCompleted, TurnHead
from axon.stores import Postgres, PostgresOptions
from bench.run import scratch
from bench.usage_fill import BUSY, Shape, fill

ASKED_TIMES = 15
TURNS = 20_000
TURNS_AT_ONCE = 500
"""In one transaction, as the projector batches them."""

_SEPTEMBER = (datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))
_BERLIN = ZoneInfo("Europe/Berlin")


def questions() -> dict[str, UsageQuestion]:
    """Return the questions of a month, each under what is asked."""
    start_us, end_us = (int(one.timestamp()) * 1_000_000 for one in _SEPTEMBER)
    local = [one.replace(tzinfo=_BERLIN) for one in _SEPTEMBER]
    local_us = [int(one.timestamp()) * 1_000_000 for one in local]

    def asked(**more: object) -> UsageQuestion:
        given = {"org_id": BUSY, "start_us": start_us, "end_us": end_us, **more}
        return UsageQuestion(**given)  # type: ignore[arg-type]

    zoned = {"start_us": local_us[0], "end_us": local_us[1], "zone": _BERLIN}
    return {
        "days": asked(),
        "days by model": asked(group_by=frozenset({"model"})),
        "days by key": asked(group_by=frozenset({"credential_id"})),
        "days of one key by model": asked(group_by=frozenset({"model"}), credentials=("key_3",)),
        "days of one person by model": asked(group_by=frozenset({"model"}), users=(7,)),
        "the month by model": asked(width="month", group_by=frozenset({"model"})),
        "the month by person": asked(width="month", group_by=frozenset({"user_id"})),
        "the month by person and model": asked(
            width="month", group_by=frozenset({"user_id", "model"})
        ),
        "the month in Berlin by model": asked(
            width="month", group_by=frozenset({"model"}), **zoned
        ),
        "the month in Berlin by person": asked(
            width="month", group_by=frozenset({"user_id"}), **zoned
        ),
        "days in Berlin by model": asked(group_by=frozenset({"model"}), **zoned),
    }


async def measure(url: str, explained: bool) -> None:
    """Ask each question some times and print how long it took."""
    options = PostgresOptions(connections_max=2, statement_timeout_s=60.0)
    postgres = Postgres(url, options, SystemClock())
    await postgres.start()
    usage = Usage(postgres)
    for name, question in questions().items():
        took = []
        for _ in range(ASKED_TIMES):
            begins = time.perf_counter()
            answer = await usage.ask(question)
            took.append((time.perf_counter() - begins) * 1000)
        took.sort()
        figures = f"{statistics.median(took):7.1f} ms, at most {took[-1]:7.1f} ms"
        print(f"{name:32} {figures}, {len(answer.sums)} sums", flush=True)
        if explained:
            await explain(url, question)
    await postgres.stop()


async def explain(url: str, question: UsageQuestion) -> None:
    """Print how PostgreSQL answers a question."""
    connection = await asyncpg.connect(url)
    sql, parameters = select_sums(question, question.edges())
    for row in await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", *parameters):
        print("    ", row[0])
    await connection.close()


def turns(count: int) -> list[Positioned]:
    """Return records of turns of the busy organization and others, in the order of time."""
    draw = random.Random(1)
    return [
        Positioned(instance="bench", sequence=number + 1, record=_turn(draw, number))
        for number in range(count)
    ]


def _turn(draw: random.Random, number: int) -> TurnCompleted:
    person = draw.randrange(1, 2000)
    org_id = BUSY if draw.random() < 0.5 else f"org_{draw.randrange(200)}"
    head = TurnHead(
        turn_id=f"chatcmpl_{number:012d}",
        org_id=org_id,
        user=person,
        credential_id=f"key_{person % 40}",
        conversation_id="",
        sequence=0,
        fence=0,
        surface="chat",
        model=f"model-{draw.randrange(5)}",
        accepted_us=1_790_900_000_000_000 + number * 1000,
        implicit=True,
        stored=False,
    )
    usage = TokenUsage(input_tokens=draw.randrange(4000), output_tokens=draw.randrange(900))
    return TurnCompleted(
        head=head,
        input=[],
        output=[],
        answer=b"",
        status="completed",
        usage=usage,
        upstream="engine",
        upstream_id="",
        completed_us=head.accepted_us + 1,
        first_token_us=0,
        assignments=[],
        charge=Charge("price_1", "USD", 1000 + draw.randrange(10**6)),
    )


async def project(url: str, records: Sequence[Positioned]) -> float:
    """Apply the records as the projector does; return turns a second."""
    connection = await asyncpg.connect(url)
    projector = MeteringProjector()
    begins = time.perf_counter()
    for first in range(0, len(records), TURNS_AT_ONCE):
        async with connection.transaction():
            await projector.apply(connection, list(records[first : first + TURNS_AT_ONCE]))
    took = time.perf_counter() - begins
    await connection.close()
    return len(records) / took


async def run(folder: Path, shape: Shape, explained: bool) -> None:
    """Fill, ask, and apply, in a PostgreSQL of its own."""
    embedded = EmbeddedPostgres(folder)
    server = EmbeddedServer(embedded.program(), embedded.url())
    await asyncio.to_thread(server.start)
    try:
        url = embedded.url()
        await migrate_all(url)
        connection = await asyncpg.connect(url)
        begins = time.perf_counter()
        for table, rows in (await fill(connection, shape)).items():
            print(f"{rows:12,} rows in {table}", flush=True)
        print(f"filled in {time.perf_counter() - begins:.0f} s", flush=True)
        await connection.close()
        await measure(url, explained)
        print(f"{await project(url, turns(TURNS)):,.0f} turns a second become sums")
    finally:
        await asyncio.to_thread(server.stop)


def main() -> int:
    """Measure in a scratch folder and print the figures."""
    parser = argparse.ArgumentParser(prog="make usage", description=__doc__)
    parser.add_argument("--people", type=int, default=2000, help="of the busy organization")
    parser.add_argument("--others", type=int, default=800, help="other organizations")
    parser.add_argument("--explain", action="store_true", help="show how PostgreSQL answers")
    chosen = parser.parse_args()
    shape = Shape(others=chosen.others, people=chosen.people)
    with scratch() as folder:
        asyncio.run(run(folder, shape, chosen.explain))
    return 0


if __name__ == "__main__":
    sys.exit(main())
