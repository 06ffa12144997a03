"""Opening after a crash: what the journal holds, what a torn write left, and what must not be.

A process that dies tears nothing; a power loss may keep any part of what was not yet synced.
Such damage lies behind everything acknowledged: it is copied aside and cut off. Damage before
that is corruption, and then the journal refuses to open. Three witnesses tell the two apart:
the damage is not in the last segment; a later valid entry says the damaged one was durable; the
`durable` mark says so.
"""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from axon.base import Clock
from axon.journal.disk import Disk
from axon.journal.errors import JournalCorrupt, JournalForeign
from axon.journal.format import (
    NO_HASH,
    SegmentHeader,
    SegmentScan,
    find_valid_entries,
    scan_segment,
)
from axon.journal.marks import DURABLE_FILE, read_cursor, read_mark
from axon.journal.segments import (
    SALVAGE_PREFIX,
    create_segment,
    list_segments,
    read_segment_header,
    refuse_newer,
    remove_unfinished,
    require_continuation,
    segment_path,
    write_all,
)
from axon.journal.space import Space
from axon.journal.writer import JournalEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What was found when the journal was opened."""

    first_sequence: int
    """Of the oldest entry still here; one more than `last_sequence` when there is none."""
    last_sequence: int
    entries_checked: int
    torn_bytes: int
    """Bytes of a torn write that were cut off; none of them had been acknowledged."""
    torn_copy: Path | None
    """Where those bytes were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPlace:
    """The journal to recover and the means to do it."""

    directory: Path
    instance: str
    disk: Disk
    clock: Clock
    space: Space


def recover(place: RecoveryPlace) -> tuple[Recovery, JournalEnd]:
    """Check the journal, cut off a torn tail, and return what was found and where it ends.

    Every entry that PostgreSQL is not known to have is checked, and the whole last segment.
    Raises JournalCorrupt, JournalNewer, JournalForeign, or OSError. Blocks for as long as reading
    takes.
    """
    directory, disk = place.directory, place.disk
    refuse_newer(directory)
    for folder in directory.glob(f"{SALVAGE_PREFIX}*"):
        raise JournalCorrupt(folder, 0, "a salvage was interrupted here and must be repeated")
    remove_unfinished(directory, disk)
    durable_through = read_mark(directory / DURABLE_FILE)
    segments = list_segments(directory)
    if not segments:
        if durable_through:
            raise JournalCorrupt(directory, 0, f"{durable_through} entries are gone")
        header = SegmentHeader(1, place.clock.now_us(), NO_HASH, place.instance)
        disk.close(create_segment(directory, header, disk))
        segments = [1]
    _settle(segment_path(directory, segments[-1]), disk)
    headers = _read_headers(place, segments)
    unchecked = _count_projected(headers, read_cursor(directory))
    previous: SegmentScan | None = None
    for header in headers[unchecked:-1]:
        previous = _check_sealed(directory, header, previous)
    last = headers[-1]
    scan, torn_copy, torn_bytes = _check_last(place, last, previous, durable_through)
    end = JournalEnd(
        sequence=scan.sequence,
        last_hash=scan.last_hash,
        segment=last.first_sequence,
        offset=scan.end,
    )
    recovery = Recovery(
        first_sequence=headers[0].first_sequence,
        last_sequence=scan.sequence,
        entries_checked=scan.sequence - headers[unchecked].first_sequence + 1,
        torn_bytes=torn_bytes,
        torn_copy=torn_copy,
    )
    return recovery, end


def _settle(path: Path, disk: Disk) -> None:
    """Put on disk what the page cache holds of the last segment, then read it from there.

    After a failed fsync the cache may show pages the disk never got; they must not be believed.
    """
    descriptor = disk.open(path, os.O_RDWR)
    try:
        disk.sync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        disk.close(descriptor)


def _read_headers(place: RecoveryPlace, segments: list[int]) -> list[SegmentHeader]:
    headers = [read_segment_header(place.directory, first) for first in segments]
    for header in headers:
        if header.instance != place.instance:
            raise JournalForeign(f"{header.instance}, not {place.instance}")
    return headers


def _count_projected(headers: list[SegmentHeader], projected_through: int) -> int:
    """Return how many leading segments hold nothing that PostgreSQL still needs."""
    count = 0
    while count < len(headers) - 1 and headers[count + 1].first_sequence <= projected_through + 1:
        count += 1
    return count


def _scan(
    directory: Path, header: SegmentHeader, previous: SegmentScan | None
) -> tuple[bytes, SegmentScan]:
    """Return a segment's bytes and how far they are valid, as the continuation of `previous`."""
    require_continuation(directory, header, previous)
    data = segment_path(directory, header.first_sequence).read_bytes()
    return data, scan_segment(data, header)


def _check_sealed(
    directory: Path, header: SegmentHeader, previous: SegmentScan | None
) -> SegmentScan:
    """Check a segment that was complete, and on disk, before the next one was made."""
    _, scan = _scan(directory, header, previous)
    if scan.damage is not None:
        path = segment_path(directory, header.first_sequence)
        raise JournalCorrupt(path, scan.end, scan.damage)
    return scan


def _check_last(
    place: RecoveryPlace, header: SegmentHeader, previous: SegmentScan | None, durable_through: int
) -> tuple[SegmentScan, Path | None, int]:
    """Check the last segment; cut off and keep a torn tail. Return also the copy and its size."""
    data, scan = _scan(place.directory, header, previous)
    path = segment_path(place.directory, header.first_sequence)
    if durable_through > scan.sequence:
        finding = scan.damage or "the segment ends here"
        raise JournalCorrupt(
            path, scan.end, f"{finding}, but entries were durable through {durable_through}"
        )
    if scan.damage is None:
        return scan, None, 0
    for entry in find_valid_entries(data, scan.end, scan.sequence, header.first_sequence):
        if entry.durable_through > scan.sequence:
            raise JournalCorrupt(
                path,
                scan.end,
                f"{scan.damage}, but entry {entry.sequence} proves that it was durable",
            )
    torn = data[scan.end :]
    copy = path.with_suffix(f".{scan.end}.torn")
    _keep_copy(place, copy, torn)
    descriptor = place.disk.open(path, os.O_RDWR)
    try:
        place.disk.truncate(descriptor, scan.end)
        place.disk.sync(descriptor)
    finally:
        place.disk.close(descriptor)
    return scan, copy, len(torn)


def _keep_copy(place: RecoveryPlace, copy: Path, torn: bytes) -> None:
    """Write the torn bytes aside; a full disk gives up its reserve for them."""
    try:
        _write_file(place.disk, copy, torn)
    except OSError as error:
        if error.errno != errno.ENOSPC or not place.space.give_up_reserve():
            raise
        _write_file(place.disk, copy, torn)
    place.disk.sync_directory(place.directory)


def _write_file(disk: Disk, path: Path, data: bytes) -> None:
    descriptor = disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        write_all(disk, descriptor, data)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
