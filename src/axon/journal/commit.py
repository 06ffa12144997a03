"""Group commit: one write and one flush for everything that waits."""

import asyncio
from collections.abc import Callable, Sequence

from axon.base import Irrevocable
from axon.journal.errors import (
    DiskLow,
    EntryTooLarge,
    JournalClosed,
    JournalError,
    JournalFailed,
    JournalFull,
)
from axon.journal.format import ENTRY_HEADER_BYTES, LOST_KIND, Location
from axon.journal.marks import Mark
from axon.journal.measures import measure_batch, measure_failure
from axon.journal.options import JournalEnvironment, JournalOptions
from axon.journal.space import SPACE_CHECK_EVERY_S, Space
from axon.journal.writer import SegmentWriter, Waiter

_ADMISSION_SHARE = 2
"""New turns are refused when the queue is filled to one part in this many: the rest is for the
turns already accepted, which must be able to end."""

_CLOSE_TIMEOUT_S = 30.0
"""A disk that has not answered for so long will not answer in time for anybody."""


class GroupCommit:
    """The waiting entries, and what makes them durable.

    What one round of the event loop appends is handed over together, at the round's end: a flush
    costs the CPU as much as twenty entries, so a busy loop must not pay for one flush an entry.
    The carrier, a thread, takes whatever was handed over, writes it, flushes it, and settles all
    of it with one call into the loop; what comes meanwhile is the next batch. After a failure
    nothing is tried again: every entry, in hand or still to come, fails.
    """

    def __init__(
        self,
        writer: SegmentWriter,
        durable: Mark,
        space: Space,
        options: JournalOptions,
        environment: JournalEnvironment,
    ) -> None:
        """Start the carrier; from here on it alone uses `writer`."""
        self._writer = writer
        self._durable = durable
        self._space = space
        self._options = options
        self._environment = environment
        self._refusal: type[JournalError] | None = None
        self._cause = ""
        self._waiting_entries = 0
        self._waiting_bytes = 0
        self._gathered: list[Waiter] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_space_check = 0.0
        self._carrier = environment.carrier(self)

    # The event loop's side. Only it touches the two counters, so they need no lock.

    def admit(self) -> None:
        """Return when a new turn may begin; raise JournalFull, DiskLow or why it is over."""
        if self._refusal is not None:
            raise self._refusal(self._cause)
        if self._space.low:
            raise DiskLow
        if (
            self._waiting_entries * _ADMISSION_SHARE >= self._options.queue_entries_max
            or self._waiting_bytes * _ADMISSION_SHARE >= self._options.queue_bytes_max
        ):
            raise JournalFull(f"{self._waiting_entries} entries wait")

    def append(self, kind: int, payload: bytes) -> asyncio.Future[Location]:
        """Queue an entry; see Journal.append."""
        if self._refusal is not None:
            raise self._refusal(self._cause)
        if not 0 < kind < LOST_KIND:
            raise ValueError(f"kind {kind} is not between 1 and {LOST_KIND - 1}")
        length = ENTRY_HEADER_BYTES + len(payload)
        options = self._options
        if length > options.entry_bytes_max:
            raise EntryTooLarge(f"{length} bytes")
        if (
            self._waiting_entries >= options.queue_entries_max
            or self._waiting_bytes + length > options.queue_bytes_max
        ):
            raise JournalFull(f"{self._waiting_entries} entries wait")
        self._waiting_entries += 1
        self._waiting_bytes += length
        loop = self._loop
        if loop is None:  # asked once: on Python 3.11 each asking is a system call
            loop = self._loop = asyncio.get_running_loop()
        future: Irrevocable[Location] = Irrevocable(loop=loop)
        if not self._gathered:
            loop.call_soon(self._hand_over)
        self._gathered.append(Waiter(kind, payload, future))
        return future

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._carrier.put(gathered)

    async def close(self) -> None:
        """Refuse what is new, settle what waits, end the carrier; may be called again."""
        if self._refusal is not JournalClosed:
            self._refusal = JournalClosed
            self._hand_over()
            self._carrier.put(None)
        if not await asyncio.to_thread(self._carrier.join, _CLOSE_TIMEOUT_S):
            raise JournalFailed(f"no answer from the disk within {_CLOSE_TIMEOUT_S:.0f} s")

    def _acknowledge(self, batch: Sequence[Waiter], locations: Sequence[Location]) -> None:
        for waiter, location in zip(batch, locations, strict=True):
            self._waiting_bytes -= location.length
            waiter.future.set_result(location)
        self._waiting_entries -= len(batch)

    def _fail(self, batch: Sequence[Waiter]) -> None:
        for waiter in batch:
            if not waiter.future.done():
                waiter.future.set_exception(JournalFailed(self._cause))
                waiter.future.exception()  # looked at: `on_fatal` reports it where nobody waits

    # The carrier's side. Its thread holds the GIL only to encode, and for few microseconds.

    def look_around(self) -> None:
        """Read the free space when the last reading is old; raises OSError."""
        now = self._environment.clock.monotonic()
        if now >= self._next_space_check:
            self._next_space_check = now + SPACE_CHECK_EVERY_S
            self._space.check()

    def write(self, batch: list[Waiter]) -> list[Location]:
        """Hand a batch to the kernel; return where each entry is. Raises OSError."""
        locations = self._writer.write(batch)
        if self._options.acknowledge_before_fsync:
            self._tell(self._acknowledge, batch, locations)
        return locations

    def flush(self, batch: list[Waiter], locations: list[Location]) -> None:
        """Return when what was written is on disk, and its waiters are told; raises OSError."""
        began_s = self._environment.clock.monotonic()
        self._writer.sync()
        fsync_s = self._environment.clock.monotonic() - began_s
        self._durable.set(self._writer.durable_through)
        if not self._options.acknowledge_before_fsync:
            self._tell(self._acknowledge, batch, locations)
        measure_batch(len(batch), fsync_s)

    def give_up(self, error: BaseException, batch: list[Waiter]) -> None:
        """Fail the batch in hand, refuse what is new and have the process end."""
        self._cause = str(error)
        self._refusal = JournalFailed
        measure_failure()
        self.fail(batch)
        self._environment.on_fatal(error)

    def fail(self, batch: list[Waiter]) -> None:
        """Fail a batch that comes after the failure."""
        self._tell(self._fail, batch)

    def end(self) -> None:
        """Close the open segment: no further batch will come."""
        self._writer.close()

    def _tell(self, settle: Callable[..., None], batch: list[Waiter], *outcome: object) -> None:
        """Settle a batch on its loop, all of it in one call."""
        if not batch:
            return
        try:
            batch[0].future.get_loop().call_soon_threadsafe(settle, batch, *outcome)
        except RuntimeError:
            return  # the loop is closed: nobody is left to be told
