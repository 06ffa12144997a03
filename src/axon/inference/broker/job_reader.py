"""A worker's end of the queue: reads the lanes' rows, and takes a job by deleting its entry."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from axon.base import Clock, TaskOwner
from axon.inference.broker import keys, wire
from axon.inference.broker.following import blocking_client
from axon.inference.broker.outbox import Outbox
from axon.inference.broker.row_reading import Found, RowReader
from axon.inference.broker.stream_entries import entry_id
from axon.inference.errors import UnknownModel
from axon.inference.jobs import FailureKind, Job, JobFailed
from axon.inference.models import ModelTable
from axon.inference.ports import Consumer, Delivery, Reply
from axon.stores import StoreError, Valkey, ValkeyRefused, ValkeyReply
from axon.telemetry import log

_RETRY_EVERY_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderParts:
    """What reading jobs needs."""

    url: str
    worker_id: str
    valkey: Valkey
    outbox: Outbox
    models: ModelTable
    clock: Clock
    tasks: TaskOwner


class RemoteJobs:
    """Implements JobSource over Valkey: one blocking connection for each lane."""

    def __init__(self, parts: ReaderParts) -> None:
        """Nothing is read before `consume`."""
        self._parts = parts
        self._readers: list[_LaneReader] = []

    def consume(self, lane: str, slots: int, take: Callable[[Delivery], None]) -> Consumer:
        """Call `take` for each job of the lane that this worker got."""
        reader = _LaneReader(self._parts, lane, slots, take)
        self._readers.append(reader)
        self._parts.tasks.start(reader.run(), f"lane {lane}")
        return reader

    def lanes(self) -> list[str]:
        """Return the lanes that are read."""
        return [reader.lane for reader in self._readers if not reader.draining]

    async def close(self) -> None:
        """Close the lanes' connections, each of which must be closed as a consumer."""
        for reader in self._readers:
            await reader.leave()


class RemoteDelivery:
    """A job in this worker's hands; the process that submitted it is another."""

    __slots__ = ("_reader", "attempt", "job", "reply")

    def __init__(self, reader: "_LaneReader", job: Job, attempt: int, reply: Reply) -> None:
        """The reader has counted it among those it holds."""
        self._reader = reader
        self.job = job
        self.attempt = attempt
        self.reply: Reply | None = reply

    def done(self) -> None:
        """Free the slot; the end of the output has told the gateway."""
        self._reader.release(self)

    def give_back(self) -> None:
        """Free the slot and tell the gateway, which sends the job again."""
        if self._reader.release(self):
            self._reader.tell(self, wire.RETURNED)


