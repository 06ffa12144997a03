"""Both ends of a queue and a bus, of each implementation, for the contracts."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Self

from axon.base import SystemRandomness
from axon.inference import (
    Bus,
    Consumer,
    Delivery,
    Dispatcher,
    DispatcherParts,
    Engines,
    Job,
    JobDone,
    JobQueue,
    JobSource,
    JobStream,
    JobWriter,
    JobWriters,
    LocalBus,
    LocalQueue,
    ModelTable,
    Near,
    Reply,
    Upstream,
    Worker,
    WorkerParts,
    WorkerProcess,
)
from tests.inference.scene import WAIT_S, HandClock, model_of

UP = Upstream(name="a", base_url="http://localhost", model="tiny")
LANES = ("m", "a", "b", "other")
MODELS = ModelTable(tuple(model_of(UP, alias=lane) for lane in LANES))
OUTSTANDING_MAX = 5000


class Listening:
    """A worker that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_cancel(self) -> None:
        self.heard.append("cancel")

    def on_room(self) -> None:
        self.heard.append("room")


class Delivered:
    """A delivery in nobody's books."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.attempt = 1
        self.reply: Reply | None = None

    def done(self) -> None:
        return

    def give_back(self) -> None:
        return


class Ends:
    """A queue and a bus, seen by the turns and by the workers."""

    clock: HandClock
    queue: JobQueue
    bus: Bus
    source: JobSource
    writers: JobWriters
    beyond_bound: int
    """Jobs the queue takes beyond its bound, because they have left it for another."""
    again_first: bool
    """Whether a job given back goes before the others."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def quiet(self) -> None:
        """Return when what could happen by now has happened."""
        await asyncio.sleep(0)

    async def arrived(self) -> None:
        """Return when every job that was put is where workers find it."""


class LocalEnds(Ends):
    """In one process."""

    beyond_bound = 0
    again_first = True

    def __init__(self, jobs_waiting_max: int) -> None:
        self.clock = HandClock()
        self.queue = self.source = LocalQueue(jobs_waiting_max)
        self.bus = self.writers = LocalBus(self.clock)


class ValkeyEnds(Ends):
    """A gateway and a worker with nothing between them but Valkey."""

    beyond_bound = 3
    again_first = False

    def __init__(self, jobs_waiting_max: int, url: str) -> None:
        self.clock = HandClock()
        self.queue = queue = LocalQueue(jobs_waiting_max, "valkey")
        self.bus = bus = LocalBus(self.clock)
        self.engines = Engines(MODELS.served(), self.clock)
        here = Worker(queue, bus, self.engines, self.clock)
        outstanding = self.beyond_bound if jobs_waiting_max <= 2 else OUTSTANDING_MAX
        self.dispatcher = Dispatcher(
            Near(queue=queue, bus=bus, worker=here),
            DispatcherParts(
                url=url,
                instance="contract",
                secret=bytes(32),
                clock=self.clock,
                randomness=SystemRandomness(),
                outstanding_max=outstanding,
            ),
        )
        self.process = WorkerProcess(
            WorkerParts(
                url=url,
                models=MODELS,
                engines=self.engines,
                secret=bytes(32),
                clock=self.clock,
                randomness=SystemRandomness(),
            )
        )
        self.source = self.process.jobs
        self.writers = self.process.outbox

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as held:
            held.push_async_callback(self.engines.close)
            held.push_async_callback(self.process.stop, 0)
            held.push_async_callback(self.dispatcher.stop, 0)
            self.dispatcher.start(MODELS.served())
            await self.process.start()
            await until(lambda: self.dispatcher.available)
            self._held = held.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._held.aclose()

    async def arrived(self) -> None:
        """Wait until Valkey has said what the entry of each is."""
        await until(lambda: all(one.entry_id for one in self.dispatcher._jobs.values()))

    async def quiet(self) -> None:
        """Long enough for a job to be read and taken; a condition that never comes has no event."""
        await asyncio.sleep(0.05)


def job(
    turn_id: str, lane: str = "m", deadline: float = 1e9, *, row: int = 0, weight: int = 100
) -> Job:
    return Job(
        turn_id=turn_id,
        model=MODELS.resolve(lane),
        fields=b'"n":1',
        streamed=True,
        deadline=deadline,
        row=row,
        weight=weight,
    )


def put(ends: Ends, one: Job) -> JobStream:
    """Submit a job as Inference does."""
    stream = ends.bus.open(one.turn_id, one.deadline)
    try:
        ends.queue.put(one)
    except BaseException:
        ends.bus.cancel(one.turn_id)
        raise
    return stream


def finish(ends: Ends, delivery: Delivery) -> None:
    """End a job as a worker does."""
    ends.writers.writer(delivery, Listening()).put(JobDone())
    delivery.done()


async def running(
    ends: Ends, turn_id: str, listener: Listening, deadline: float = 2000
) -> tuple[JobStream, JobWriter]:
    """Submit a job and take it; return both ends of its output."""
    stream = put(ends, job(turn_id, deadline=deadline))
    return stream, await taken_by(ends, listener)


async def taken_by(ends: Ends, listener: Listening) -> JobWriter:
    """Take one job and return its writer."""
    taken: list[Delivery] = []
    consumer: Consumer = ends.source.consume("m", 1, taken.append)
    await until(lambda: bool(taken))
    consumer.drain()
    return ends.writers.writer(taken[0], listener)


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.002)
