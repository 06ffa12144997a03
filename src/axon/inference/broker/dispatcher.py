"""The gateway's side: takes jobs from its own queue and sends them to workers through Valkey.

To the turns nothing changes: they put jobs into the queue of their process and read the bus of
their process. Between the two stands, instead of a worker, this dispatcher. It keeps every job
until its end, sends it again when Valkey or a worker has lost it, and lets this process's own
worker run it while Valkey, or every worker, is away.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from axon.base import Clock, Randomness, TaskOwner
from axon.inference.broker import keys, wire
from axon.inference.broker.following import Follower, blocking_client
from axon.inference.broker.pace import PACE, Pace
from axon.inference.broker.past import Past
from axon.inference.broker.remote_job import RemoteJob
from axon.inference.broker.retention import Retention
from axon.inference.broker.row_reading import LIBRARY, jobs_functions
from axon.inference.broker.seals import Seals
from axon.inference.broker.stream_entries import place
from axon.inference.broker.telling import Teller
from axon.inference.broker.watch import Watch
from axon.inference.deadlines import Deadlines
from axon.inference.local_bus import LocalBus
from axon.inference.local_queue import LocalQueue
from axon.inference.models import Model
from axon.inference.ports import Consumer, Delivery, JobStream, Reply
from axon.inference.worker import Worker
from axon.stores import StoreError, Valkey, ValkeyAway, ValkeyReply
from axon.telemetry import log

OUTSTANDING_MAX = 4096
"""Jobs of a lane that are in Valkey or at workers; more wait in the process, up to its bound."""

TIMEOUT_MS = 500
"""For a call to Valkey; then the job runs in this process. It has its own connection, so that a
long request delays nobody's lease."""

REATTACH_WITHIN_S = 5.0
"""How long a turn of the past waits for Valkey and for the inbox to be read."""

_BOOT_BYTES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """The queue, the bus and the worker of this process."""

    queue: LocalQueue
    bus: LocalBus
    worker: Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatcherParts:
    """What else a dispatcher needs."""

    url: str
    """Valkey's address."""
    instance: str
    """Names the inbox: unique among all processes, the same after a restart."""
    secret: bytes
    """32 bytes from which the seals are made; the workers' are the same."""
    clock: Clock
    randomness: Randomness
    pace: Pace = PACE
    outstanding_max: int = OUTSTANDING_MAX


