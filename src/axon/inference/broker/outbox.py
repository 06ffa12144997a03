"""What a worker has to tell the gateways: sent in order, kept while Valkey is away."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

from axon.base import KIB, MIB
from axon.inference.broker import wire
from axon.inference.broker.seals import Seals
from axon.inference.jobs import JobDone, JobFailed, JobOutput, SseBytes, WholeBody
from axon.inference.ports import Delivery, JobListener, JobWriter, Reply
from axon.stores import StoreError, Valkey, ValkeyAway, ValkeyRefused
from axon.telemetry import log

OUTBOX_BYTES_MAX = 32 * MIB
"""Kept while Valkey is away; above it no engine is read, below half of it all are again. Ends of
jobs still find room: they are small, and bounded by the slots."""

JOB_BYTES_MAX = MIB
"""Of one job: an engine that is faster than Valkey waits, and an order to pause is not too late."""

_WINDOW_BYTES = 512 * KIB
_WINDOW_ENTRIES = 1000
"""Sent before the answers are awaited: what gathers meanwhile leaves together."""

_ENTRY_BYTES = 200
"""What an entry takes beside its data."""

_RETRY_EVERY_S = 0.05

_ENDS = (JobDone, JobFailed, WholeBody)


class _Unsent(NamedTuple):
    command: wire.Command
    size: int
    writer: "_OutboxWriter | None"


class Outbox:
    """Implements JobWriters for a worker whose gateways are other processes.

    Order is kept by sending one window at a time, and again from its first failure on. What was
    sent twice carries its number twice, and is dropped by the reader.
    """

    def __init__(self, valkey: Valkey, seals: Seals) -> None:
        """`valkey` is any client with a short timeout; nothing is sent before `pump` runs."""
        self._valkey = valkey
        self.seals = seals
        self._unsent: deque[_Unsent] = deque()
        self._bytes = 0
        self.full = False
        """True while no engine should be read."""
        self._fresh = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._writers: dict[str, _OutboxWriter] = {}

    def held(self) -> list[str]:
        """Return the attempts this worker runs, or has not yet told all of."""
        return list(self._writers)

    def inboxes(self) -> set[str]:
        """Return the gateways whose jobs these are."""
        return {writer.reply.inbox for writer in self._writers.values()}

    def writer(self, delivery: Delivery, listener: JobListener) -> JobWriter:
        """Return the writing end of a delivery that came from another process."""
        assert delivery.reply is not None
        writer = _OutboxWriter(self, delivery.job.turn_id, delivery.reply, listener)
        self._writers[delivery.reply.attempt_id] = writer
        return writer

    def send(self, command: wire.Command, size: int, writer: "_OutboxWriter | None" = None) -> int:
        """Send a command after all before it; return its bytes, of which `size` are its data."""
        size += _ENTRY_BYTES
        self._unsent.append(_Unsent(command, size, writer))
        self._bytes += size
        self.full = self.full or self._bytes > OUTBOX_BYTES_MAX
        self._empty.clear()
        self._fresh.set()
        return size

    def order(self, what: str, attempt_id: str) -> None:
        """Do what a gateway orders: cancel, pause or resume; nothing when the job is over."""
        writer = self._writers.get(attempt_id)
        if writer is not None:
            writer.order(what)

    def probe_all(self) -> None:
        """Let every paused job send one piece more: the order to resume may have got lost."""
        for writer in list(self._writers.values()):
            writer.probe()

    async def pump(self) -> None:
        """Send for ever."""
        while True:
            if not self._unsent:
                self._empty.set()
                self._fresh.clear()
                await self._fresh.wait()
            if not await self._send_window(list(self._window())):
                await self._valkey.wait_until_available()
                await asyncio.sleep(_RETRY_EVERY_S)

    async def drained(self, within_s: float) -> bool:
        """Return whether everything was sent within that many seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def _window(self) -> Iterator[_Unsent]:
        size = 0
        for number, unsent in enumerate(self._unsent):
            size += unsent.size
            if number and (size > _WINDOW_BYTES or number >= _WINDOW_ENTRIES):
                return
            yield unsent

    async def _send_window(self, window: list[_Unsent]) -> bool:
        """Send these and forget those that arrived; return False when one did not."""
        futures = []
        try:
            for unsent in window:
                futures.append(self._valkey.call(*unsent.command))  # noqa: PERF401 - it may raise
        except ValkeyAway:
            pass  # those not called count as not arrived
        results = await asyncio.gather(*futures, return_exceptions=True)
        for unsent, result in zip(window, results, strict=False):
            if isinstance(result, ValkeyRefused):
                # Sending it again would hold up all others; its reader finds the gap.
                log.error("outbox.refused", "Valkey refused output.", error__message=str(result))
            elif isinstance(result, StoreError):
                return False
            self._arrived(unsent)
        return len(results) == len(window)

    def _arrived(self, unsent: _Unsent) -> None:
        self._unsent.popleft()
        self._bytes -= unsent.size
        if unsent.writer is not None:
            unsent.writer.arrived(unsent.size)
            self.let_go(unsent.writer)
        if self.full and self._bytes <= OUTBOX_BYTES_MAX // 2:
            self.full = False
            for writer in list(self._writers.values()):
                writer.room_again()

    def let_go(self, writer: "_OutboxWriter") -> None:
        """Forget a writer that has nothing more to say, and has said all."""
        if writer.over and not writer.unsent_bytes:
            self._writers.pop(writer.reply.attempt_id, None)


