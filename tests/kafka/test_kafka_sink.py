"""The producer against a broker that goes away, refuses, is slow, or forgets what it took."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence

import asyncpg
import pytest

from axon.app.kafka_sink import KafkaAway, KafkaSink
from axon.app.settings import UsageStreamSettings
from axon.app.usage_streaming import LateSink, NoUsageStream
from axon.base import SystemClock
from axon.metering import PriceBook, UsageEvent, UsageStream
from axon.stores import Postgres
from tests.kafka.broker import (
    NOT_ENOUGH_REPLICAS,
    TOPIC_AUTHORIZATION_FAILED,
    Broker,
    read_topic,
)
from tests.metering.scene import ended, many, positioned, price, project

SHORT_S = 1.0
"""Of a broker that does not answer; nothing waits for longer."""
LONG_S = 60.0


def events(count: int, orgs: int = 5) -> list[UsageEvent]:
    return [
        UsageEvent(event_id=str(number), org_id=f"org_{number % orgs}", body=b'{"n":%d}' % number)
        for number in range(count)
    ]


def sink(broker: Broker, within_s: float = LONG_S) -> KafkaSink:
    return KafkaSink(UsageStreamSettings(brokers=broker.address, delivery_timeout_s=within_s))


async def values(broker: Broker) -> list[bytes]:
    return [one.value for one in await asyncio.to_thread(read_topic, broker.address)]


def bodies(sent: Sequence[UsageEvent]) -> set[bytes]:
    return {event.body for event in sent}


async def test_what_is_acknowledged_is_there_keyed_by_organization(broker: Broker) -> None:
    sent = events(500)
    await sink(broker).send(sent)
    found = await asyncio.to_thread(read_topic, broker.address)
    assert sorted(one.value for one in found) == sorted(event.body for event in sent)
    homes = {(one.key, one.partition) for one in found}
    assert len(homes) == 5, "every event of an organization is in one partition"
    for one in found:
        assert one.headers["content-type"].startswith(b"application/cloudevents+json")
    by_org = [one.value for one in found if one.key == b"org_3"]
    assert by_org == [event.body for event in sent if event.org_id == "org_3"], "and in order"


@pytest.mark.failure("kafka", "down")
async def test_a_broker_that_was_away_gets_it_later(broker: Broker) -> None:
    target, sent = sink(broker, SHORT_S), events(50)
    broker.down()
    with pytest.raises(KafkaAway, match="refused"):
        await target.send(sent)
    broker.up()
    await _until_sent(target, sent)
    assert set(await values(broker)) == bodies(sent)


@pytest.mark.failure("kafka", "slow")
@pytest.mark.failure("kafka", "frozen")
async def test_a_broker_that_does_not_answer_is_given_up_within_the_bound(broker: Broker) -> None:
    target, sent = sink(broker, SHORT_S), events(5)
    await sink(broker).send(sent)
    broker.answer_after(600_000)
    with pytest.raises(KafkaAway):
        await target.send(sent)
    broker.answer_after(0)
    await _until_sent(target, sent)
    assert set(await values(broker)) == bodies(sent)


@pytest.mark.failure("kafka", "refusing")
async def test_a_refusal_is_told_in_the_brokers_own_words(broker: Broker) -> None:
    target, sent = sink(broker), events(5)
    broker.refuse(TOPIC_AUTHORIZATION_FAILED, times=3)
    with pytest.raises(KafkaAway, match="Topic authorization failed"):
        await target.send(sent)


@pytest.mark.failure("kafka", "refusing")
async def test_what_can_be_tried_again_is_tried_again(broker: Broker) -> None:
    sent = events(5)
    broker.refuse(NOT_ENOUGH_REPLICAS, times=2)
    await sink(broker).send(sent)
    assert sorted(await values(broker)) == sorted(event.body for event in sent)


@pytest.mark.failure("kafka", "lying")
@pytest.mark.failure("kafka", "wiped")
async def test_what_a_broker_lost_after_its_acknowledgement_is_sent_again(
    broker: Broker, postgres: Postgres, database: str
) -> None:
    """PostgreSQL keeps what the broker loses: a rewind brings back exactly what there was."""
    book = PriceBook((price(),))
    records = many(700, 3, book)
    await project(database, positioned(records))
    connection = await asyncpg.connect(database)
    await connection.execute("INSERT INTO projection.cursors VALUES ('one', 700)")
    await connection.close()
    stream = UsageStream(postgres, "axon/test", SystemClock())
    await stream.send_news(sink(broker))
    before = sorted(await values(broker))
    assert len(before) == 700
    broker.wipe()
    await project(database, positioned([ended("after", book)], first=701))
    await stream.send_news(sink(broker))
    assert len(await values(broker)) == 1, "what was lost is lost, until somebody asks for it"
    await stream.rewind(0)
    await stream.send_news(sink(broker))
    found = set(await values(broker))
    assert len(found) == 701 and found > set(before)


async def test_nothing_is_sent_where_no_broker_is_set() -> None:
    with pytest.raises(NoUsageStream):
        await LateSink(UsageStreamSettings()).send(events(1))


def test_librdkafka_is_loaded_only_for_the_first_events() -> None:
    """A scheduler without a stream is a small process."""
    program = "import sys, axon.app.cli; print([m for m in sys.modules if 'kafka' in m])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    loaded = done.stdout.decode()
    assert "confluent_kafka" not in loaded and "axon.app.kafka_sink" not in loaded


async def _until_sent(target: KafkaSink, sent: Sequence[UsageEvent]) -> None:
    async with asyncio.timeout(LONG_S):
        while True:
            try:
                return await target.send(sent)
            except KafkaAway:
                continue
