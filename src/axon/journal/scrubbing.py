"""Reading closed segments again: a disk may lose what it once had, and nobody else would look."""

import os
from collections.abc import Generator, Iterator
from itertools import pairwise
from pathlib import Path

from axon.base import KIB
from axon.journal.errors import EntryGone, JournalCorrupt
from axon.journal.format import (
    ENTRY_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    BrokenBytes,
    SegmentHeader,
    SegmentScan,
    decode_entry,
    entry_hash,
    entry_length,
)
from axon.journal.segments import (
    list_segments,
    read_segment_header,
    require_continuation,
    segment_path,
)

PIECE_BYTES = 256 * KIB
"""Read at a time, and so much more as the longest entry: all that is in memory of a segment."""


def closed_segments(directory: Path) -> dict[Path, int]:
    """Return the segments nobody writes any more, oldest first, and the last entry of each.

    Blocks for a moment.
    """
    segments = list_segments(directory)
    return {
        segment_path(directory, first): following - 1 for first, following in pairwise(segments)
    }


def scrub(path: Path) -> Iterator[int]:
    """Check a closed segment as it is on the disk, and yield how many bytes each piece had.

    Every checksum, every sequence and the hash chain into the next segment. Each step blocks for
    one read; who wants the disk for others waits between them. Raises JournalCorrupt, JournalNewer,
    EntryGone when the segment was retired, and OSError, which speaks of damage too.
    """
    directory, first = path.parent, int(path.stem)
    try:
        header = read_segment_header(directory, first)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise EntryGone(f"sequence {first}") from error
    try:
        # The page cache would show what was once written, not what the disk still has.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        end = yield from _check_entries(path, descriptor, header)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    later = [one for one in list_segments(directory) if one > first]
    if later:
        require_continuation(directory, read_segment_header(directory, later[0]), end)


def _check_entries(
    path: Path, descriptor: int, header: SegmentHeader
) -> Generator[int, None, SegmentScan]:
    """Yield the bytes of each piece, and return where the entries end."""
    scan = SegmentScan(SEGMENT_HEADER_BYTES, header.first_sequence - 1, header.previous_hash, None)
    data = b""
    while True:
        piece = os.pread(descriptor, PIECE_BYTES, scan.end + len(data))
        yield len(piece)
        data += piece
        before = scan.end
        scan = scan_whole(data, scan, header.first_sequence)
        data = data[scan.end - before :]
        if scan.damage is not None:
            raise JournalCorrupt(path, scan.end, scan.damage)
        if not piece:
            if data:
                raise JournalCorrupt(path, scan.end, "the entry is cut short")
            return scan


def scan_whole(data: bytes, scan: SegmentScan, segment: int) -> SegmentScan:
    """Check the entries that are whole in `data`, which go on where `scan` ended; never raises."""
    offset, sequence, last_hash, _ = scan
    while True:
        start = offset - scan.end
        try:
            if len(data) - start < ENTRY_HEADER_BYTES:
                return SegmentScan(offset, sequence, last_hash, None)
            if entry_length(data, start) > len(data) - start:
                return SegmentScan(offset, sequence, last_hash, None)
            entry, link = decode_entry(data, start, segment, offset)
        except BrokenBytes as broken:
            return SegmentScan(offset, sequence, last_hash, str(broken))
        damage = _broken_chain(entry.sequence, link, sequence, last_hash)
        if damage:
            return SegmentScan(offset, sequence, last_hash, damage)
        last_hash = entry_hash(data[start : start + ENTRY_HEADER_BYTES], entry.payload)
        sequence = entry.sequence
        offset += entry.location.length


def _broken_chain(found: int, link: bytes, sequence: int, last_hash: bytes) -> str:
    if found != sequence + 1:
        return f"sequence {found} follows {sequence}"
    if link != last_hash:
        return f"entry {found} does not continue the hash chain"
    return ""