class _OutboxWriter:
    """A worker's end of the bus for one attempt."""

    __slots__ = (
        "_behind",
        "_listener",
        "_number",
        "_outbox",
        "_paused",
        "_probe",
        "_seal",
        "_turn_id",
        "over",
        "reply",
        "unsent_bytes",
    )

    cancelled = False
    """A cancelled attempt is not taken in the first place."""
    shown = False
    """A job that has shown output is never sent to a second worker."""

    def __init__(self, outbox: Outbox, turn_id: str, reply: Reply, listener: JobListener) -> None:
        self._outbox = outbox
        self._turn_id = turn_id
        self._listener: JobListener | None = listener
        self.reply = reply
        self._seal = outbox.seals.of(reply.attempt_id)
        self._number = 0
        self.unsent_bytes = 0
        self._behind = self._paused = self.over = False
        self._probe: Literal["none", "allowed", "sent"] = "none"

    def put(self, output: JobOutput) -> bool:
        """Pass output on; False when Valkey or the turn is behind."""
        if self.over:
            return True
        command = wire.output(self.reply, self._turn_id, self._number, output, self._seal)
        size = len(output.data) if isinstance(output, SseBytes | WholeBody) else 0
        self._number += 1
        if isinstance(output, _ENDS):
            self._listener = None
            self.over = True
        if self._probe == "allowed":
            self._probe = "sent"
        self.unsent_bytes += self._outbox.send(command, size, self)
        too_much = self._outbox.full or self.unsent_bytes > JOB_BYTES_MAX
        self._behind = self._paused or too_much
        return not self._behind

    def arrived(self, size: int) -> None:
        """Take note that something was sent; with little left the upstream is read again."""
        self.unsent_bytes -= size
        if self._behind and self.unsent_bytes <= JOB_BYTES_MAX // 2:
            self.room_again()

    def leave(self) -> None:
        """Leave without an end."""
        self._listener = None
        self.over = True
        self._outbox.let_go(self)

    def order(self, what: str) -> None:
        """Do what the turn's gateway says."""
        if what == "cancel" and self._listener is not None:
            self._listener.on_cancel()
        elif what == "pause":
            self._paused, self._probe = True, "none"
        elif what == "resume" and self._paused:
            self._paused, self._probe = False, "none"
            self.room_again()

    def probe(self) -> None:
        """Called at each pulse: a paused job sends one piece, to which a turn that is still behind
        answers with another order to pause; unanswered, the job goes on at the next pulse."""
        if self._probe == "sent":
            self.order("resume")
        elif self._paused and self._behind and self._probe == "none" and not self._outbox.full:
            self._probe = "allowed"
            if self._listener is not None:
                self._listener.on_room()

    def room_again(self) -> None:
        """Let the upstream be read again, unless the turn or Valkey is behind."""
        slow = self._paused or self._outbox.full or self.unsent_bytes > JOB_BYTES_MAX // 2
        if self._behind and not slow and self._listener is not None:
            self._behind = False
            self._listener.on_room()
