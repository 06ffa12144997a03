"""What every Bus with its JobWriters keeps to: in one process, and over Valkey."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from axon.inference import (
    FailureKind,
    JobDone,
    JobFailed,
    JobOutput,
    SseBytes,
    Started,
    TurnAlreadySubmitted,
    WholeBody,
)
from axon.inference.local_bus import BEHIND_BYTES, WORKER_GRACE_S
from tests.inference.ends import (
    Delivered,
    Ends,
    Listening,
    LocalEnds,
    ValkeyEnds,
    job,
    put,
    running,
    until,
)
from tests.inference.scene import read, soon


@pytest.fixture(params=["local", "valkey"])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    if request.param == "local":
        yield LocalEnds(100)
        return
    async with ValkeyEnds(100, request.getfixturevalue("valkey_url")) as made:
        yield made


async def test_output_arrives_in_order_before_and_after_it_is_waited_for(ends: Ends) -> None:
    stream, writer = await running(ends, "t", Listening())
    writer.put(Started("a"))
    assert await soon(stream) == Started("a")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(soon(stream))
        await asyncio.sleep(0)
        assert not waiting.done()
        writer.put(SseBytes(b"1"))
    assert waiting.result() == SseBytes(b"1")
    writer.put(JobDone())
    assert await soon(stream) == JobDone()


async def test_a_whole_body_ends_its_stream(ends: Ends) -> None:
    stream, writer = await running(ends, "t", Listening())
    writer.put(WholeBody("a", b"{}"))
    assert await soon(stream) == WholeBody("a", b"{}")
    ends.bus.open("t", 2000)  # the earlier one is over: this is no TurnAlreadySubmitted


async def test_a_failure_arrives_whole(ends: Ends) -> None:
    stream, writer = await running(ends, "t", Listening())
    failed = JobFailed(
        kind=FailureKind.OVERLOADED,
        status=429,
        message="full",
        body=b"\xff{}",
        retry_after_ms=70,
        shown=False,
    )
    writer.put(failed)
    assert await soon(stream) == failed


async def test_outputs_that_piled_up_stay_apart(ends: Ends) -> None:
    stream, writer = await running(ends, "t", Listening())
    outputs: list[JobOutput] = [Started("a"), SseBytes(b"1"), SseBytes(b"2"), SseBytes(b"3")]
    for output in [*outputs, JobDone()]:
        writer.put(output)
    assert await read(stream) == [*outputs, JobDone()]


async def test_all_that_piled_up_can_be_had_at_once(ends: Ends) -> None:
    stream, writer = await running(ends, "t", Listening())
    outputs: list[JobOutput] = [Started("a"), SseBytes(b"1"), SseBytes(b"2"), JobDone()]
    for output in outputs:
        writer.put(output)
    found: list[JobOutput] = []
    while len(found) < len(outputs):
        several = await stream.next_all()
        assert several
        found += several
    assert found == outputs


@pytest.mark.failure("bus", "full")
async def test_a_writer_hears_that_the_turn_is_behind_and_that_it_caught_up(ends: Ends) -> None:
    worker = Listening()
    stream, writer = await running(ends, "t", worker)
    assert writer.put(SseBytes(b"x" * BEHIND_BYTES))
    pieces = 1
    async with asyncio.timeout(5):
        while writer.put(SseBytes(b"x")):
            pieces += 1
            await asyncio.sleep(0.001)
    assert worker.heard == []
    for _ in range(pieces):
        await soon(stream)
    await until(lambda: worker.heard == ["room"])
    assert writer.put(SseBytes(b"x"))


async def test_a_turn_has_one_stream_at_a_time(ends: Ends) -> None:
    stream, writer = await running(ends, "t", Listening())
    with pytest.raises(TurnAlreadySubmitted):
        ends.bus.open("t", 2000)
    writer.put(JobDone())
    await soon(stream)
    ends.bus.open("t", 2000)


async def test_cancel_reaches_the_worker_once(ends: Ends) -> None:
    worker = Listening()
    await running(ends, "t", worker)
    ends.bus.cancel("t")
    ends.bus.cancel("t")
    ends.bus.cancel("unknown")
    await until(lambda: worker.heard != [])
    await ends.quiet()
    assert worker.heard == ["cancel"]


async def test_cancel_ends_a_stream_that_no_worker_has(ends: Ends) -> None:
    stream = put(ends, job("t"))
    ends.queue.forget("t")
    ends.bus.cancel("t")
    failed = await soon(stream)
    assert isinstance(failed, JobFailed)
    assert (failed.kind, failed.shown) == (FailureKind.CANCELLED, False)


async def test_a_job_that_no_worker_took_fails_at_its_deadline(ends: Ends) -> None:
    stream = put(ends, job("t", deadline=ends.clock.now + 5))
    ends.clock.now += 6
    failed = await soon(stream)
    assert isinstance(failed, JobFailed)
    assert failed.kind is FailureKind.DEADLINE


async def test_a_worker_that_forgets_the_deadline_is_overruled(ends: Ends) -> None:
    worker = Listening()
    stream, writer = await running(ends, "t", worker, deadline=ends.clock.now + 5)
    writer.put(SseBytes(b"1"))
    await soon(stream)
    unserved = put(ends, job("u", deadline=ends.clock.now + 5))
    ends.clock.now += 6
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(soon(stream))
        assert isinstance(await soon(unserved), JobFailed)
        assert not waiting.done(), "the deadline was looked at, and the worker has its grace"
        ends.clock.now += WORKER_GRACE_S
    failed = waiting.result()
    assert isinstance(failed, JobFailed)
    assert (failed.kind, failed.shown) == (FailureKind.DEADLINE, True)
    await until(lambda: worker.heard == ["cancel"])
    assert writer.put(SseBytes(b"late")), "what comes after the end is dropped"


async def test_a_second_worker_in_the_process_knows_whether_output_was_shown() -> None:
    """Between processes the gateway knows, and sends no such job again."""
    ends = LocalEnds(100)
    stream, first = await running(ends, "t", Listening())
    first.put(Started("a"))
    first.leave()
    second_hand = Delivered(job("t"))
    assert not ends.writers.writer(second_hand, Listening()).shown
    first.put(SseBytes(b"1"))
    second = ends.writers.writer(second_hand, Listening())
    assert second.shown
    second.put(JobDone())
    assert await read(stream) == [Started("a"), SseBytes(b"1"), JobDone()]
