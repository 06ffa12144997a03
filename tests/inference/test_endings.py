"""Cancels, deadlines, time-outs, slow readers, slots, and workers that go away."""

import asyncio
import gc

import pytest

from axon.inference import FailureKind, JobDone, JobFailed, QueueFull, SseBytes, Started
from axon.inference.http.connection import Connection
from axon.inference.local_bus import BEHIND_BYTES
from axon.inference.running_job import DELIVERIES_MAX
from tests.fake_upstream import FakeUpstream
from tests.inference.scene import Scene, at, read, said, soon

HANG = "[[fault:hang]]"
HANG_MIDWAY = "[[fault:hang_midway]]"


def ended(output: object, kind: FailureKind, shown: bool) -> None:
    assert isinstance(output, JobFailed), output
    assert (output.kind, output.shown) == (kind, shown)


@pytest.mark.parametrize("text", [HANG, HANG_MIDWAY])
async def test_cancel_closes_the_upstream_connection(text: str) -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        job = scene.job(text)
        stream = scene.inference.submit(job)
        await fake.until(lambda: fake.requests == 1)
        if text == HANG_MIDWAY:
            assert await soon(stream) == Started("fake")
            assert isinstance(await soon(stream), SseBytes)
        pool = scene.engines.get(at(fake)).pool
        assert pool.open_connections == 1
        scene.inference.cancel(job.turn_id)
        await asyncio.sleep(0)  # the loop turn in which the transport says that it is closed
        await asyncio.sleep(0)
        assert pool.open_connections == 0
        ended(await soon(stream), FailureKind.CANCELLED, shown=text == HANG_MIDWAY)
        await fake.until(lambda: fake.ledger[0].dropped)


async def test_a_closed_connection_needs_no_collector_of_cycles() -> None:
    """The serving process looks for cycles seldom, and clients that leave close connections."""
    gc.collect()
    before = living(Connection)
    gc.disable()
    try:
        async with FakeUpstream() as fake, Scene(at(fake)) as scene:
            for _ in range(5):
                job = scene.job(HANG_MIDWAY)
                stream = scene.inference.submit(job)
                assert await soon(stream) == Started("fake")
                scene.inference.cancel(job.turn_id)
                assert len(await read(stream)) > 0
            pool = scene.engines.get(at(fake)).pool
            while pool.open_connections:
                await asyncio.sleep(0)
            assert living(Connection) <= before + 1  # the newest may be told of its end right now
    finally:
        gc.enable()


def living(kind: type) -> int:
    """Return how many objects of a kind there are."""
    return sum(isinstance(one, kind) for one in gc.get_objects())


async def test_cancel_stops_a_job_that_is_still_connecting() -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        job = scene.job("hi")
        stream = scene.inference.submit(job)
        scene.inference.cancel(job.turn_id)
        ended(await soon(stream), FailureKind.CANCELLED, shown=False)
        assert await scene.upstream_of() == "fake"
        assert fake.requests == 1


async def test_cancel_frees_the_place_of_a_waiting_job() -> None:
    async with FakeUpstream() as fake, Scene(at(fake, slots=1), jobs_waiting_max=1) as scene:
        running = scene.job(HANG)
        scene.inference.submit(running)
        waiting = scene.job("hi")
        stream = scene.inference.submit(waiting)
        with pytest.raises(QueueFull):
            scene.submit("hi")
        scene.inference.cancel(waiting.turn_id)
        ended(await soon(stream), FailureKind.CANCELLED, shown=False)
        last = scene.submit("hi")
        scene.inference.cancel(running.turn_id)
        assert isinstance((await read(last))[-1], JobDone)
        assert len(scene.bus) == 0


async def test_a_refused_job_leaves_nothing_behind() -> None:
    async with FakeUpstream() as fake, Scene(at(fake, slots=1), jobs_waiting_max=1) as scene:
        scene.submit(HANG)
        scene.submit(HANG)
        refused = scene.job("hi")
        for _ in range(2):
            with pytest.raises(QueueFull):
                scene.inference.submit(refused)
        assert len(scene.bus) == 2


@pytest.mark.parametrize("text", [HANG, HANG_MIDWAY])
async def test_a_job_ends_at_its_deadline(text: str) -> None:
    async with (
        FakeUpstream() as fake,
        FakeUpstream("other") as other,
        Scene(at(fake), at(other, order=1)) as scene,
    ):
        stream = scene.submit(text, within_s=5)
        await fake.until(lambda: fake.requests == 1)
        if text == HANG_MIDWAY:
            assert await soon(stream) == Started("fake")
            await soon(stream)
        scene.clock.now += 6
        ended(await soon(stream), FailureKind.DEADLINE, shown=text == HANG_MIDWAY)
        await fake.until(lambda: fake.ledger[0].dropped)
        assert other.requests == 0


async def test_a_waiting_job_ends_at_its_deadline() -> None:
    async with FakeUpstream() as fake, Scene(at(fake, slots=1)) as scene:
        scene.submit(HANG, within_s=1000)
        stream = scene.submit("hi", within_s=5)
        scene.clock.now += 6
        ended(await soon(stream), FailureKind.DEADLINE, shown=False)


