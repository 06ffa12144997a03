"""The live side of the upstreams: connections, slots and breaker of each, and which is next."""

from collections import deque
from collections.abc import Callable, Iterable

from axon.base import Clock, TaskOwner
from axon.inference.http.connection import AnswerSink, Exchange
from axon.inference.http.pool import Pool
from axon.inference.http.target import Proxies, locate
from axon.inference.jobs import FailureKind, Job
from axon.inference.models import Model, Upstream
from axon.stores import Breaker
from axon.telemetry import CounterTallies, gauge, log

_answers = CounterTallies(
    "axon_upstream_answers_total",
    "Attempts at an upstream by how they ended; a job that fails over has several.",
    ("upstream", "outcome"),
)
_free_slots = gauge("axon_upstream_free_slots", "Jobs the upstream could take now.", ("upstream",))


class Engine:
    """One upstream at work, shared by every model that names it."""

    def __init__(self, upstream: Upstream, proxies: Proxies, clock: Clock, tasks: TaskOwner):
        """Blocks while trusted authorities are read; raise UpstreamAddressInvalid, OSError."""
        self.upstream = upstream
        self.name = upstream.name
        target = locate(upstream.base_url, upstream.key, upstream.ca_path, proxies)
        self.pool = Pool(target, upstream.connect_timeout_ms / 1000, clock, tasks)
        self.breaker = Breaker(upstream.name, clock=clock)
        self.free_slots = upstream.slots
        self.waiting: deque[Callable[[], None]] = deque()
        """Called, in order, when a slot is free; one that no longer needs it takes none."""
        outcomes = ("ok", *FailureKind)
        self._answers = {kind: _answers.series(self.name, kind) for kind in outcomes}
        _free_slots.labels(self.name).set_function(lambda: self.free_slots)
        self._target = target
        self._heads: dict[str, bytes] = {}

    def complete(self, job: Job, model: bytes, sink: AnswerSink) -> Exchange:
        """Send a job's request to the engine; `model` is its name for the model, as JSON."""
        head = self._heads.get(job.path)
        if head is None:
            head = self._target.head("POST", f"{self._target.path}/{job.path}")
            self._heads[job.path] = head
        size = len(model) + len(job.fields) + 11
        traced = b"\r\ntraceparent: %b" % job.traceparent if job.traceparent else b""
        request = b'%b%d%b\r\n\r\n{"model":%b,%b}' % (head, size, traced, model, job.fields)
        return self.pool.send(request, sink)

    def ended(self, outcome: FailureKind | None) -> None:
        """Count an answer: None when it was a good one."""
        self._answers[outcome or "ok"].count += 1

    def free_slot(self) -> None:
        """Give a slot back, to the first that waits for one."""
        self.free_slots += 1
        while self.waiting and self.free_slots > 0:
            self.waiting.popleft()()


class Engines:
    """Every engine of the table of models, by name."""

    def __init__(self, models: Iterable[Model], clock: Clock, proxies: Proxies | None = None):
        """Blocks while trusted authorities are read; raise UpstreamAddressInvalid, OSError."""
        self._tasks = TaskOwner(_report)
        self._engines: dict[str, Engine] = {}
        for model in models:
            for upstream in model.upstreams:
                if upstream.name not in self._engines:
                    engine = Engine(upstream, proxies or Proxies(), clock, self._tasks)
                    self._engines[upstream.name] = engine

    def get(self, upstream: Upstream) -> Engine:
        """Return the engine of an upstream of the table."""
        return self._engines[upstream.name]

    async def close(self) -> None:
        """Stop connecting and close every connection."""
        await self._tasks.cancel()
        for engine in self._engines.values():
            engine.pool.close()


def _report(name: str, error: BaseException) -> None:
    log.error("task-failed", f"{name}: {error!r}")
