"""Following a journal from outside, often from another process; never beyond what is durable."""

import os
from pathlib import Path

from axon.base import KIB
from axon.journal.errors import EntryGone, JournalCorrupt, JournalMissing
from axon.journal.format import (
    ENTRY_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    BrokenBytes,
    Entry,
    Location,
    decode_entry,
    entry_length,
)
from axon.journal.marks import DURABLE_FILE, Mark
from axon.journal.segments import list_segments, read_segment_header, segment_path

_READ_BYTES = 256 * KIB
"""One read of a segment: large enough to cost little per entry, small enough to throw away."""


class JournalReader:
    """Reads entries in order and remembers its place; for one thread, blocking.

    It survives rotation, retirement of what it has passed, and the writer's restarts. Nothing
    read ahead is kept between calls, because what is not yet durable may still be replaced.
    """

    def __init__(self, directory: Path) -> None:
        """Raise JournalMissing while there is no journal in the directory."""
        self._directory = directory
        self._durable = Mark(directory / DURABLE_FILE, writable=False)
        segments = list_segments(directory)
        if not segments:
            raise JournalMissing(str(directory))
        self.instance = read_segment_header(directory, segments[0]).instance
        self._descriptor = -1
        self._segment = 0
        self._offset = 0
        self._sequence = -1
        self._data = b""
        self._data_offset = 0

    def durable_through(self) -> int:
        """Return the highest sequence that is on disk; costs less than a microsecond."""
        return self._durable.get()

    def read(self, after: int, entries_max: int, bytes_max: int) -> list[Entry]:
        """Return the durable entries that follow `after`, in order; none when there are none.

        Stops at `entries_max`, or once the entries hold `bytes_max` bytes. Continuing where the
        last call ended is cheap; another place must be searched from its segment's start.
        Raises EntryGone when `after` has been retired past, JournalCorrupt, or OSError.
        """
        through = min(self._durable.get(), after + entries_max)
        entries: list[Entry] = []
        if after >= through:
            return entries
        if after != self._sequence:
            self._seek(after)
        size = 0
        while self._sequence < through and size < bytes_max:
            entry = self._next()
            entries.append(entry)
            size += entry.location.length
        self._data = b""
        return entries

    def close(self) -> None:
        """Give back the open file and the mapping."""
        self._leave_segment()
        self._durable.close()

    def _seek(self, after: int) -> None:
        segments = [first for first in list_segments(self._directory) if first <= after + 1]
        if not segments:
            raise EntryGone(f"sequence {after + 1}")
        self._enter_segment(segments[-1])
        while self._sequence < after:
            self._next()

    def _enter_segment(self, first_sequence: int) -> None:
        self._leave_segment()
        read_segment_header(self._directory, first_sequence)
        path = segment_path(self._directory, first_sequence)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._segment = first_sequence
        self._offset = SEGMENT_HEADER_BYTES
        self._sequence = first_sequence - 1
        self._data = b""

    def _leave_segment(self) -> None:
        self._sequence = -1
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _next(self) -> Entry:
        """Return the entry behind the last one; there must be one."""
        if not self._fill(ENTRY_HEADER_BYTES):
            self._enter_next_segment()
        try:
            self._fill(entry_length(self._data, self._offset - self._data_offset))
            start = self._offset - self._data_offset
            entry, _ = decode_entry(self._data, start, self._segment, self._offset)
        except BrokenBytes as broken:
            raise self._corrupt(str(broken)) from broken
        if entry.sequence != self._sequence + 1:
            raise self._corrupt(f"sequence {entry.sequence} follows {self._sequence}")
        self._offset += entry.location.length
        self._sequence = entry.sequence
        return entry

    def _enter_next_segment(self) -> None:
        """The open segment is at its end, so the next one begins with the next sequence."""
        following = self._sequence + 1
        if self._fill(1) or not segment_path(self._directory, following).exists():
            raise self._corrupt(f"entry {following} should be here")
        self._enter_segment(following)
        if not self._fill(ENTRY_HEADER_BYTES):
            raise self._corrupt(f"entry {following} should be here")

    def _fill(self, wanted: int) -> bool:
        """Have `wanted` bytes from the place on in memory; return whether the file has as many."""
        if self._offset + wanted > self._data_offset + len(self._data) or not self._data:
            self._data = os.pread(self._descriptor, max(wanted, _READ_BYTES), self._offset)
            self._data_offset = self._offset
        return len(self._data) - (self._offset - self._data_offset) >= wanted

    def _corrupt(self, finding: str) -> JournalCorrupt:
        path = segment_path(self._directory, self._segment)
        offset = self._offset
        self._leave_segment()
        return JournalCorrupt(path, offset, finding)


def read_entry_at(directory: Path, location: Location) -> Entry:
    """Return the entry at a location with one read; raise EntryGone, JournalCorrupt or OSError."""
    path = segment_path(directory, location.segment)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise EntryGone(f"sequence {location.sequence}") from error
    try:
        data = os.pread(descriptor, location.length, location.offset)
    finally:
        os.close(descriptor)
    try:
        entry, _ = decode_entry(data, 0, location.segment, location.offset)
    except BrokenBytes as broken:
        raise JournalCorrupt(path, location.offset, str(broken)) from broken
    if entry.location != location:
        raise JournalCorrupt(path, location.offset, f"this is entry {entry.sequence}")
    return entry
