"""A whole inference room against scripted upstreams, on a clock that the test moves."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any, Self

import msgspec

from axon.inference import (
    Engines,
    Inference,
    Job,
    JobDone,
    JobFailed,
    JobOutput,
    JobStream,
    LocalBus,
    LocalQueue,
    Model,
    Proxies,
    SseBytes,
    Started,
    Upstream,
    WholeBody,
    Worker,
)
from tests.fake_upstream import FakeUpstream

WAIT_S = 10
"""No test waits longer for what must come."""


class HandClock:
    """Stands still unless moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def now_us(self) -> int:
        return int(self.now * 1_000_000)

    def monotonic(self) -> float:
        return self.now


def at(fake: FakeUpstream, **options: Any) -> Upstream:
    """Return the upstream that `fake` is."""
    defaults: dict[str, Any] = {"name": fake.name, "base_url": fake.base_url, "model": "tiny"}
    return Upstream(**(defaults | options))


def model_of(*upstreams: Upstream, alias: str = "m") -> Model:
    return Model(alias=alias, context_window=1000, output_tokens_max=100, upstreams=upstreams)


class Scene:
    """Queue, bus, engines and one worker; `async with` stops them."""

    def __init__(
        self, *upstreams: Upstream, jobs_waiting_max: int = 8, proxies: Proxies | None = None
    ):
        self.clock = HandClock()
        self.model = model_of(*upstreams)
        self.queue = LocalQueue(jobs_waiting_max)
        self.bus = LocalBus(self.clock)
        self.engines = Engines([self.model], self.clock, proxies)
        self.inference = Inference(self.queue, self.bus, self.engines)
        self.worker = self.new_worker()
        self._turns: Iterator[int] = count(1)

    def new_worker(self) -> Worker:
        worker = Worker(self.queue, self.bus, self.engines, self.clock)
        worker.serve([self.model])
        return worker

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.worker.stop(0)
        await self.engines.close()

    def job(self, text: str, streamed: bool = True, within_s: float = 100, **extra: Any) -> Job:
        body = {"messages": [{"role": "user", "content": text}], **extra}
        if streamed:
            body["stream"] = True
        return Job(
            turn_id=f"turn-{next(self._turns)}",
            model=self.model,
            fields=msgspec.json.encode(body)[1:-1],
            streamed=streamed,
            deadline=self.clock.now + within_s,
        )

    def submit(self, text: str, streamed: bool = True, **options: Any) -> JobStream:
        return self.inference.submit(self.job(text, streamed, **options))

    async def outputs(self, text: str, streamed: bool = True, **options: Any) -> list[JobOutput]:
        return await read(self.submit(text, streamed, **options))

    async def failure(self, text: str, streamed: bool = True, **options: Any) -> JobFailed:
        """Return how the job failed; what was shown before does not matter here."""
        last = (await self.outputs(text, streamed, **options))[-1]
        assert isinstance(last, JobFailed), last
        return last

    async def upstream_of(self, text: str = "hi", **options: Any) -> str:
        """Return the name of the upstream that answered well."""
        outputs = await self.outputs(text, **options)
        first, last = outputs[0], outputs[-1]
        assert isinstance(first, Started | WholeBody), first
        assert isinstance(last, JobDone | WholeBody), last
        return first.upstream


async def read(stream: JobStream) -> list[JobOutput]:
    """Return all output of a job."""
    outputs: list[JobOutput] = []
    async with asyncio.timeout(WAIT_S):
        while not outputs or not isinstance(outputs[-1], JobDone | JobFailed | WholeBody):
            outputs.append(timeless(await stream.next()))
    return outputs


async def soon(stream: JobStream) -> JobOutput:
    """Return the next output."""
    async with asyncio.timeout(WAIT_S):
        return timeless(await stream.next())


def timeless(output: JobOutput) -> JobOutput:
    """Return the output without how long it took, which no test can know."""
    if isinstance(output, Started | WholeBody):
        return msgspec.structs.replace(output, engine_us=0)
    return output


def said(outputs: list[JobOutput]) -> bytes:
    """Return everything that was shown."""
    return b"".join(one.data for one in outputs if isinstance(one, SseBytes | WholeBody))


def on_port(upstream: Upstream, port: int) -> Upstream:
    """Return the upstream at another port of this machine."""
    return replace(upstream, base_url=f"http://127.0.0.1:{port}/v1")
