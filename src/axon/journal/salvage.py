"""An operator's last resort: make a damaged journal readable again without hiding what is lost.

Every entry that is still whole keeps its sequence; each one that is lost leaves an entry of
LOST_KIND in its place, so that sequences stay dense and projectors see the loss. The hash chain
is made anew from the first loss on. The damaged files are kept in a folder of their own.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from axon.base import Clock
from axon.journal.disk import Disk
from axon.journal.errors import JournalCorrupt, JournalMissing
from axon.journal.format import (
    LOST_KIND,
    NO_HASH,
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    find_valid_entries,
)
from axon.journal.lock import lock_journal
from axon.journal.marks import DURABLE_FILE, read_mark, write_mark
from axon.journal.segments import (
    SALVAGE_PREFIX,
    create_segment,
    list_segments,
    read_segment_header,
    refuse_newer,
    segment_path,
)
from axon.journal.writer import JournalEnd, SegmentWriter, WriterPlace

LOST_ENTRIES_MAX = 1_000_000
"""A `durable` mark that is further ahead than this is itself damaged, and says nothing."""

_REBUILDING = SALVAGE_PREFIX + "rebuilding"
_REBUILT = SALVAGE_PREFIX + "rebuilt"
_MOVING_IN = SALVAGE_PREFIX + "moving-in"
"""The folder of the rebuilt journal; its name says which steps are done, for a salvage that was
itself interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What a salvage found."""

    lost: tuple[int, ...]
    """Sequences of the entries that are gone for good, in this salvage or an earlier one."""
    last_sequence: int


def salvage(directory: Path, segment_bytes: int, disk: Disk, clock: Clock) -> Salvage:
    """Rebuild the journal from what is whole in it; blocks for long.

    No process may have it open (JournalLocked). It needs as much free space as the journal has
    and may be repeated after an interruption. Raises JournalMissing, JournalCorrupt (no segment
    header is left to tell the instance), JournalNewer (nothing was changed) or OSError.
    """
    lock = lock_journal(directory)
    try:
        refuse_newer(directory)
        rebuilt, moving_in = directory / _REBUILT, directory / _MOVING_IN
        if not rebuilt.exists() and not moving_in.exists():
            _rebuild(directory, segment_bytes, disk, clock)
        if not moving_in.exists():
            damaged = directory / f"damaged-{clock.now_us()}"
            damaged.mkdir(mode=0o700)
            _move_segments(directory, damaged, disk)
            disk.rename(rebuilt, moving_in)
            disk.sync_directory(directory)
        _move_segments(moving_in, directory, disk)
        found = _count_lost(directory)
        write_mark(directory / DURABLE_FILE, found.last_sequence)
        moving_in.rmdir()
    finally:
        os.close(lock)
    return found


def _move_segments(source: Path, target: Path, disk: Disk) -> None:
    for first in list_segments(source):
        disk.rename(segment_path(source, first), segment_path(target, first))
    disk.sync_directory(target)
    disk.sync_directory(source)


def _rebuild(directory: Path, segment_bytes: int, disk: Disk, clock: Clock) -> None:
    """Write a whole journal into a folder inside, and name it as rebuilt when it is on disk."""
    segments = list_segments(directory)
    if not segments:
        raise JournalMissing(str(directory))
    place = WriterPlace(
        directory=directory / _REBUILDING,
        instance=_find_instance(directory, segments),
        segment_bytes=segment_bytes,
    )
    place.directory.mkdir(mode=0o700, exist_ok=True)
    for path in place.directory.iterdir():
        disk.unlink(path)
    writer = _begin(directory, segments[0], place, disk, clock)
    durable_through = read_mark(directory / DURABLE_FILE)
    for first in segments:
        data = segment_path(directory, first).read_bytes()
        batch: list[tuple[int, bytes, None]] = []
        following = writer.end.sequence + 1
        for entry in find_valid_entries(data, 0, writer.end.sequence, first):
            batch += [(LOST_KIND, b"", None)] * (entry.sequence - following)
            batch.append((entry.kind, entry.payload, None))
            following = entry.sequence + 1
        writer.write(batch)
        writer.sync()
    missing = durable_through - writer.end.sequence
    if 0 < missing <= LOST_ENTRIES_MAX:
        writer.write([(LOST_KIND, b"", None)] * missing)
        writer.sync()
    writer.close()
    disk.sync_directory(place.directory)
    disk.rename(place.directory, directory / _REBUILT)
    disk.sync_directory(directory)


def _find_instance(directory: Path, segments: list[int]) -> str:
    """Return the instance that the first readable header names."""
    for first in segments:
        try:
            return read_segment_header(directory, first).instance
        except JournalCorrupt:
            if first == segments[-1]:
                raise
    raise JournalMissing(str(directory))


def _begin(
    directory: Path, first_sequence: int, place: WriterPlace, disk: Disk, clock: Clock
) -> SegmentWriter:
    """Return the writer of the rebuilt journal; its chain goes on from the old one if it can."""
    try:
        previous_hash = read_segment_header(directory, first_sequence).previous_hash
    except JournalCorrupt:
        previous_hash = NO_HASH
    header = SegmentHeader(first_sequence, clock.now_us(), previous_hash, place.instance)
    disk.close(create_segment(place.directory, header, disk))
    end = JournalEnd(
        sequence=first_sequence - 1,
        last_hash=previous_hash,
        segment=first_sequence,
        offset=SEGMENT_HEADER_BYTES,
    )
    return SegmentWriter(place, end, disk, clock)


def _count_lost(directory: Path) -> Salvage:
    lost: list[int] = []
    last_sequence = 0
    for first in list_segments(directory):
        data = segment_path(directory, first).read_bytes()
        for entry in find_valid_entries(data, 0, first - 1, first):
            last_sequence = entry.sequence
            if entry.kind == LOST_KIND:
                lost.append(entry.sequence)
    return Salvage(lost=tuple(lost), last_sequence=last_sequence)
