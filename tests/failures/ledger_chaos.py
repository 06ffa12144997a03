"""What strikes an installation and what follows it from outside: a reader of Kafka, and Stripe."""

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

from axon.base import MICROS_PER_SECOND, SystemClock
from axon.billing import StripeApi, StripeAway, StripeSync
from axon.stores import Postgres, PostgresAway
from tests.billing.fake_stripe import KEY, FakeStripe
from tests.gateway.conftest import RunningAxon
from tests.kafka.broker import PARTITIONS, TOPIC, Broker
from tests.promises.outages import status

KILLED = ("serving", "projector", "scheduler", "postgres", "valkey")
BROKER, STRIPE = "broker", "stripe"
TARGETS = (*KILLED, BROKER, STRIPE)

AWAY_S = 2.0
"""How long what is not killed is away; the usage stream gives a delivery up after half of it."""

QUIET_MAX_S = 3.0
AGREE_WITHIN_S = 180.0
"""After the load; a backlog of minutes is applied and sent in a small part of this."""

HOURS_AHEAD = 2
"""Stripe is told of hours that are over: its part of the campaign lives a little later."""

_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """How long, and by which chances."""

    minutes: float
    seed: int = 1
    quiet_max_s: float = QUIET_MAX_S


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
        self.received = 0
        """Events, those that came once more among them, as they may."""
        self.wrong: list[str] = []
        options = {"bootstrap.servers": address, "group.id": "ledger", "log_level": 2}
        self._consumer = Consumer({**options, "enable.auto.commit": False})
        self._consumer.assign([TopicPartition(TOPIC, one, 0) for one in range(PARTITIONS)])

    async def follow(self) -> None:
        """Read until cancelled; a broker that is away is waited for."""
        while True:
            for message in await asyncio.to_thread(self._consumer.consume, 500, _POLL_S):
                body = message.value()
                if message.error() is None and body is not None:
                    self._take(body)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def _take(self, body: bytes) -> None:
        event_id = json.loads(body)["id"]
        if self.events.setdefault(event_id, body) != body:
            self.wrong.append(f"Kafka has two events {event_id}")
        self.received += 1


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
