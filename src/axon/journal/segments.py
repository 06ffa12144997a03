"""Segment files: their names, their headers and how one is made."""

import os
from contextlib import suppress
from pathlib import Path

from axon.journal.disk import Disk
from axon.journal.errors import JournalCorrupt, JournalNewer
from axon.journal.format import (
    SEGMENT_HEADER_BYTES,
    VERSION,
    BrokenBytes,
    NewerBytes,
    SegmentHeader,
    SegmentScan,
    decode_segment_header,
    encode_segment_header,
)

_SUFFIX = ".segment"
_UNFINISHED_SUFFIX = ".new"

SALVAGE_PREFIX = "salvage-"
"""Begins the names of the folders a salvage works in; they are gone when it is done."""


def segment_path(directory: Path, first_sequence: int) -> Path:
    """Return where the segment that begins with this sequence lies; names sort by sequence."""
    return directory / f"{first_sequence:020d}{_SUFFIX}"


def list_segments(directory: Path) -> list[int]:
    """Return the first sequences of all segments, in order; blocks."""
    return sorted(int(path.stem) for path in directory.glob(f"*{_SUFFIX}"))


def remove_unfinished(directory: Path, disk: Disk) -> None:
    """Delete segments whose making a crash cut short; nothing was ever written behind them."""
    for path in directory.glob(f"*{_UNFINISHED_SUFFIX}"):
        disk.unlink(path)


def create_segment(directory: Path, header: SegmentHeader, disk: Disk) -> int:
    """Make a segment that a power loss leaves whole or absent; return its open descriptor.

    Blocks for two flushes: the header before the file gets its name, the name after.
    """
    path = segment_path(directory, header.first_sequence)
    unfinished = path.with_suffix(_UNFINISHED_SUFFIX)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC
    descriptor = disk.open(unfinished, flags)
    try:
        write_all(disk, descriptor, encode_segment_header(header))
        disk.sync(descriptor)
        disk.rename(unfinished, path)
        disk.sync_directory(directory)
    except OSError:
        disk.close(descriptor)
        raise
    return descriptor


def write_all(disk: Disk, descriptor: int, data: bytes) -> None:
    """Write every byte, in as many writes as the disk takes; blocks."""
    written = disk.write(descriptor, data)
    while written < len(data):
        written += disk.write(descriptor, memoryview(data)[written:])


def read_segment_header(directory: Path, first_sequence: int) -> SegmentHeader:
    """Return a segment's header; raise JournalCorrupt when it is not what its name says.

    Raises JournalNewer when a newer version of Axon wrote it.
    """
    path = segment_path(directory, first_sequence)
    with path.open("rb") as file:
        data = file.read(SEGMENT_HEADER_BYTES)
    try:
        header = decode_segment_header(data)
    except BrokenBytes as broken:
        raise JournalCorrupt(path, 0, str(broken)) from broken
    except NewerBytes as newer:
        raise JournalNewer(path, newer.version, VERSION) from newer
    if header.first_sequence != first_sequence:
        raise JournalCorrupt(path, 0, f"the header says it begins with {header.first_sequence}")
    return header


def refuse_newer(directory: Path) -> None:
    """Return when this version can read the format of every segment; raises JournalNewer.

    Reads headers and changes nothing. Damaged ones are left for others to find.
    """
    for first in list_segments(directory):
        with suppress(JournalCorrupt):
            read_segment_header(directory, first)


def require_continuation(
    directory: Path, header: SegmentHeader, previous: SegmentScan | None
) -> None:
    """Raise JournalCorrupt unless the segment goes on where `previous`, if known, ended."""
    if previous is None:
        return
    path = segment_path(directory, header.first_sequence)
    if header.first_sequence != previous.sequence + 1:
        raise JournalCorrupt(path, 0, f"the segment before ends with entry {previous.sequence}")
    if header.previous_hash != previous.last_hash:
        raise JournalCorrupt(path, 0, "the segment does not continue the hash chain")
