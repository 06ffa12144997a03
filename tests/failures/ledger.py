"""`make ledger MINUTES=10`: everything dies in turn under mixed turns; then all books are compared.

Serving process, projector, scheduler, PostgreSQL and Valkey are killed, the Kafka broker and Stripe
are away for a while, one after another in random order, while people of two organizations stream,
leave and cancel. Then the engine's own ledger, the journal, PostgreSQL's turns and rollups, what a
consumer of Kafka got and what Stripe's meters hold are compared (ledger_books says how). Exits 0
when every difference is 0.
"""

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from openai import AsyncOpenAI

from axon.app.embedded import EmbeddedPostgres
from axon.base import MICROS_PER_SECOND
from axon.stores import Postgres
from tests.billing.fake_stripe import FakeStripe, running
from tests.failures.ledger_books import (
    HEADINGS,
    KINDS,
    Difference,
    Spent,
    Sums,
    Tariff,
    compare,
    kafka_book,
    read_journals,
    rollups_in,
    sums_of,
    turns_in,
)
from tests.failures.ledger_chaos import (
    AGREE_WITHIN_S,
    TARGETS,
    Campaign,
    Chaos,
    LaterClock,
    Reader,
    StripeRounds,
)
from tests.failures.ledger_engine import engine_book, told_otherwise
from tests.failures.ledger_load import MODEL, PEOPLE, LedgerLoad
from tests.gateway.commands import axon_command, set_price
from tests.gateway.conftest import RunningAxon, start_axon, start_upstream, stop
from tests.kafka.broker import Broker
from tests.promises.outages import healed

REMEMBERED = 200_000
"""Requests of the longest campaign; the fake upstream's ledger must not forget one."""

TARIFFS = {
    "acme": Tariff(
        currency="USD", input=3_000_007_001, cached=300_001_003, written=3_750_013_007,
        output=5_000_011_009, reasoning=7_000_003_001, request=7,
    ),
    "brno": Tariff(
        currency="CZK", input=71_000_017_003, cached=7_100_003_009, written=88_000_009_001,
        output=113_000_021_007, reasoning=131_000_033_003, request=13,
    ),
}  # fmt: skip
"""Odd to the last nano-unit, so that no rounding hides behind another."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What was done, and how the books differ."""

    differences: list[Difference] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    strikes: Counter[str] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    """How many ended how."""
    lines: list[str] = field(default_factory=list)
    """What else is worth knowing."""

    @property
    def agrees(self) -> bool:
        """Return whether everything is counted once, everywhere."""
        return not self.wrong and all(one.whole for one in self.differences)

    def table(self) -> list[str]:
        """Return what to print."""
        strikes = ", ".join(f"{name} {self.strikes[name]}" for name in TARGETS)
        return [*self.lines, f"strikes: {strikes}", HEADINGS, *map(str, self.differences)]


async def run_campaign(
    campaign: Campaign, axon: RunningAxon, broker: Broker, stripe: FakeStripe
) -> Outcome:
    """Load, strike, wait until everything has arrived everywhere, and compare."""
    outcome = Outcome()
    made = [await asyncio.to_thread(_prepare, axon, name) for name in TARIFFS]
    orgs = {name: org_id for name, (org_id, _) in zip(TARIFFS, made, strict=True)}
    url = EmbeddedPostgres(axon.data).url()
    postgres = Postgres(url)
    await postgres.start()
    rounds, reader = StripeRounds(postgres, stripe), Reader(broker.address)
    customers = await rounds.link(orgs)
    clients = [AsyncOpenAI(base_url=axon.base_url, api_key=key, max_retries=0) for _, key in made]
    load = LedgerLoad(clients, campaign.seed)
    following = asyncio.create_task(reader.follow())
    telling = asyncio.create_task(rounds.run())
    loading = asyncio.create_task(load.run())
    try:
        await Chaos(axon, broker, stripe).strike_for(campaign, outcome.strikes)
        load.stop.set()
        await loading
        await _everything_arrived(axon, reader)
        telling.cancel()
        await rounds.finish()
        seen = Seen(
            axon=axon, load=load, reader=reader, tariffs=_by_id(orgs),
            stripe=_held(stripe, customers, orgs),
        )  # fmt: skip
        connection = await asyncpg.connect(url)
        await _compare(outcome, seen, connection)
        await connection.close()
    finally:
        for task in (loading, telling, following):
            task.cancel()
        await asyncio.gather(loading, telling, following, return_exceptions=True)
        reader.close()
        for client in clients:
            await client.close()
        await postgres.stop()
    return outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen from outside."""

    axon: RunningAxon
    load: LedgerLoad
    reader: Reader
    tariffs: dict[str, Tariff]
    """By organization's id."""
    stripe: Sums


def _held(stripe: FakeStripe, customers: dict[str, str], orgs: dict[str, str]) -> Sums:
    """Return what Stripe's meters hold; they know no tokens."""
    found: Sums = {}
    for org_id, tariff in _by_id(orgs).items():
        meter = f"axon_cost_nano_{tariff.currency.lower()}"
        nano = stripe.total(meter, customers[org_id])
        key = (org_id, tariff.currency)
        found[key] = Spent(*key, 0, 0, 0, 0, 0, nano)
    return found


def _by_id(orgs: dict[str, str]) -> dict[str, Tariff]:
    return {org_id: TARIFFS[name] for name, org_id in orgs.items()}