class _LaneReader:
    """Implements Consumer for one lane."""

    def __init__(
        self, parts: ReaderParts, lane: str, slots: int, take: Callable[[Delivery], None]
    ) -> None:
        self._parts = parts
        self.lane = lane
        self._free = slots
        self._give = take
        self._client = blocking_client(parts.url, parts.clock, "valkey-jobs")
        self._rows = RowReader(self._client, lane, parts.worker_id, parts.clock)
        self._held: set[RemoteDelivery] = set()
        self._room = asyncio.Event()
        self._room.set()
        self.draining = False

    # ---- Consumer ----

    def drain(self) -> None:
        """Take no more; a read that waits in Valkey is broken off."""
        if not self.draining:
            self.draining = True
            self._parts.tasks.start(self._client.stop(), "drain a lane")

    def close(self) -> None:
        """Take no more; give back what is not done."""
        self.drain()
        for delivery in list(self._held):
            delivery.give_back()

    async def leave(self) -> None:
        """Close the connection and take this worker's name off the lane."""
        await self._client.stop()
        try:
            await self._rows.leave(self._parts.valkey)
        except StoreError:
            return  # a name is all that stays

    # ---- deliveries ----

    def release(self, delivery: RemoteDelivery) -> bool:
        """Free the delivery's slot; return False when it was freed before."""
        if delivery not in self._held:
            return False
        self._held.discard(delivery)
        self._free += 1
        self._room.set()
        return True

    def tell(self, delivery: RemoteDelivery, kind: bytes) -> None:
        """Tell the delivery's gateway of an event."""
        assert delivery.reply is not None
        self._parts.outbox.send(wire.event(delivery.reply, delivery.job.turn_id, kind), 0)

    # ---- reading ----

    async def run(self) -> None:
        """Read as long as there is room, until drained."""
        await self._client.start()
        while True:
            await self._room.wait()
            await self._client.wait_until_available()
            if self.draining:
                return
            try:
                found = await self._rows.read(self._free)
                if not self.draining:  # else they stay pending, and another worker claims them
                    await self._take_over(found)
            except ValkeyRefused as error:
                await self._make_group(error)
            except StoreError:
                self._rows.unsure = True
                await asyncio.sleep(_RETRY_EVERY_S)

    async def _make_group(self, refused: ValkeyRefused) -> None:
        """Make the groups that are not there: at the first start, after a restart of Valkey."""
        if "NOGROUP" not in str(refused):
            log.error("lane.refused", "Valkey refused a read.", error__message=str(refused))
            await asyncio.sleep(1.0)
        await self._rows.make_groups()

    async def _take_over(self, found: list[Found]) -> None:
        """Take those entries that nobody took before: only one worker deletes an entry."""
        call = self._parts.valkey.call
        jobs: list[wire.WireJob | None] = []
        deleted: list[asyncio.Future[ValkeyReply]] = []
        cancelled: list[asyncio.Future[ValkeyReply]] = []
        for key, entry in found:
            found_id = entry_id(entry)
            job = _job_of(entry)
            jobs.append(job)
            call("XACK", key, keys.GROUP, found_id).add_done_callback(_ignore)
            deleted.append(call("XDEL", key, found_id))
            attempt_id = job.attempt_id if job is not None else ""
            cancelled.append(call("GET", keys.cancelled_key(attempt_id)))
        mine = await asyncio.gather(*deleted, return_exceptions=True)
        unwanted = await asyncio.gather(*cancelled, return_exceptions=True)
        for job, is_mine, is_unwanted in zip(jobs, mine, unwanted, strict=True):
            if isinstance(is_mine, StoreError):
                # If it was deleted, its gateway misses it and sends it again.
                self._rows.unsure = True
            elif job is not None and is_mine and not isinstance(is_unwanted, bytes):
                self._take(job)

    def _take(self, found: wire.WireJob) -> None:
        parts, reply = self._parts, Reply(found.inbox, found.attempt_id)
        outbox = parts.outbox
        if self.draining:
            outbox.send(wire.event(reply, found.turn_id, wire.RETURNED), 0)
            return
        seal = outbox.seals.of(found.attempt_id)
        taken = wire.event(reply, found.turn_id, wire.TAKEN, parts.worker_id.encode())
        outbox.send(taken, 0)
        try:
            job = wire.opened_job(found, parts.models, parts.clock, seal)
        except wire.UnreadableEntry as error:
            log.error("job.sealed", "Another keyring sealed it.", error__message=str(error))
            outbox.send(wire.event(reply, found.turn_id, wire.RETURNED), 0)
            return
        except UnknownModel as error:
            failed = JobFailed(kind=FailureKind.UNKNOWN_MODEL, message=str(error), shown=False)
            outbox.send(wire.output(reply, found.turn_id, 0, failed, seal), 0)
            return
        delivery = RemoteDelivery(self, job, found.deliveries, reply)
        self._held.add(delivery)
        self._free -= 1
        if self._free <= 0:
            self._room.clear()
        self._give(delivery)


def _job_of(entry: ValkeyReply) -> wire.WireJob | None:
    """Return an entry's job; None for what cannot be read, or was deleted while it was pending."""
    try:
        return wire.read_job(entry)
    except wire.UnreadableEntry as error:
        log.warning("job.unreadable", "An entry was dropped.", error__message=str(error))
        return None


def _ignore(answer: "asyncio.Future[ValkeyReply]") -> None:
    """Look at a failure that nobody else looks at: the reader reads the entry again."""
    if not answer.cancelled():
        answer.exception()
