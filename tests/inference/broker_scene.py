"""Gateways and workers with real Valkey between them, each of which may end at any time."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from typing import Any, Self

import msgspec

from axon.base import SystemClock, SystemRandomness
from axon.inference import (
    Dispatcher,
    DispatcherParts,
    Engines,
    FailureKind,
    Inference,
    Job,
    JobFailed,
    JobOutput,
    JobStream,
    LocalBus,
    LocalQueue,
    ModelTable,
    Near,
    Pace,
    Reply,
    Upstream,
    Worker,
    WorkerParts,
    WorkerProcess,
)
from axon.inference.broker import keys, wire
from axon.inference.broker.seals import Seals
from axon.inference.broker.stream_entries import entries_of
from axon.stores import Valkey, ValkeyReply
from tests.inference.ends import until
from tests.inference.scene import model_of

QUICK = Pace(
    pulse_every_s=0.1,
    pulse_lasts_s=0.6,
    watch_every_s=0.05,
    away_patience_s=0.3,
    away_max_s=1.0,
    kept_after_end_s=0.3,
)
QUICK_PAST = replace(QUICK, past_kept_s=0.2)
INSTANCE = "gateway-1"
SLOW = "[[chunks:20]][[delay_ms:20]]"
HANG = "[[fault:hang]]"
HANG_MIDWAY = "[[fault:hang_midway]]"
SECRET = bytes(range(32))
SEALS = Seals(SECRET, SystemRandomness())


class Gateway:
    """The inference room of one serving process."""

    def __init__(self, url: str, models: ModelTable, pace: Pace, secret: bytes) -> None:
        clock = SystemClock()
        self.engines = Engines(models.served(), clock)
        self.queue, self.bus = LocalQueue(name="valkey"), LocalBus(clock)
        self.here = Worker(self.queue, self.bus, self.engines, clock)
        self.dispatcher = Dispatcher(
            Near(queue=self.queue, bus=self.bus, worker=self.here),
            DispatcherParts(
                url=url,
                instance=INSTANCE,
                secret=secret,
                clock=clock,
                randomness=SystemRandomness(),
                pace=pace,
            ),
        )
        self.inference = Inference(self.queue, self.bus, self.engines, self.dispatcher)
        self.dispatcher.start(models.served())

    async def stop(self) -> None:
        """Go without a word to anybody: to the workers it looks like a kill."""
        await self.dispatcher.stop(0)
        await self.engines.close()


class BrokerScene:
    """Starts gateways and workers; `async with` stops those that still run."""

    def __init__(self, url: str, *upstreams: Upstream, pace: Pace = QUICK) -> None:
        self.url = url
        self.models = ModelTable((model_of(*upstreams),))
        self.pace = pace
        self.secret = SECRET
        self.valkey = Valkey(url, 5000)
        self._turns = count(1)
        self._held = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.valkey.start()
        self._held.push_async_callback(self.valkey.stop)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._held.aclose()

    async def call(self, *command: bytes | str | int) -> ValkeyReply:
        """Ask Valkey, as a test and nobody else does."""
        await self.valkey.wait_until_available()
        return await self.valkey.call(*command)

    async def gateway(self, wait: bool = True) -> Gateway:
        """Return a serving process, connected."""
        gateway = Gateway(self.url, self.models, self.pace, self.secret)
        self._held.push_async_callback(gateway.stop)
        if wait:
            await until(lambda: gateway.dispatcher.available)
        return gateway

    async def worker(self, models: ModelTable | None = None) -> WorkerProcess:
        """Return a worker that takes jobs."""
        models = models or self.models
        engines = Engines(models.served(), SystemClock())
        process = WorkerProcess(
            WorkerParts(
                url=self.url,
                models=models,
                engines=engines,
                secret=self.secret,
                clock=SystemClock(),
                randomness=SystemRandomness(),
                pace=self.pace,
            )
        )
        await process.start()
        await process.serve()
        self._held.push_async_callback(engines.close)
        self._held.push_async_callback(process.stop, 0)
        return process

    def job(self, text: str, within_s: float = 60) -> Job:
        body: dict[str, Any] = {"messages": [{"role": "user", "content": text}], "stream": True}
        return Job(
            turn_id=f"turn-{next(self._turns)}",
            model=self.models.resolve("m"),
            fields=msgspec.json.encode(body)[1:-1],
            streamed=True,
            deadline=SystemClock().monotonic() + within_s,
        )

    def submit(self, gateway: Gateway, text: str) -> JobStream:
        return gateway.inference.submit(self.job(text))


def ended(output: JobOutput, kind: FailureKind, shown: bool) -> None:
    assert isinstance(output, JobFailed), output
    assert (output.kind, output.shown) == (kind, shown)


async def taken(scene: BrokerScene, turn_id: str) -> Reply:
    """Read a turn's job off its lane, as a worker would; return where its output goes."""
    found = await scene.call("XREAD", "BLOCK", 5000, "STREAMS", keys.jobs_key("m"), "0")
    jobs = [wire.read_job(entry) for entry in entries_of(found)]
    job = next(job for job in jobs if job.turn_id == turn_id)
    await scene.call("DEL", keys.jobs_key("m"))
    reply = Reply(job.inbox, job.attempt_id)
    await scene.call(*wire.event(reply, turn_id, wire.TAKEN, b"hand"))
    held = msgspec.msgpack.encode([job.attempt_id])
    await scene.call("SET", keys.worker_key("hand"), held)
    return reply


def sent(reply: Reply, turn_id: str, number: int, output: JobOutput) -> wire.Command:
    return wire.output(reply, turn_id, number, output, SEALS.of(reply.attempt_id))


async def soon_true(condition: Any) -> None:
    """Return when the awaited condition holds."""
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)
