"""What every Bus keeps to. A new implementation is one more line in BUSES."""

import asyncio
from collections.abc import Callable

import pytest

from axon.base import Clock
from axon.inference import (
    Bus,
    FailureKind,
    JobDone,
    JobFailed,
    LocalBus,
    SseBytes,
    Started,
    TurnAlreadySubmitted,
    WholeBody,
)
from axon.inference.local_bus import BEHIND_BYTES, WORKER_GRACE_S
from tests.inference.scene import HandClock, soon

BUSES: dict[str, Callable[[Clock], Bus]] = {"local": LocalBus}


class Listening:
    """A worker that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_cancel(self) -> None:
        self.heard.append("cancel")

    def on_room(self) -> None:
        self.heard.append("room")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=list(BUSES.values()), ids=list(BUSES))
def bus(request: pytest.FixtureRequest, clock: HandClock) -> Bus:
    made: Bus = request.param(clock)
    return made


async def test_output_arrives_in_order_before_and_after_it_is_waited_for(bus: Bus) -> None:
    stream = bus.open("t", 2000)
    writer = bus.writer("t", Listening())
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


async def test_a_whole_body_ends_its_stream(bus: Bus) -> None:
    stream = bus.open("t", 2000)
    bus.writer("t", Listening()).put(WholeBody("a", b"{}"))
    assert await soon(stream) == WholeBody("a", b"{}")
    bus.open("t", 2000)  # the earlier one is over: this is no TurnAlreadySubmitted


async def test_events_that_piled_up_are_joined(bus: Bus) -> None:
    stream = bus.open("t", 2000)
    writer = bus.writer("t", Listening())
    for output in (Started("a"), SseBytes(b"1"), SseBytes(b"2"), SseBytes(b"3"), JobDone()):
        writer.put(output)
    assert await soon(stream) == Started("a")
    assert await soon(stream) == SseBytes(b"123")
    assert await soon(stream) == JobDone()


async def test_a_writer_hears_that_the_turn_is_behind_and_that_it_caught_up(bus: Bus) -> None:
    stream = bus.open("t", 2000)
    worker = Listening()
    writer = bus.writer("t", worker)
    assert writer.put(SseBytes(b"x" * BEHIND_BYTES))
    assert not writer.put(SseBytes(b"x"))
    assert worker.heard == []
    await soon(stream)
    assert worker.heard == ["room"]
    assert writer.put(SseBytes(b"x"))


async def test_a_turn_has_one_stream_at_a_time(bus: Bus) -> None:
    bus.open("t", 2000)
    with pytest.raises(TurnAlreadySubmitted):
        bus.open("t", 2000)
    bus.writer("t", Listening()).put(JobDone())
    bus.open("t", 2000)


async def test_cancel_reaches_the_worker_within_the_call_and_once(bus: Bus) -> None:
    bus.open("t", 2000)
    worker = Listening()
    writer = bus.writer("t", worker)
    bus.cancel("t")
    bus.cancel("t")
    bus.cancel("unknown")
    assert worker.heard == ["cancel"]
    assert writer.cancelled


async def test_cancel_ends_a_stream_that_no_worker_has(bus: Bus) -> None:
    stream = bus.open("t", 2000)
    bus.cancel("t")
    failed = await soon(stream)
    assert isinstance(failed, JobFailed)
    assert (failed.kind, failed.shown) == (FailureKind.CANCELLED, False)
    assert bus.writer("t", Listening()).cancelled


async def test_a_job_that_no_worker_took_fails_at_its_deadline(bus: Bus, clock: HandClock) -> None:
    stream = bus.open("t", clock.now + 5)
    clock.now += 6
    failed = await soon(stream)
    assert isinstance(failed, JobFailed)
    assert failed.kind is FailureKind.DEADLINE


async def test_a_worker_that_forgets_the_deadline_is_overruled(bus: Bus, clock: HandClock) -> None:
    stream = bus.open("t", clock.now + 5)
    worker = Listening()
    writer = bus.writer("t", worker)
    writer.put(SseBytes(b"1"))
    await soon(stream)
    unserved = bus.open("u", clock.now + 5)
    clock.now += 6
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(soon(stream))
        assert isinstance(await soon(unserved), JobFailed)
        assert not waiting.done(), "the deadline was looked at, and the worker has its grace"
        clock.now += WORKER_GRACE_S
    failed = waiting.result()
    assert isinstance(failed, JobFailed)
    assert (failed.kind, failed.shown) == (FailureKind.DEADLINE, True)
    assert worker.heard == ["cancel"]
    assert writer.put(SseBytes(b"late")), "what comes after the end is dropped"


async def test_a_second_worker_knows_whether_output_was_shown(bus: Bus) -> None:
    stream = bus.open("t", 2000)
    first = bus.writer("t", Listening())
    first.put(Started("a"))
    first.leave()
    assert not bus.writer("t", Listening()).shown
    first.put(SseBytes(b"1"))
    second = bus.writer("t", Listening())
    assert second.shown
    second.put(JobDone())
    assert [await soon(stream) for _ in range(3)] == [Started("a"), SseBytes(b"1"), JobDone()]
