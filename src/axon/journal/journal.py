"""The journal of one process: append with group commit, read back, retire."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from axon.base import MIB, MICROS_PER_SECOND
from axon.journal.commit import GroupCommit
from axon.journal.format import INSTANCE_BYTES_MAX, Entry, Location
from axon.journal.lock import lock_journal
from axon.journal.marks import DURABLE_FILE, Mark
from axon.journal.options import JournalEnvironment, JournalOptions
from axon.journal.reader import JournalReader, read_entry_at
from axon.journal.recovery import Recovery, RecoveryPlace, recover
from axon.journal.retention import retire_segments
from axon.journal.space import Space
from axon.journal.writer import SegmentWriter, WriterPlace

_PAGE_ENTRIES = 1024
_PAGE_BYTES = 4 * MIB
"""The own journal is read back in pages of this size."""


class Journal:
    """An append-only log whose acknowledgement means: on disk.

    `append` and `admit` belong to the event loop's thread; one thread of the journal's own
    writes. Everything appended while a flush runs goes out together with the next one.
    """

    def __init__(
        self,
        directory: Path,
        instance: str,
        options: JournalOptions,
        environment: JournalEnvironment,
    ) -> None:
        """Use `Journal.open`, whose name says that this blocks."""
        self.directory = directory
        self.instance = instance
        self._options = options
        self._environment = environment
        disk, clock = environment.disk, environment.clock
        with ExitStack() as resources:
            resources.callback(os.close, lock_journal(directory))
            space = Space(directory, disk, options.reserve_bytes, options.low_water_bytes)
            self._recovery, end = recover(
                RecoveryPlace(
                    directory=directory, instance=instance, disk=disk, clock=clock, space=space
                )
            )
            self._durable = resources.enter_context(
                closing(Mark(directory / DURABLE_FILE, writable=True))
            )
            self._durable.set(end.sequence)
            space.check()
            place = WriterPlace(
                directory=directory, instance=instance, segment_bytes=options.segment_bytes
            )
            writer = SegmentWriter(place, end, disk, clock)
            self._resources = resources.pop_all()
        self._commit = GroupCommit(writer, self._durable, space, options, environment)

    @classmethod
    def open(
        cls,
        directory: Path,
        instance: str,
        options: JournalOptions,
        environment: JournalEnvironment,
    ) -> "Journal":
        """Lock, recover and return the journal, ready to append; blocks while it reads.

        Makes the directory and an empty journal when there is none. Raises JournalLocked,
        JournalForeign, JournalCorrupt (the process must not serve), or OSError.
        """
        if not 0 < len(instance.encode()) <= INSTANCE_BYTES_MAX:
            raise ValueError(f"an instance's name has 1 to {INSTANCE_BYTES_MAX} bytes")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(directory, instance, options, environment)

    @property
    def recovery(self) -> Recovery:
        """What was found when the journal was opened."""
        return self._recovery

    @property
    def durable_through(self) -> int:
        """The highest sequence that is on disk."""
        return self._durable.get()

    def admit(self) -> None:
        """Return when a new turn may be accepted; costs less than a microsecond.

        Raises JournalFull or DiskLow (answer 503 and let the client retry), JournalFailed or
        JournalClosed. It refuses earlier than `append`, so that accepted turns can end.
        """
        self._commit.admit()

    def append(self, kind: int, payload: bytes) -> asyncio.Future[Location]:
        """Queue an entry of a `kind` from 1 to 65534; the future resolves once it is on disk.

        Entries get their sequences in the order of the calls. Raises JournalFull, EntryTooLarge,
        JournalFailed or JournalClosed at once; the future raises JournalFailed when the disk
        refused, and then the entry may or may not be found after a restart. Cancelling the
        future does not take the entry back.
        """
        return self._commit.append(kind, payload)

    def read(self, after: int) -> Iterator[Entry]:
        """Yield the entries behind `after` that are durable by now; blocks.

        Raises EntryGone, JournalCorrupt or OSError.
        """
        through = self.durable_through
        with closing(JournalReader(self.directory)) as reader:
            while after < through:
                for entry in reader.read(after, min(_PAGE_ENTRIES, through - after), _PAGE_BYTES):
                    yield entry
                    after = entry.sequence

    def entry_at(self, location: Location) -> Entry:
        """Return one entry with a single read; blocks.

        Raises EntryGone when its segment was retired, JournalCorrupt, or OSError.
        """
        return read_entry_at(self.directory, location)

    def retire(self, projected_through: int) -> list[Path]:
        """Delete and return the segments PostgreSQL has that are past the retention; blocks."""
        clock, disk = self._environment.clock, self._environment.disk
        created_before_us = clock.now_us() - self._options.retention_s * MICROS_PER_SECOND
        return retire_segments(self.directory, projected_through, created_before_us, disk)

    async def close(self) -> None:
        """Make durable what waits, then stop; raises JournalFailed when the disk hangs."""
        await self._commit.close()
        self._resources.close()
