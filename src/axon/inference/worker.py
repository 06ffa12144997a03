"""Takes jobs from the queue and drives the engines."""

import asyncio
from collections.abc import Iterable

from axon.base import Clock
from axon.inference.deadlines import Deadlines
from axon.inference.engines import Engines
from axon.inference.models import Model
from axon.inference.ports import Consumer, Delivery, JobSource, JobWriters
from axon.inference.route import Route
from axon.inference.running_job import Bench, RunningJob


class Worker:
    """Runs as many jobs of each model as the model's engines have slots."""

    def __init__(
        self, source: JobSource, writers: JobWriters, engines: Engines, clock: Clock
    ) -> None:
        """Nothing is taken before `serve`."""
        self._source = source
        self._engines = engines
        self._routes: dict[str, Route] = {}
        self._running: set[RunningJob] = set()
        self._idle = asyncio.Event()
        self._consumers: list[Consumer] = []
        self._bench = Bench(
            writers=writers, clock=clock, deadlines=Deadlines(clock), left=self._left
        )

    def __len__(self) -> int:
        """Return how many jobs are in its hands."""
        return len(self._running)

    def serve(self, models: Iterable[Model]) -> None:
        """Take jobs of these models from the source from now on; each is served once."""
        known = tuple(models)
        self.know(known)
        for model in known:
            slots = sum(upstream.slots for upstream in model.upstreams)
            self._consumers.append(self._source.consume(model.lane, slots, self.take))

    def know(self, models: Iterable[Model]) -> None:
        """Be ready to `take` jobs of these models."""
        self._routes |= {model.lane: Route(model, self._engines) for model in models}

    def take(self, delivery: Delivery) -> None:
        """Run a job of a known model; it waits here while its engines are full."""
        route = self._routes[delivery.job.model.lane]
        running = RunningJob(delivery, route, self._bench)
        self._running.add(running)
        running.start()

    async def stop(self, within_s: float) -> None:
        """Take no more, wait `within_s` seconds for the running jobs, and let go of the rest.

        What has shown nothing goes back to the queue; what has is failed as lost.
        """
        for consumer in self._consumers:
            consumer.drain()
        try:
            async with asyncio.timeout(within_s):
                while self._running:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            for running in list(self._running):
                running.stop()
        for consumer in self._consumers:
            consumer.close()
        self._consumers.clear()
        self._bench.deadlines.close()

    def _left(self, running: RunningJob) -> None:
        self._running.discard(running)
        if not self._running:
            self._idle.set()
