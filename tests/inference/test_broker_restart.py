"""A gateway that was killed: its successor finds the output of its jobs."""

import pytest

from axon.app.embedded import EmbeddedServer
from axon.inference import (
    FailureKind,
    JobDone,
    Started,
)
from axon.inference.broker import keys, past, wire
from tests.fake_upstream import FakeUpstream
from tests.inference.broker_scene import (
    HANG,
    HANG_MIDWAY,
    INSTANCE,
    QUICK_PAST,
    SLOW,
    BrokerScene,
    ended,
    soon_true,
    taken,
)
from tests.inference.ends import until
from tests.inference.scene import at, read, said, soon


async def test_a_restarted_gateway_reads_a_running_stream_from_its_beginning(
    valkey_url: str,
) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        await scene.worker()
        job = scene.job(SLOW)
        stream = gateway.inference.submit(job)
        seen = [await soon(stream) for _ in range(8)]
        await gateway.stop()
        second = await scene.gateway(wait=False)
        found = await second.inference.reattach(job.turn_id, job.deadline)
        assert found is not None
        outputs = await read(found)
        assert outputs[:8] == seen
        assert isinstance(outputs[-1], JobDone)
        assert said(outputs).count(b"data: ") == 22
        assert fake.requests == 1
        assert await second.inference.reattach(job.turn_id, job.deadline) is None, "once is all"


async def test_a_restarted_gateway_finds_what_ended_meanwhile(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        worker = await scene.worker()
        ended_before, ended_after = scene.job("one"), scene.job("two [[first_ms:200]]")
        first = await read(gateway.inference.submit(ended_before))
        gateway.inference.submit(ended_after)
        await fake.until(lambda: fake.requests == 2)
        await gateway.stop()
        await until(lambda: not worker.outbox.held())
        await worker.stop(0)
        second = await scene.gateway(wait=False)
        for job in (ended_before, ended_after):
            found = await second.inference.reattach(job.turn_id, job.deadline)
            assert found is not None
            outputs = await read(found)
            assert isinstance(outputs[-1], JobDone)
            if job is ended_before:
                assert outputs == first


async def test_a_restarted_gateway_waits_for_a_job_that_waits(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        job = scene.job("hi")
        gateway.inference.submit(job)

        async def noted() -> bool:
            return await scene.call("XLEN", keys.inbox_key(INSTANCE)) == 1

        await soon_true(noted)
        await gateway.stop()
        second = await scene.gateway(wait=False)
        found = await second.inference.reattach(job.turn_id, job.deadline)
        assert found is not None
        await scene.worker()
        assert isinstance((await read(found))[-1], JobDone)
        assert fake.requests == 1


async def test_a_job_of_the_past_whose_worker_died_may_run_again(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        job = scene.job("hi")
        gateway.inference.submit(job)
        await taken(scene, job.turn_id)
        await scene.call("DEL", keys.worker_key("hand"))
        await gateway.stop()
        second = await scene.gateway(wait=False)
        found = await second.inference.reattach(job.turn_id, job.deadline)
        assert found is not None
        ended((await read(found))[-1], FailureKind.LOST, shown=False)
        await scene.worker()
        assert isinstance((await read(second.inference.submit(job)))[-1], JobDone)


async def test_what_the_bus_does_not_have_whole_is_not_given(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        await scene.worker()
        job = scene.job(HANG_MIDWAY)
        stream = gateway.inference.submit(job)
        assert isinstance(await soon(stream), Started)
        await soon(stream)
        await gateway.stop()
        inbox = await scene.call("XRANGE", keys.inbox_key(INSTANCE), "-", "+")
        assert isinstance(inbox, list)
        first = next(entry for entry in map(wire.read_entry, inbox) if entry.number == 0)
        assert await scene.call("XDEL", keys.inbox_key(INSTANCE), first.entry_id) == 1
        second = await scene.gateway(wait=False)
        for one in (job, scene.job("never sent")):
            assert await second.inference.reattach(one.turn_id, one.deadline) is None
        await fake.until(lambda: fake.ledger[0].dropped)


async def test_what_a_gateway_turned_away_from_is_not_given(
    valkey_server: EmbeddedServer, valkey_url: str
) -> None:
    """Valkey froze, the gateway ran the job itself, and what a worker said since was not shown."""
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        await scene.worker()
        job = scene.job(HANG)
        gateway.inference.submit(job)
        await fake.until(lambda: fake.requests == 1)
        valkey_server.freeze()
        await fake.until(lambda: fake.requests == 2)
        valkey_server.thaw()
        await fake.until(lambda: fake.ledger[0].dropped)
        await gateway.stop()
        second = await scene.gateway(wait=False)
        assert await second.inference.reattach(job.turn_id, job.deadline) is None


async def test_a_cancelled_job_is_read_again_up_to_its_end(valkey_url: str) -> None:
    """A turn also cancels what it has had enough of: it may not be durable yet."""
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        worker = await scene.worker()
        job = scene.job(HANG_MIDWAY)
        stream = gateway.inference.submit(job)
        seen = [await soon(stream), await soon(stream)]
        gateway.inference.cancel(job.turn_id)
        await until(lambda: not worker.outbox.held())
        await gateway.stop()
        second = await scene.gateway(wait=False)
        found = await second.inference.reattach(job.turn_id, job.deadline)
        assert found is not None
        outputs = await read(found)
        assert outputs[:2] == seen
        ended(outputs[-1], FailureKind.CANCELLED, shown=True)


async def test_jobs_that_nobody_takes_up_are_stopped_after_a_while(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        await scene.worker()
        gateway.inference.submit(scene.job(HANG))
        await fake.until(lambda: fake.requests == 1)
        await gateway.stop()
        scene.pace = QUICK_PAST
        await scene.gateway()
        await fake.until(lambda: fake.ledger[0].dropped)


@pytest.mark.failure("queue", "lying")
async def test_a_turn_that_runs_again_stops_what_its_dead_process_had_begun(
    valkey_url: str,
) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        await scene.worker()
        job = scene.job(HANG)
        gateway.inference.submit(job)
        await fake.until(lambda: fake.requests == 1)
        await gateway.stop()
        second = await scene.gateway()
        unknown = scene.job("never sent")  # looked for in all that the inbox holds
        assert await second.inference.reattach(unknown.turn_id, unknown.deadline) is None
        second.inference.submit(job)
        await fake.until(lambda: fake.requests == 2)
        await fake.until(lambda: fake.ledger[0].dropped)


def test_more_past_than_fits_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "PAST_BYTES_MAX", 10)
    found = past.Past()
    for number in range(3):
        entry = wire.Entry(b"1-0", "t", "a", b"sse", number, b"12345")
        found.add(entry)
    assert found.to_follow("t") is None