@pytest.mark.failure("engine", "slow")
@pytest.mark.parametrize("bound", ["idle_timeout_s", "total_timeout_s"])
async def test_a_stream_that_stops_flowing_times_out(bound: str) -> None:
    async with FakeUpstream() as fake, Scene(at(fake, **{bound: 5})) as scene:
        stream = scene.submit(HANG_MIDWAY)
        assert await soon(stream) == Started("fake")
        assert isinstance(await soon(stream), SseBytes)
        scene.clock.now += 6
        ended(await soon(stream), FailureKind.TIMEOUT, shown=True)
        await fake.until(lambda: fake.ledger[0].dropped)


async def test_a_turn_that_does_not_read_stops_the_upstream() -> None:
    """25 MB are more than all socket buffers: the upstream must wait, and nothing may be lost."""
    async with FakeUpstream() as fake, Scene(at(fake, idle_timeout_s=5)) as scene:
        stream = scene.submit("[[chunks:400]][[pad:65536]]")
        assert await soon(stream) == Started("fake")
        await fake.until(lambda: fake.blocked == 1)
        scene.clock.now += 50
        looked = await scene.failure(HANG, within_s=-1)
        ended(looked, FailureKind.DEADLINE, shown=False)  # so the idle time was looked at as well
        held = await soon(stream)
        assert isinstance(held, SseBytes)
        assert len(held.data) <= 4 * BEHIND_BYTES
        outputs = [held, *await read(stream)]
        assert isinstance(outputs[-1], JobDone)
        assert said(outputs).count(b"data: ") == 402


@pytest.mark.failure("engine", "full")
async def test_an_upstream_has_no_more_jobs_than_slots() -> None:
    async with FakeUpstream() as fake, Scene(at(fake, slots=2)) as scene:
        jobs = [scene.job(HANG) for _ in range(5)]
        streams = [scene.inference.submit(job) for job in jobs]
        for ended_jobs in range(4):
            await fake.until(lambda seen=ended_jobs + 2: fake.requests == min(seen, 5))  # type: ignore[misc]
            assert len(fake.open) <= 2
            scene.inference.cancel(jobs[ended_jobs].turn_id)
            ended(await soon(streams[ended_jobs]), FailureKind.CANCELLED, shown=False)


async def test_jobs_wait_for_a_full_upstream_and_leave_later_orders_alone() -> None:
    async with (
        FakeUpstream("a") as a,
        FakeUpstream("b") as b,
        Scene(at(a, slots=1), at(b, slots=1, order=1)) as scene,
    ):
        first = scene.job(HANG)
        scene.inference.submit(first)
        second = scene.submit("hi")
        await a.until(lambda: a.requests == 1)
        scene.inference.cancel(first.turn_id)
        assert (await read(second))[0] == Started("a")
        assert b.requests == 0


async def test_a_job_waiting_in_the_worker_can_be_cancelled_and_has_a_deadline() -> None:
    async with (
        FakeUpstream("a") as a,
        FakeUpstream("b") as b,
        Scene(at(a, slots=1), at(b, slots=1, order=1)) as scene,
    ):
        running = scene.job(HANG, within_s=1000)
        scene.inference.submit(running)
        waiting = scene.job("hi")
        stream = scene.inference.submit(waiting)
        assert len(scene.worker) == 2
        scene.inference.cancel(waiting.turn_id)
        ended(await soon(stream), FailureKind.CANCELLED, shown=False)
        late = scene.submit("hi", within_s=5)
        scene.clock.now += 6
        ended(await soon(late), FailureKind.DEADLINE, shown=False)
        scene.inference.cancel(running.turn_id)
        assert await scene.upstream_of() == "a"


async def test_a_stopped_worker_loses_no_job() -> None:
    async with FakeUpstream() as fake, Scene(at(fake, slots=2)) as scene:
        unshown, shown = scene.submit("[[first_ms:60000]]"), scene.submit(HANG_MIDWAY)
        waiting = scene.submit("hi")
        assert await soon(shown) == Started("fake")
        assert isinstance(await soon(shown), SseBytes)
        await fake.until(lambda: fake.requests == 2)
        await scene.worker.stop(0)
        ended(await soon(shown), FailureKind.LOST, shown=True)
        await fake.until(lambda: all(line.dropped for line in fake.ledger))
        second = scene.new_worker()
        assert isinstance((await read(waiting))[-1], JobDone)
        await fake.until(lambda: fake.requests == 4)
        assert len(second) == 1, "the job that had shown nothing runs again"
        await second.stop(0)
        scene.inference.cancel("turn-1")
        ended((await read(unshown))[-1], FailureKind.CANCELLED, shown=False)


async def test_a_worker_waits_for_its_jobs_before_it_stops() -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        stream = scene.submit("[[delay_ms:20]]")
        later = scene.submit("[[delay_ms:20]]")
        await fake.until(lambda: fake.requests == 2)
        await scene.worker.stop(10)
        for outputs in (await read(stream), await read(later)):
            assert isinstance(outputs[-1], JobDone)


async def test_a_job_that_outlived_too_many_workers_is_given_up() -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        stream = scene.submit(HANG)
        for _ in range(DELIVERIES_MAX):
            await scene.worker.stop(0)
            scene.worker = scene.new_worker()
        ended((await read(stream))[-1], FailureKind.LOST, shown=False)


async def test_a_job_cancelled_while_no_worker_had_it_is_not_run() -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        await scene.worker.stop(0)
        job = scene.job("hi")
        scene.bus.open(job.turn_id, job.deadline)
        scene.queue.put(job)
        scene.bus.cancel(job.turn_id)
        scene.worker = scene.new_worker()
        assert len(scene.worker) == 0
        assert await scene.upstream_of() == "fake"
        assert fake.requests == 1
