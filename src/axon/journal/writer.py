"""The one who writes: turns waiting entries into bytes behind one another, segment by segment."""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from axon.base import Clock
from axon.journal.disk import Disk
from axon.journal.format import (
    ENTRY_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    Location,
    SegmentHeader,
    encode_entry_header,
    entry_hash,
)
from axon.journal.segments import create_segment, segment_path, write_all


class Waiter(NamedTuple):
    """An entry that waits for the disk, and who waits for it."""

    kind: int
    payload: bytes
    future: asyncio.Future[Location]


@dataclass(slots=True, kw_only=True)
class JournalEnd:
    """Where the next entry goes."""

    sequence: int
    """Of the last entry; 0 before the first."""
    last_hash: bytes
    segment: int
    """First sequence of the open segment."""
    offset: int
    """Length of the open segment in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterPlace:
    """Where a writer writes: its directory, instance and how large segments may become."""

    directory: Path
    instance: str
    segment_bytes: int


class SegmentWriter:
    """Appends entries to the last segment and opens the next one; single-threaded, blocking.

    After any OSError it must not be used again: what the disk holds is then unknown.
    """

    def __init__(self, place: WriterPlace, end: JournalEnd, disk: Disk, clock: Clock) -> None:
        """Open the last segment for appending."""
        self._place = place
        self._disk = disk
        self._clock = clock
        self.end = end
        self.durable_through = end.sequence
        path = segment_path(place.directory, end.segment)
        self._descriptor = disk.open(path, os.O_WRONLY | os.O_APPEND)

    def write(self, batch: Iterable[tuple[int, bytes, object]]) -> list[Location]:
        """Hand entries (kind, payload, whatever) to the kernel; return where each one is."""
        end = self.end
        segment_bytes = self._place.segment_bytes
        durable_through = self.durable_through
        pieces: list[bytes] = []
        locations: list[Location] = []
        for kind, payload, _ in batch:
            length = ENTRY_HEADER_BYTES + len(payload)
            if end.offset + length > segment_bytes and end.offset > SEGMENT_HEADER_BYTES:
                write_all(self._disk, self._descriptor, b"".join(pieces))
                pieces.clear()
                self._rotate()
            end.sequence = sequence = end.sequence + 1
            header = encode_entry_header(kind, payload, sequence, durable_through, end.last_hash)
            end.last_hash = entry_hash(header, payload)
            pieces += (header, payload)
            locations.append(Location(sequence, end.segment, end.offset, length))
            end.offset += length
        write_all(self._disk, self._descriptor, b"".join(pieces))
        return locations

    def sync(self) -> None:
        """Return when everything written so far is on disk."""
        self._disk.sync(self._descriptor)
        self.durable_through = self.end.sequence

    def _rotate(self) -> None:
        """Open the next segment; what the last one holds is on disk before the next exists."""
        end = self.end
        self.sync()
        self.close()
        header = SegmentHeader(
            end.sequence + 1, self._clock.now_us(), end.last_hash, self._place.instance
        )
        self._descriptor = create_segment(self._place.directory, header, self._disk)
        end.segment = header.first_sequence
        end.offset = SEGMENT_HEADER_BYTES

    def close(self) -> None:
        """Close the open segment; nothing when it is closed already."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._disk.close(descriptor)
