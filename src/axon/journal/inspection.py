"""Looking at a journal without opening it: what is there, and whether it is whole."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from axon.journal.errors import JournalCorrupt, JournalMissing
from axon.journal.format import SegmentScan, scan_segment
from axon.journal.marks import DURABLE_FILE, read_cursor, read_mark
from axon.journal.segments import (
    list_segments,
    read_segment_header,
    require_continuation,
    segment_path,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSummary:
    """One segment file."""

    first_sequence: int
    created_us: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSummary:
    """What a journal holds, by its headers and marks; no entry was read for it."""

    instance: str
    durable_through: int
    projected_through: int
    segments: tuple[SegmentSummary, ...]
    """Oldest first."""
    torn_copies: tuple[Path, ...]
    """What recoveries cut off and kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place where a journal is not what it should be."""

    path: Path
    offset: int
    finding: str


def inspect(directory: Path) -> JournalSummary:
    """Return what the journal holds; it may be in use. Blocks for a read per segment.

    Raises JournalMissing, JournalCorrupt (a header is damaged), or OSError.
    """
    headers = [read_segment_header(directory, first) for first in list_segments(directory)]
    if not headers:
        raise JournalMissing(str(directory))
    return JournalSummary(
        instance=headers[0].instance,
        durable_through=read_mark(directory / DURABLE_FILE),
        projected_through=read_cursor(directory),
        segments=tuple(
            SegmentSummary(
                first_sequence=header.first_sequence,
                created_us=header.created_us,
                bytes=segment_path(directory, header.first_sequence).stat().st_size,
            )
            for header in headers
        ),
        torn_copies=tuple(sorted(directory.glob("*.torn"))),
    )


def verify(directory: Path, progress: Callable[[int, int], None]) -> list[Finding]:
    """Read everything and return all damage, none when the journal is whole; blocks for long.

    The journal may be in use: what is not known to be durable is not judged.
    `progress(done, total)` is called after each segment. Raises OSError.
    """
    durable_through = read_mark(directory / DURABLE_FILE)
    segments = list_segments(directory)
    findings: list[Finding] = []
    previous: SegmentScan | None = None
    for done, first in enumerate(segments, start=1):
        is_last = done == len(segments)
        path = segment_path(directory, first)
        try:
            scan = _verify_segment(directory, first, previous)
            if scan.damage is not None and not (is_last and scan.sequence >= durable_through):
                raise JournalCorrupt(path, scan.end, scan.damage)
            if is_last and scan.sequence < durable_through:
                finding = f"entries were durable through {durable_through}"
                raise JournalCorrupt(path, scan.end, finding)
            previous = scan
        except JournalCorrupt as damage:
            findings.append(Finding(path=damage.path, offset=damage.offset, finding=damage.finding))
            previous = None
        progress(done, len(segments))
    return findings


def _verify_segment(directory: Path, first: int, previous: SegmentScan | None) -> SegmentScan:
    header = read_segment_header(directory, first)
    require_continuation(directory, header, previous)
    return scan_segment(segment_path(directory, first).read_bytes(), header)
