"""Axon with a usage stream whose Kafka is away: turns go on, and Kafka has them all in the end."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from axon.app.doctor import examine
from axon.app.settings import load_settings
from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.kafka.broker import Broker, read_topic
from tests.promises.outages import degraded, healed

MODEL = "fake-model"
TASK = "task usage-stream"


@pytest.fixture
def broker() -> Iterator[Broker]:
    started = Broker()
    yield started
    started.close()


@pytest.fixture
def streaming(tmp_path: Path, upstream_address: str, broker: Broker) -> Iterator[RunningAxon]:
    """An Axon that was started while its broker was down."""
    broker.down()
    environment = {
        "AXON_USAGE_STREAM_BROKERS": broker.address,
        "AXON_USAGE_STREAM_DELIVERY_TIMEOUT_S": "1",
    }
    process, running = start_axon(tmp_path, upstream_address, environment=environment)
    yield running
    stop(process)


async def turns(axon: RunningAxon, count: int) -> set[str]:
    async with axon.async_client() as client:
        return {(await client.responses.create(model=MODEL, input="x")).id for _ in range(count)}


@pytest.mark.failure("kafka", "at-start")
@pytest.mark.failure("kafka", "down")
async def test_turns_go_on_without_kafka_and_it_has_them_all_when_it_is_back(
    streaming: RunningAxon, broker: Broker
) -> None:
    made = await turns(streaming, 5)
    said = await degraded(streaming.origin, TASK, "refused")
    assert said["since"]
    settings = load_settings(environment={"AXON_DATA": str(streaming.data)})
    found = {finding.part: finding for finding in await examine(settings)}
    assert found["scheduler"].state == "warning" and "refused" in found["scheduler"].seen
    made |= await turns(streaming, 5)
    broker.up()
    await healed(streaming.origin)
    async with asyncio.timeout(60):
        while (got := await ids_in(broker)) < made:
            await asyncio.sleep(0.1)
    assert got == made


async def ids_in(broker: Broker) -> set[str]:
    messages = await asyncio.to_thread(read_topic, broker.address)
    return {json.loads(message.value)["id"] for message in messages}
