"""The usage stream into a real Apache Kafka: `make kafka` fetches it and runs these."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from axon.app.kafka_sink import KafkaAway, KafkaSink
from axon.app.settings import UsageStreamSettings
from axon.base import SystemClock
from axon.metering import PriceBook, UsageStream
from axon.stores import Postgres
from tests.kafka.broker import TOPIC, read_topic
from tests.kafka.real_kafka import PASSWORD, USER, RealKafka
from tests.metering.scene import End, many, positioned, price, project

JARS = os.environ.get("AXON_TEST_KAFKA", "")
TURNS = 3000
WITHIN_S = 300

pytestmark = [
    pytest.mark.skipif(not JARS, reason="make kafka fetches Apache Kafka and runs these"),
    pytest.mark.skipif(bool(JARS) and not shutil.which("java"), reason="Kafka needs Java 17"),
]


@pytest.fixture
async def kafka(tmp_path: Path) -> AsyncIterator[RealKafka]:
    broker = await asyncio.to_thread(RealKafka, Path(JARS), tmp_path)
    await asyncio.to_thread(broker.start)
    yield broker
    broker.kill()


@pytest.fixture
async def stream(postgres: Postgres, database: str) -> UsageStream:
    connection = await asyncpg.connect(database)
    await connection.execute("INSERT INTO projection.cursors VALUES ('one', 0)")
    await connection.close()
    return UsageStream(postgres, "axon/test", SystemClock())


def sink(kafka: RealKafka, within_s: float = 5.0) -> KafkaSink:
    return KafkaSink(UsageStreamSettings(brokers=kafka.address, delivery_timeout_s=within_s))


async def sent(stream: UsageStream, target: KafkaSink) -> None:
    """Send until the broker has all; it may be away meanwhile."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                return await stream.send_news(target)
            except KafkaAway:
                continue


async def tokens_by_id(kafka: RealKafka) -> dict[str, tuple[int, int]]:
    found = await asyncio.to_thread(read_topic, kafka.address, TOPIC)
    events = [json.loads(one.value) for one in found]
    return {one["id"]: (one["data"]["input_tokens"], one["data"]["cost_nano"]) for one in events}


def expected(records: list[End]) -> dict[str, tuple[int, int]]:
    return {one.head.turn_id: (one.usage.input_tokens, one.charge.cost_nano) for one in records}


async def test_a_broker_that_is_killed_in_the_middle_has_every_turn_in_the_end(
    kafka: RealKafka, stream: UsageStream, database: str
) -> None:
    records = many(TURNS, 11, PriceBook((price(),)))
    target = sink(kafka)
    await project(database, positioned(records[:500]))
    await sent(stream, target)
    await project(database, positioned(records[500:], first=501))
    sending = asyncio.ensure_future(sent(stream, target))
    await asyncio.to_thread(kafka.kill)
    await asyncio.to_thread(kafka.start)
    await sending
    assert await tokens_by_id(kafka) == expected(records)


async def test_what_it_lost_is_sent_again_by_a_rewind(
    kafka: RealKafka, stream: UsageStream, database: str
) -> None:
    records = many(1000, 12, PriceBook((price(),)))
    await project(database, positioned(records))
    await sent(stream, sink(kafka))
    await asyncio.to_thread(kafka.wipe)
    await asyncio.to_thread(kafka.start)
    await stream.rewind(0)
    await sent(stream, sink(kafka))
    assert await tokens_by_id(kafka) == expected(records)


@pytest.mark.failure("kafka", "wrong-password")
async def test_a_wrong_password_is_told_and_the_right_one_enters(
    kafka: RealKafka, stream: UsageStream, database: str
) -> None:
    records = many(10, 13, PriceBook((price(),)))
    await project(database, positioned(records))

    def entering(password: str) -> KafkaSink:
        return KafkaSink(
            UsageStreamSettings(
                brokers=f"127.0.0.1:{kafka.login_port}",
                security="sasl_plaintext",
                sasl_mechanism="PLAIN",
                user=USER,
                password=password,
                delivery_timeout_s=5.0,
            )
        )

    with pytest.raises(KafkaAway, match="uthentication") as refused:
        await stream.send_news(entering("wrong-one"))
    assert "wrong-one" not in str(refused.value)
    await sent(stream, entering(PASSWORD))
    assert await tokens_by_id(kafka) == expected(records)