class Dispatcher:
    """Implements Desk; one per gateway process."""

    def __init__(self, near: Near, parts: DispatcherParts) -> None:
        """Nothing is sent before `start`; jobs run in this process until Valkey is there."""
        self._near = near
        self.seals = Seals(parts.secret, parts.randomness)
        self._clock = parts.clock
        self._instance = parts.instance
        self._pace = parts.pace
        self._outstanding_max = parts.outstanding_max
        self._boot = parts.randomness.bytes(_BOOT_BYTES).hex()
        """Begins the id of every attempt of this process's life."""
        self._attempts = 0
        self._valkey = Valkey(parts.url, TIMEOUT_MS, parts.clock, "valkey-queue")
        self._valkey.load_functions(LIBRARY, jobs_functions())
        self._reader = blocking_client(parts.url, parts.clock, "valkey-bus")
        self._follower = Follower(self._reader, keys.inbox_key(parts.instance), self._hear)
        self._jobs: dict[str, RemoteJob] = {}
        self._retention = Retention(self._follower, parts.pace.kept_after_end_s)
        self._teller = Teller(self._valkey)
        self._past = Past()
        self._reading_past: asyncio.Task[bool] | None = None
        self._past_ends_s = parts.clock.monotonic() + parts.pace.past_kept_s
        self._deadlines = Deadlines(parts.clock)
        self._watch = Watch(self._valkey, self._follower, self._jobs, parts.clock)
        self._consumers: list[Consumer] = []
        self._tasks = TaskOwner(self._task_failed)
        self._broken = False
        near.queue.elsewhere = self._waiting

    @property
    def available(self) -> bool:
        """Return whether jobs are sent to workers now."""
        return self._valkey.available and self._reader.available and not self._broken

    def __len__(self) -> int:
        """Return how many jobs are in Valkey or at workers."""
        return len(self._jobs)

    def start(self, models: Iterable[Model]) -> None:
        """Take jobs of these models from now on, and connect to Valkey in the background."""
        known = tuple(models)
        self._near.worker.know(known)
        for lane in {model.lane for model in known}:
            taken = self._near.queue.consume(lane, self._outstanding_max, self._take)
            self._consumers.append(taken)
        self._tasks.start(self._valkey.start(), "connect the queue")
        self._tasks.start(self._reader.start(), "connect the bus")
        self._tasks.start(self._follower.follow(), "follow the bus")
        self._tasks.start(self._keep_watch(), "watch the jobs")

    async def stop(self, within_s: float) -> None:
        """Take no more; give the worker of this process `within_s` seconds; let go of the rest.

        Jobs at workers run on: a successor of this process finds their output in the inbox.
        """
        for consumer in self._consumers:
            consumer.drain()
        await self._near.worker.stop(within_s)
        await self._tasks.cancel()
        self._deadlines.close()
        await self._valkey.stop()
        await self._reader.stop()

    # ---- jobs of this life ----

    def _take(self, delivery: Delivery) -> None:
        turn_id = delivery.job.turn_id
        self._teller.owe(self._past.dismissal(turn_id, self._instance))
        if not self.available:
            self.run_here(delivery)
            return
        self._attempts += 1
        reply = Reply(self._instance, f"{self._boot}{self._attempts:x}")
        job = RemoteJob(self, turn_id, reply, delivery)
        job.start(self._near.bus.writer(delivery, job))

    def run_here(self, delivery: Delivery) -> None:
        """Let this process's own worker run the job."""
        self._near.worker.take(delivery)

    def send(self, job: RemoteJob) -> bool:
        """Put the job into its lane; return False when Valkey is away."""
        assert job.job is not None
        packed = wire.packed_job(job.job, job.reply, job.deliveries, self._clock, job.seal)
        job.since = self._follower.place
        try:
            sent = self._valkey.call(*wire.entry_of(job.job, packed))
        except ValkeyAway:
            return False
        self._jobs[job.reply.attempt_id] = job
        self._deadlines.watch(job)
        sent.add_done_callback(lambda answer: self._sent(job, answer))
        return True

    def _sent(self, job: RemoteJob, answer: "asyncio.Future[ValkeyReply]") -> None:
        if answer.cancelled():
            return
        living = job.reply.attempt_id in self._jobs
        if answer.exception() is not None:
            if living and job.waiting:
                job.run_here()  # if it arrived after all, its worker hears that it is not wanted
            return
        entry = answer.result()
        assert isinstance(entry, bytes)
        if living:
            job.entry_id = entry
            self._teller.tell(wire.event(job.reply, job.turn_id, wire.SENT, wire.sent_as(job.sent)))
        elif job.waiting:
            self._teller.owe([("XDEL", keys.jobs_key(job.lane, job.row), entry)])

    def over(self, job: RemoteJob) -> None:
        """Listen no more to what is said about this attempt."""
        if self._jobs.pop(job.reply.attempt_id, None) is not None:
            self._deadlines.forget(job)
            self._retention.ended(job, self.monotonic())

    def dismiss(self, job: RemoteJob) -> None:
        """See to it that nobody runs this attempt."""
        sent = wire.sent_as(job.sent) if job.entry_id else b""
        self._teller.owe(wire.dismissal(job.reply, job.worker_id, sent))

    def supersede(self, job: RemoteJob) -> None:
        """Tell a successor that the turn saw nothing of this attempt."""
        self._teller.owe([wire.event(job.reply, job.turn_id, wire.SUPERSEDED)])

    def order(self, worker_id: str, what: str, attempt_id: str) -> None:
        """Tell a worker what to do with an attempt."""
        if worker_id:
            self._teller.tell(wire.order(worker_id, what, attempt_id))

    def monotonic(self) -> float:
        """Return the clock's seconds."""
        return self._clock.monotonic()

    def _waiting(self) -> int:
        return sum(job.waiting for job in self._jobs.values())

    # ---- what workers say ----

    def _hear(self, entries: list[ValkeyReply]) -> None:
        for found in entries:
            try:
                entry = wire.read_entry(found)
            except wire.UnreadableEntry as error:
                log.warning("bus.unreadable", "An entry was dropped.", error__message=str(error))
                continue
            job = self._jobs.get(entry.attempt_id)
            if job is not None:
                job.on_entry(entry)
            elif not self._past.over and not entry.attempt_id.startswith(self._boot):
                self._past.add(entry)
            elif entry.kind == wire.TAKEN:
                worker_id = entry.data.decode(errors="replace")
                self._teller.tell(wire.order(worker_id, "cancel", entry.attempt_id))

    # ---- jobs of a past life ----

    async def reattach(self, turn_id: str, deadline: float) -> JobStream | None:
        """Return the output, from its beginning, of a job that this process's predecessor sent.

        None when Valkey does not have it whole, or does not answer within REATTACH_WITHIN_S. The
        stream ends as lost, with `shown` false, when a worker lost it before its first output.
        Raises TurnAlreadySubmitted.
        """
        if self._reading_past is None:  # one wait for all turns: a start must not add them up
            self._reading_past = self._tasks.start(
                self._watch.all_is_read(REATTACH_WITHIN_S), "read the past"
            )
        if not await asyncio.shield(self._reading_past):
            return None
        entries = self._past.to_follow(turn_id)
        if not entries:
            self._teller.owe(self._past.dismissal(turn_id, self._instance))
            return None
        stream = self._near.bus.open(turn_id, deadline)
        reply = Reply(self._instance, entries[0].attempt_id)
        job = RemoteJob(self, turn_id, reply)
        job.since = place(entries[0].entry_id)
        job.follow(self._near.bus.writer_of(turn_id, job))
        self._jobs[reply.attempt_id] = job
        for entry in entries:
            if entry.kind == wire.SENT:
                job.entry_id, job.row, job.lane = wire.read_sent(entry.data)
            job.on_entry(entry)
        return stream

    # ---- watching ----

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(self._pace.watch_every_s)
            if self.available:
                try:
                    await self._look()
                    continue
                except StoreError:
                    pass  # it is being away that counts, below, from the next time on
            self._bear_with(self._watch.away_for_s())

    async def _look(self) -> None:
        self._teller.settle()
        for job in await self._watch.look(self._pace):
            job.again()
        for job in await self._watch.unserved(self._pace):
            job.run_here()
        if not self._past.over and self.monotonic() >= self._past_ends_s:
            self._past.over = True
            for turn_id in self._past.turn_ids():
                self._teller.owe(self._past.dismissal(turn_id, self._instance))
        needed = self._retention.needed_from(self._jobs.values(), self.monotonic())
        if self._past.over:
            await self._valkey.call("XTRIM", self._follower.key, "MINID", "~", needed)
        await self._valkey.call("EXPIRE", self._follower.key, keys.KEYS_LAST_S)

    def _bear_with(self, away_for_s: float) -> None:
        for job in list(self._jobs.values()):
            if away_for_s >= (self._pace.away_max_s if job.shown else self._pace.away_patience_s):
                job.run_here()

    def _task_failed(self, name: str, error: BaseException) -> None:
        """Do without workers from now on: a mistake of ours must not leave turns waiting."""
        log.error(
            "task.failed", "A background task failed.", axon__task=name, error__message=repr(error)
        )
        self._broken = True
        self._bear_with(float("inf"))
