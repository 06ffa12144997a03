"""Valkey forgets, restarts, freezes and stays away while jobs wait and run."""

import asyncio
from dataclasses import replace

import pytest

from axon.app.embedded import EmbeddedServer
from axon.base import KIB
from axon.inference import (
    FailureKind,
    JobDone,
    Started,
)
from axon.inference.broker import keys, outbox, telling, watch
from axon.stores import Valkey
from tests.fake_upstream import FakeUpstream
from tests.inference.broker_scene import (
    HANG_MIDWAY,
    QUICK,
    SLOW,
    BrokerScene,
    ended,
    soon_true,
)
from tests.inference.ends import until
from tests.inference.scene import at, read, said, soon


@pytest.mark.failure("queue", "wiped")
async def test_jobs_that_a_flush_forgot_are_sent_again(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "IDS_ASKED_MAX", 7)
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        streams = [scene.submit(gateway, f"job {number}") for number in range(20)]

        async def all_there() -> bool:
            return await scene.call("XLEN", keys.jobs_key("m")) == 20

        await soon_true(all_there)
        await scene.call("FLUSHALL")
        await scene.worker()
        for stream in streams:
            assert isinstance((await read(stream))[-1], JobDone)
        assert fake.requests == 20


@pytest.mark.failure("bus", "wiped")
async def test_a_running_stream_outlives_a_flush(valkey_url: str) -> None:
    """What was read before is the gateway's already; what comes after has the next numbers."""
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        await scene.worker()
        stream = scene.submit(gateway, SLOW)
        outputs = [await soon(stream), await soon(stream)]
        await scene.call("FLUSHALL")
        outputs += await read(stream)
        if isinstance(outputs[-1], JobDone):
            assert said(outputs).count(b"data: ") == 22
        else:  # the flush fell between a worker's write and the gateway's read
            ended(outputs[-1], FailureKind.LOST, shown=True)


@pytest.mark.failure("bus", "down")
@pytest.mark.failure("queue", "down")
async def test_a_restart_of_valkey_costs_no_job(
    valkey_server: EmbeddedServer, valkey_url: str
) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake, slots=4)) as scene:
        gateway = await scene.gateway()
        await scene.worker()
        running = [scene.submit(gateway, "[[first_ms:400]]" + SLOW) for _ in range(4)]
        await fake.until(lambda: fake.requests == 4)
        waiting = [scene.submit(gateway, "later") for _ in range(4)]
        await asyncio.to_thread(valkey_server.kill)
        valkey_server.start()
        for stream in [*running, *waiting]:
            outputs = await read(stream)
            assert isinstance(outputs[-1], JobDone), outputs[-1]
            assert sum(isinstance(output, Started) for output in outputs) == 1


@pytest.mark.failure("queue", "down")
async def test_without_valkey_the_gateway_does_the_work(
    valkey_server: EmbeddedServer, valkey_url: str
) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        caught = scene.submit(gateway, "no worker has it yet")
        await until(lambda: len(gateway.dispatcher) == 1)
        await asyncio.to_thread(valkey_server.kill)
        await until(lambda: not gateway.dispatcher.available)
        assert isinstance((await read(scene.submit(gateway, "new")))[-1], JobDone)
        assert isinstance((await read(caught))[-1], JobDone)
        valkey_server.start()
        await until(lambda: gateway.dispatcher.available)
        again = scene.submit(gateway, "a worker's once more")
        await scene.worker()
        assert isinstance((await read(again))[-1], JobDone)
        assert fake.requests == 3


@pytest.mark.failure("bus", "down")
async def test_a_stream_ends_when_valkey_stays_away(
    valkey_server: EmbeddedServer, valkey_url: str
) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        await scene.worker()
        stream = scene.submit(gateway, HANG_MIDWAY)
        assert isinstance(await soon(stream), Started)
        await soon(stream)
        await asyncio.to_thread(valkey_server.kill)
        ended(await soon(stream), FailureKind.LOST, shown=True)
        assert fake.requests == 1
        valkey_server.start()
        await fake.until(lambda: fake.ledger[0].dropped)


@pytest.mark.failure("bus", "full")
@pytest.mark.parametrize("bound", ["OUTBOX_BYTES_MAX", "JOB_BYTES_MAX"])
async def test_a_worker_keeps_what_it_cannot_send_and_then_stops_reading(
    valkey_server: EmbeddedServer, valkey_url: str, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """Valkey is frozen for as long as 25 MB are more than worker and sockets can hold."""
    monkeypatch.setattr(outbox, bound, 300 * KIB)
    patient = replace(QUICK, away_patience_s=60, away_max_s=60)
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake), pace=patient) as scene:
        gateway = await scene.gateway()
        worker = await scene.worker()
        stream = scene.submit(gateway, "[[first_ms:100]][[chunks:400]][[pad:65536]]")
        await fake.until(lambda: fake.requests == 1)
        valkey_server.freeze()
        await fake.until(lambda: fake.blocked == 1)
        assert worker.outbox.full == (bound == "OUTBOX_BYTES_MAX")
        valkey_server.thaw()
        outputs = await read(stream)
        assert isinstance(outputs[-1], JobDone), outputs[-1]
        assert said(outputs).count(b"data: ") == 402


async def test_what_is_owed_is_told_later_up_to_a_bound(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "OWED_MAX", 5)
    valkey = Valkey(valkey_url)
    teller = telling.Teller(valkey)
    teller.owe([("SET", str(number), "told") for number in range(8)])
    await valkey.start()
    teller.settle()
    told = [await valkey.call("EXISTS", str(number)) for number in range(8)]
    assert told == [0, 0, 0, 1, 1, 1, 1, 1]
    await valkey.stop()