def _prepare(axon: RunningAxon, name: str) -> tuple[str, str]:
    """Make an organization and its prices; return its id and a key of it."""
    tariff = TARIFFS[name]
    org_id = str(axon_command(axon, "orgs", "create", name)["org_id"])
    axon_command(axon, "users", "create", "ada", "--org", name)
    rates = ["--currency", tariff.currency, "--org", name]
    for option, nano in (
        ("--input", tariff.input), ("--cached", tariff.cached),
        ("--cache-write", tariff.written), ("--output", tariff.output),
        ("--reasoning", tariff.reasoning), ("--request", tariff.request),
    ):  # fmt: skip
        rates += [option, f"{nano // 10**9}.{nano % 10**9:09}"]
    set_price(axon, MODEL, *rates)
    made = axon_command(axon, "keys", "create", "--org", name, "--user", "ada", "--name", "a")
    return org_id, str(made["secret"])


async def _everything_arrived(axon: RunningAxon, reader: Reader) -> None:
    """Wait until every turn has ended, PostgreSQL has it, and Kafka has as many; or time is up."""
    await healed(axon.origin)
    ends_s = time.monotonic() + AGREE_WITHIN_S
    while time.monotonic() < ends_s:
        journal = read_journals(axon.data / "journal")  # the load is over, nobody waits
        if not journal.open and reader.events.keys() >= journal.ended.keys():
            break
        await asyncio.sleep(1.0)
    await healed(axon.origin)


async def _compare(outcome: Outcome, seen: Seen, connection: asyncpg.Connection) -> None:
    """Hold every book to the journal."""
    runs = _runs_of(seen.axon.upstream)
    journal = read_journals(seen.axon.data / "journal")
    engine = engine_book(journal, runs, seen.load.asked, seen.tariffs)
    truth, events = journal.turns(), kafka_book(seen.reader.events)
    sums = sums_of(truth)
    paid = {key: one for key, one in sums.items() if key[1]}
    outcome.differences = [
        compare("engine", truth, engine.turns),
        compare("metering.turns", truth, await turns_in(connection)),
        *(
            compare(f"metering.{table}", sums, rollup)
            for table, rollup in (await rollups_in(connection)).items()
        ),
        compare("Kafka", truth, events),
        compare("Stripe", paid, seen.stripe, ("nano",)),
    ]
    outcome.wrong += [*engine.wrong, *told_otherwise(journal, seen.load.asked), *seen.reader.wrong]
    if engine.forgotten > engine.nameless + PEOPLE * outcome.strikes["serving"]:
        outcome.wrong.append(f"{engine.forgotten} runs of the engine are no turn's")
    asked = seen.load.asked
    outcome.turns = Counter(record.status for record in journal.ended.values())
    manners, broken = Counter(one.manner for one in asked), sum(bool(one.error) for one in asked)
    outcome.lines = [
        f"asked: {len(asked)}, {_counted(manners)}; {broken} of them saw an error",
        f"turns: {len(truth)}, {_counted(outcome.turns)}; {engine.estimated} estimated",
        f"engine: {len(runs)} runs, {engine.forgotten} said their usage and are no turn's",
        f"Kafka: {seen.reader.received} events for {len(events)} turns",
        *_totals(sums),
    ]


def _totals(sums: Sums) -> list[str]:
    return [
        f"{currency}: " + ", ".join(f"{getattr(one, kind)} {kind}" for kind in KINDS)
        for (_, currency), one in sorted(sums.items())
        if currency
    ]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _runs_of(upstream: str) -> list[dict[str, Any]]:
    """Return the chats of the fake upstream's ledger."""
    with urllib.request.urlopen(f"{upstream}/ledger", timeout=AGREE_WITHIN_S) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return [run for run in found if run["path"].endswith("/chat/completions")]


@contextlib.contextmanager
def _broker() -> Iterator[Broker]:
    started = Broker()
    try:
        yield started
    finally:
        started.close()


def campaign_in(folder: Path, campaign: Campaign) -> Outcome:
    """Run a node of its own in the folder, with all that is around it; blocks."""
    now = LaterClock()
    stripe = FakeStripe(now=lambda: now.now_us() // MICROS_PER_SECOND)
    upstream, address = start_upstream("--remember", str(REMEMBERED))
    with upstream, running(stripe), _broker() as broker:
        environment = {
            "AXON_USAGE_STREAM_BROKERS": broker.address,
            "AXON_USAGE_STREAM_DELIVERY_TIMEOUT_S": "1",
        }
        process, axon = start_axon(folder / "data", address, environment=environment)
        try:
            return asyncio.run(run_campaign(campaign, axon, broker, stripe))
        finally:
            stop(process)
            upstream.kill()


def main() -> int:
    """Run one campaign in a fresh folder and print its table."""
    parser = argparse.ArgumentParser(prog="make ledger", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="repeat an earlier run's chances")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if chosen.seed is None else chosen.seed
    folder = Path(tempfile.mkdtemp(prefix="axon-ledger-"))
    print(f"seed {seed}, files in {folder}", flush=True)
    outcome = campaign_in(folder, Campaign(minutes=chosen.minutes, seed=seed))
    print(*outcome.table(), *outcome.wrong, sep="\n")
    if outcome.agrees:
        print("every book agrees, to the token and nano-unit")
        shutil.rmtree(folder)
        return 0
    print("THE BOOKS DIFFER")
    return 1


if __name__ == "__main__":
    sys.exit(main())
