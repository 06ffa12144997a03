"""Workers of their own that come and go, and what gateways order them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from axon.base import MIB, SystemRandomness
from axon.inference import (
    FailureKind,
    JobDone,
    ModelTable,
    SseBytes,
    Started,
)
from axon.inference.broker import keys, row_reading
from axon.inference.running_job import DELIVERIES_MAX
from axon.sealing import Keyring
from tests.fake_upstream import FakeUpstream
from tests.inference.broker_scene import (
    HANG,
    HANG_MIDWAY,
    QUICK,
    BrokerScene,
    ended,
    soon_true,
)
from tests.inference.scene import at, model_of, read, said, soon

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def worker_process(url: str, upstream: str, data: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Lend a worker as `axon serve` runs it."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        "AXON_DATA": str(data),
        "AXON_VALKEY_URL": url,
        "AXON_UPSTREAM_URL": upstream,
        "AXON_LOG_LEVEL": "error",
    }
    command = [sys.executable, "-m", "axon.app.cli", "serve", "--role", "worker"]
    process = subprocess.Popen(command, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_a_killed_worker_is_noticed_only_where_it_had_begun_to_answer(
    valkey_url: str, tmp_path: Path
) -> None:
    """SIGKILL of the process; the wildcard, for a worker of its own has no table of the test's."""
    secret = Keyring.open(tmp_path / "keyring.json", SystemRandomness()).derive("bus")
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        scene.secret = secret
        wildcard = model_of(at(fake), alias="*")
        scene.models = ModelTable((), wildcard)
        gateway = await scene.gateway()
        with worker_process(valkey_url, fake.base_url, tmp_path) as process:
            await soon_true(lambda: scene.call("EXISTS", keys.lane_key("*")))
            silent = scene.submit(gateway, "[[first_ms:3000]]")
            begun = scene.submit(gateway, HANG_MIDWAY)
            assert isinstance(await soon(begun), Started)
            assert isinstance(await soon(begun), SseBytes)
            await fake.until(lambda: fake.requests == 2)
            process.send_signal(signal.SIGKILL)
            process.wait()
            await scene.worker()
            ended(await soon(begun), FailureKind.LOST, shown=True)
            outputs = await read(silent)
            assert isinstance(outputs[-1], JobDone)
            assert sum(isinstance(output, Started) for output in outputs) == 1
            assert fake.requests == 3


async def test_a_worker_that_is_told_to_stop_gives_its_jobs_back(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        first = await scene.worker()
        silent = scene.submit(gateway, "[[first_ms:300]]")
        begun = scene.submit(gateway, HANG_MIDWAY)
        assert isinstance(await soon(begun), Started)
        await soon(begun)
        await fake.until(lambda: fake.requests == 2)
        await scene.worker()
        await first.stop(0)
        ended(await soon(begun), FailureKind.LOST, shown=True)
        assert isinstance((await read(silent))[-1], JobDone)
        assert await scene.call("EXISTS", keys.worker_key(first.worker_id)) == 0


async def test_a_worker_that_has_taken_its_leave_gives_no_more_sign_of_life(
    valkey_url: str,
) -> None:
    ceaseless = replace(QUICK, pulse_every_s=0)
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake), pace=ceaseless) as scene:
        for _ in range(20):
            worker = await scene.worker()
            await worker.stop(0)
            assert await scene.call("EXISTS", keys.worker_key(worker.worker_id)) == 0


async def test_a_job_that_outlived_too_many_workers_is_given_up(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        stream = scene.submit(gateway, HANG)
        for tries in range(DELIVERIES_MAX):
            worker = await scene.worker()
            await fake.until(lambda seen=tries + 1: fake.requests == seen)  # type: ignore[misc]
            await worker.stop(0)
        ended(await soon(stream), FailureKind.LOST, shown=False)
        assert len(gateway.dispatcher) == 0


async def test_without_workers_the_gateway_does_the_work(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        worker = await scene.worker()
        assert isinstance((await read(scene.submit(gateway, "a worker's")))[-1], JobDone)
        await worker.stop(0)
        assert isinstance((await read(scene.submit(gateway, "the gateway's")))[-1], JobDone)
        assert fake.requests == 2
        assert await scene.call("XLEN", keys.jobs_key("m")) == 0, "no worker does it once more"


@pytest.mark.parametrize("text", [HANG, HANG_MIDWAY])
@pytest.mark.parametrize("order_is_lost", [False, True])
async def test_cancel_closes_the_upstream_connection(
    valkey_url: str, text: str, order_is_lost: bool
) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        worker = await scene.worker()
        job = scene.job(text)
        stream = gateway.inference.submit(job)
        await fake.until(lambda: fake.requests == 1)
        if text == HANG_MIDWAY:
            assert isinstance(await soon(stream), Started)
            await soon(stream)
        if order_is_lost:
            await scene.call("SET", keys.orders_key(worker.worker_id), "no stream takes this")
        gateway.inference.cancel(job.turn_id)
        ended(await soon(stream), FailureKind.CANCELLED, shown=text == HANG_MIDWAY)
        await fake.until(lambda: fake.ledger[0].dropped)
        assert len(gateway.dispatcher) == 0


async def test_a_job_cancelled_before_it_was_taken_is_never_run(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        unwanted = scene.job("unwanted")
        stream = gateway.inference.submit(unwanted)
        gateway.inference.cancel(unwanted.turn_id)  # before Valkey said which entry it is
        ended(await soon(stream), FailureKind.CANCELLED, shown=False)
        await scene.worker()
        assert isinstance((await read(scene.submit(gateway, "wanted")))[-1], JobDone)
        assert fake.requests == 1
        assert await scene.call("XLEN", keys.jobs_key("m")) == 0


@pytest.mark.failure("queue", "slow")
async def test_a_job_another_worker_read_and_never_took_is_claimed(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_reading, "CLAIM_IDLE_MS", 0)
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        stream = scene.submit(gateway, "hi")
        await scene.call("XGROUP", "CREATE", keys.jobs_key("m"), keys.GROUP, "0", "MKSTREAM")
        dead = ("XREADGROUP", "GROUP", keys.GROUP, "dead", "BLOCK", 5000, "STREAMS")
        assert await scene.call(*dead, keys.jobs_key("m"), ">")
        await scene.worker()
        assert isinstance((await read(stream))[-1], JobDone)
        assert fake.requests == 1


async def test_a_worker_without_the_model_says_so(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        worker = await scene.worker(ModelTable((model_of(at(fake), alias="other"),)))
        worker.jobs.consume("m", 1, worker.worker.take)
        ended(await soon(scene.submit(gateway, "hi")), FailureKind.UNKNOWN_MODEL, shown=False)


async def test_a_turn_that_does_not_read_stops_the_upstream(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        await scene.worker()
        stream = scene.submit(gateway, "[[chunks:400]][[pad:65536]]")
        assert isinstance(await soon(stream), Started)
        await fake.until(lambda: fake.blocked == 1)
        await asyncio.sleep(8 * QUICK.pulse_every_s)  # at each the worker tries one piece more
        held = await stream.next_all()
        assert len(said(held)) < 12 * MIB
        outputs = [*held, *await read(stream)]
        assert isinstance(outputs[-1], JobDone)
        assert said(outputs).count(b"data: ") == 402
