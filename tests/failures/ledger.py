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
import os
import random
import shutil
import signal
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
from confluent_kafka import Consumer, TopicPartition
from openai import AsyncOpenAI

from axon.app.embedded import EmbeddedPostgres
from axon.base import MICROS_PER_SECOND, SystemClock
from axon.billing import StripeApi, StripeAway, StripeSync
from axon.stores import Postgres, PostgresAway
from tests.billing.fake_stripe import KEY, FakeStripe, running
from tests.failures.ledger_books import (
    HEADINGS,
    Difference,
    Spent,
    Sums,
    Tariff,
    compare,
    engine_book,
    kafka_book,
    read_journals,
    rollups_in,
    sums_of,
    told_otherwise,
    turns_in,
)
from tests.failures.ledger_load import MODEL, PEOPLE, LedgerLoad
from tests.gateway.conftest import RunningAxon, start_axon, start_upstream, stop
from tests.gateway.test_tenants import axon_command
from tests.kafka.broker import PARTITIONS, TOPIC, Broker
from tests.promises.outages import healed, status

KILLED = ("serving", "projector", "scheduler", "postgres", "valkey")
BROKER, STRIPE = "broker", "stripe"
TARGETS = (*KILLED, BROKER, STRIPE)

AWAY_S = 2.0
"""How long what is not killed is away; the usage stream gives a delivery up after half of it."""

QUIET_MAX_S = 3.0
AGREE_WITHIN_S = 180.0
"""After the load; a backlog of minutes is applied and sent in a small part of this."""

REMEMBERED = 200_000
"""Requests of the longest campaign; the fake upstream's ledger must not forget one."""

HOURS_AHEAD = 2
"""Stripe is told of hours that are over: its part of the campaign lives a little later."""

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

_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """How long, and by which chances."""

    minutes: float
    seed: int = 1
    quiet_max_s: float = QUIET_MAX_S


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What was done, and how the books differ."""

    differences: list[Difference] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    strikes: Counter[str] = field(default_factory=Counter)
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


class LaterClock:
    """The machine's clock, some hours ahead."""

    def now_us(self) -> int:
        """Return the time it will be."""
        return SystemClock().now_us() + HOURS_AHEAD * 3600 * MICROS_PER_SECOND

    monotonic = staticmethod(time.monotonic)


class Reader:
    """A consumer that follows the usage stream and dedupes by id."""

    def __init__(self, address: str) -> None:
        """Begin with the first event of every partition."""
        self.events: dict[str, bytes] = {}
        self.again = 0
        """Events that came once more, as they may."""
        self.wrong: list[str] = []
        options = {"bootstrap.servers": address, "group.id": "ledger", "log_level": 2}
        self._consumer = Consumer({**options, "enable.auto.commit": False})
        self._consumer.assign([TopicPartition(TOPIC, one, 0) for one in range(PARTITIONS)])

    async def follow(self) -> None:
        """Read until cancelled; a broker that is away is waited for."""
        while True:
            for message in await asyncio.to_thread(self._consumer.consume, 500, _POLL_S):
                if message.error() is None:
                    self._take(message.value())

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def _take(self, body: bytes) -> None:
        event_id = json.loads(body)["id"]
        if self.events.setdefault(event_id, body) != body:
            self.wrong.append(f"Kafka has two events {event_id}")
        self.again += 1


class Chaos:
    """Strikes one installation and what is around it."""

    def __init__(self, axon: RunningAxon, broker: Broker, stripe: FakeStripe) -> None:
        self._axon = axon
        self._broker = broker
        self._stripe = stripe

    async def strike_for(self, campaign: Campaign, strikes: Counter[str]) -> None:
        """Strike until the time is over, and every target at least once."""
        chance = random.Random(campaign.seed)
        ends_s = time.monotonic() + 60 * campaign.minutes
        while time.monotonic() < ends_s or len(strikes) < len(TARGETS):
            for target in chance.sample(TARGETS, len(TARGETS)):
                await asyncio.sleep(chance.uniform(0.2, campaign.quiet_max_s))
                await self._strike(target)
                strikes[target] += 1
                if chance.random() < 1 / 2:
                    await self._answers()

    async def _strike(self, target: str) -> None:
        if target == BROKER:
            self._broker.down()
            await asyncio.sleep(AWAY_S)
            self._broker.up()
        elif target == STRIPE:
            self._stripe.down, self._stripe.deaf = True, 1
            await asyncio.sleep(AWAY_S)
            self._stripe.down = False
        else:
            state = json.loads((self._axon.data / "up.json").read_text())
            for pid in state["pids"].get(target, []):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    async def _answers(self) -> None:
        async with asyncio.timeout(AGREE_WITHIN_S):
            while True:
                try:
                    await asyncio.to_thread(status, self._axon.origin)
                except OSError:
                    await asyncio.sleep(_POLL_S)
                else:
                    return


class StripeRounds:
    """Tells the fake Stripe again and again, as the scheduler does, of the hour that runs, too."""

    def __init__(self, postgres: Postgres, stripe: FakeStripe) -> None:
        self._postgres = postgres
        self._account = StripeApi(KEY, stripe.url)
        self._sync = StripeSync(postgres, LaterClock(), self._account)

    async def link(self, orgs: dict[str, str]) -> dict[str, str]:
        """Have organizations told of; return their customers' ids. Keys are names."""
        now = StripeSync(self._postgres, SystemClock(), self._account)
        return {org_id: await now.link(org_id, name) for name, org_id in orgs.items()}

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            with contextlib.suppress(PostgresAway, StripeAway):
                await self._sync.run_round()
            await asyncio.sleep(1.0)

    async def finish(self) -> None:
        """Tell until there is nothing left to tell."""
        async with asyncio.timeout(AGREE_WITHIN_S):
            while True:
                told = await self._sync.run_round()
                if not told.gathered and not told.due:
                    return


