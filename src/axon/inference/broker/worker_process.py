"""Everything a process needs that does nothing but run jobs of other processes."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from axon.base import Clock, Randomness, TaskOwner
from axon.inference.broker import keys
from axon.inference.broker.following import Follower, blocking_client
from axon.inference.broker.job_reader import ReaderParts, RemoteJobs
from axon.inference.broker.outbox import Outbox
from axon.inference.broker.pace import PACE, Pace
from axon.inference.broker.presence import Presence
from axon.inference.broker.seals import Seals
from axon.inference.engines import Engines
from axon.inference.models import ModelTable
from axon.inference.worker import Worker
from axon.stores import StoreError, Valkey
from axon.telemetry import log

TIMEOUT_MS = 1000
"""For a call to Valkey. Nobody waits for a worker's: what it cannot send it keeps."""

_FAREWELL_S = 2.0
"""How long the last output may take to be sent once no job runs any more."""

_ID_BYTES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What a worker process is made of."""

    url: str
    """Valkey's address."""
    models: ModelTable
    engines: Engines
    secret: bytes
    """32 bytes from which the seals are made; the gateways' are the same."""
    clock: Clock
    randomness: Randomness
    pace: Pace = PACE


class WorkerProcess:
    """A worker between the queue and the bus in Valkey."""

    def __init__(self, parts: WorkerParts) -> None:
        """Nothing is connected before `start`."""
        self.worker_id = parts.randomness.bytes(_ID_BYTES).hex()
        self._models = parts.models
        self._valkey = Valkey(parts.url, TIMEOUT_MS, parts.clock, "valkey-worker")
        self._ear = blocking_client(parts.url, parts.clock, "valkey-orders")
        self.outbox = Outbox(self._valkey, Seals(parts.secret, parts.randomness))
        self._tasks = TaskOwner(self._task_failed)
        self.over = asyncio.Event()
        """Set when the process should end: by a signal, or because it is broken."""
        self.broken = False
        """True when a part of it ended by a mistake of ours: a new process may do better."""
        self._presence = Presence(self.worker_id, self._valkey, self.outbox, parts.pace)
        orders = keys.orders_key(self.worker_id)
        self._orders = Follower(self._ear, orders, self._presence.hear)
        self.jobs = RemoteJobs(
            ReaderParts(
                url=parts.url,
                worker_id=self.worker_id,
                valkey=self._valkey,
                outbox=self.outbox,
                models=parts.models,
                clock=parts.clock,
                tasks=self._tasks,
            )
        )
        self._presence.lanes = self.jobs.lanes
        self._pulse: asyncio.Task[None] | None = None
        self.worker = Worker(self.jobs, self.outbox, parts.engines, parts.clock)

    async def start(self) -> None:
        """Connect; from now on it is known to live. Valkey may be away."""
        await self._valkey.start()
        await self._ear.start()
        with suppress(StoreError):  # when it is away, keep_up says so later
            await self._presence.beat()
        self._pulse = self._tasks.start(self._presence.keep_up(), "say that the worker lives")
        self._tasks.start(self._orders.follow(), "follow the orders")
        self._tasks.start(self.outbox.pump(), "send output")

    async def serve(self) -> None:
        """Take jobs of every model, and say so."""
        self.worker.serve(self._models.served())
        with suppress(StoreError):
            await self._presence.beat()

    async def stop(self, within_s: float) -> None:
        """Take no more jobs, wait `within_s` seconds for those that run, and give back the rest."""
        await self.worker.stop(within_s)
        await self.outbox.drained(_FAREWELL_S)
        if self._pulse is not None:
            self._pulse.cancel()  # or the next beat would take the farewell back
        await self._presence.gone()
        await self.jobs.close()
        await self._tasks.cancel()
        await self._ear.stop()
        await self._valkey.stop()

    def _task_failed(self, name: str, error: BaseException) -> None:
        log.error(
            "task.failed", "A background task failed.", axon__task=name, error__message=repr(error)
        )
        self.broken = True
        self.over.set()