async def run_campaign(
    campaign: Campaign, axon: RunningAxon, broker: Broker, stripe: FakeStripe
) -> Outcome:
    """Load, strike, wait until everything has arrived everywhere, and compare."""
    outcome, orgs, keys = Outcome(), *await asyncio.to_thread(_prepare, axon)
    url = EmbeddedPostgres(axon.data).url()
    postgres = Postgres(url)
    await postgres.start()
    rounds, reader = StripeRounds(postgres, stripe), Reader(broker.address)
    customers = await rounds.link(orgs)
    clients = [AsyncOpenAI(base_url=axon.base_url, api_key=key, max_retries=0) for key in keys]
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
        held = {
            (org_id, tariff.currency): stripe.total(
                f"axon_cost_nano_{tariff.currency.lower()}", customers[org_id]
            )
            for org_id, tariff in _by_id(orgs).items()
        }
        connection = await asyncpg.connect(url)
        await _compare(outcome, (axon, load, reader), connection, (_by_id(orgs), held))
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


def _by_id(orgs: dict[str, str]) -> dict[str, Tariff]:
    return {org_id: TARIFFS[name] for name, org_id in orgs.items()}


def _prepare(axon: RunningAxon) -> tuple[dict[str, str], list[str]]:
    """Make the organizations and their prices; return ids by name, and a key of each."""
    orgs, keys = {}, []
    for name, tariff in TARIFFS.items():
        orgs[name] = str(axon_command(axon, "orgs", "create", name)["org_id"])
        axon_command(axon, "users", "create", "ada", "--org", name)
        rates = ["--currency", tariff.currency, "--org", name]
        for option, nano in (
            ("--input", tariff.input), ("--cached", tariff.cached),
            ("--cache-write", tariff.written), ("--output", tariff.output),
            ("--reasoning", tariff.reasoning), ("--request", tariff.request),
        ):  # fmt: skip
            rates += [option, f"{nano // 10**9}.{nano % 10**9:09}"]
        axon_command(axon, "prices", "set", MODEL, *rates)
        made = axon_command(axon, "keys", "create", "--org", name, "--user", "ada", "--name", "a")
        keys.append(str(made["secret"]))
    return orgs, keys


async def _everything_arrived(axon: RunningAxon, reader: Reader) -> None:
    """Wait until every turn has ended, PostgreSQL has it, and Kafka has as many; or time is up."""
    await healed(axon.origin)
    ends_s = time.monotonic() + AGREE_WITHIN_S
    while time.monotonic() < ends_s:
        journal = await asyncio.to_thread(read_journals, axon.data / "journal")
        if not journal.open and reader.events.keys() >= journal.ended.keys():
            break
        await asyncio.sleep(1.0)
    await healed(axon.origin)


async def _compare(
    outcome: Outcome,
    seen: tuple[RunningAxon, LedgerLoad, Reader],
    connection: asyncpg.Connection,
    priced: tuple[dict[str, Tariff], dict[tuple[str, str], int]],
) -> None:
    (axon, load, reader), (tariffs, held) = seen, priced
    runs = [run for run in _ledger_of(axon.upstream) if run["path"].endswith("/chat/completions")]
    journal = read_journals(axon.data / "journal")
    engine = engine_book(journal, runs, load.asked, tariffs)
    truth = journal.turns()
    sums: Sums = sums_of(truth)
    paid = {key: one for key, one in sums.items() if key[1]}
    stripe = {key: Spent(*key, 0, 0, 0, 0, 0, nano) for key, nano in held.items() if nano}
    outcome.differences = [
        compare("engine", truth, engine.turns),
        compare("metering.turns", truth, await turns_in(connection)),
    ]
    for table, rollup in (await rollups_in(connection)).items():
        outcome.differences.append(compare(f"metering.{table}", sums, rollup))
    outcome.differences.append(compare("Kafka", truth, kafka_book(reader.events)))
    outcome.differences.append(compare("Stripe", paid, stripe, ("nano",)))
    outcome.wrong += engine.wrong + told_otherwise(journal, load.asked) + reader.wrong
    most = engine.nameless + PEOPLE * outcome.strikes["serving"]
    if engine.forgotten > most:
        outcome.wrong.append(f"{engine.forgotten} runs of the engine are no turn's")
    ends = Counter(record.status for record in journal.ended.values())
    manners = Counter(one.manner for one in load.asked)
    broken = sum(bool(one.error) for one in load.asked)
    outcome.lines += [
        f"asked: {len(load.asked)}, {_counted(manners)}; {broken} of them saw an error",
        f"turns: {len(truth)}, {_counted(ends)}; {engine.estimated} estimated",
        f"engine: {len(runs)} runs, {engine.forgotten} said their usage to nobody who lived",
        f"Kafka: {reader.again - len(reader.events)} events came more than once",
        f"Stripe: {len(stripe)} meters of customers",
    ]
    outcome.lines += [
        f"total {currency}: {one.input} input, {one.cached} cached, {one.written} written, "
        f"{one.output} output, {one.reasoning} reasoning, {one.nano} nano-units"
        for (_, currency), one in sorted(sums.items())
        if currency
    ]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _ledger_of(upstream: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{upstream}/ledger", timeout=AGREE_WITHIN_S) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


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
