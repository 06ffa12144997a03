"""Following a journal's hash chain: what signed checkpoints stand on, and what checks them."""

import hashlib
import mmap
import os
import struct
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from axon.journal.errors import EntryGone, JournalCorrupt, JournalNewer
from axon.journal.format import (
    ENTRY_BYTES_LIMIT,
    ENTRY_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    BrokenBytes,
    SegmentHeader,
    decode_entry,
)
from axon.journal.inspection import Finding
from axon.journal.marks import DURABLE_FILE, read_mark
from axon.journal.segments import list_segments, read_segment_header, segment_path

READ_BYTES = 2 * ENTRY_BYTES_LIMIT
"""Read at a time by who follows a journal: it always holds a whole entry."""

_LINK = struct.Struct("<IIQQ32s")
"""How an entry begins: length, checksum, sequence, durable_through, hash of the one before."""

_CUT_SHORT = "the entry is cut short"


class ChainPoint(NamedTuple):
    """A place in a chain, and the hash of the entry that ends there."""

    sequence: int
    hash: bytes
    segment: int
    """First sequence of the segment that holds the entry."""
    offset: int
    """Just behind it."""
    segment_us: int
    """When that segment was begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """What became of following a whole journal."""

    entries: int
    through: int
    """The last entry that continues the chain."""
    findings: tuple[Finding, ...]
    """The first divergence; none when the journal is what it was."""


class _Links(NamedTuple):
    """How far a stretch of bytes continues a chain."""

    offset: int
    sequence: int
    hash: bytes
    damage: str
    """Why it ends there; empty when nothing is wrong."""
    last: int = 0
    """Where the last entry begins; 0 for none."""


def _follow(
    data: memoryview,
    start: _Links,
    through: int,
    found: Callable[[_Links], None],
    at: Container[int],
) -> _Links:
    """Follow the entries that are whole in `data`, up to a sequence; tell of those that are `at`.

    Only links and hashes are looked at: whatever was changed in an entry changes its hash.
    """
    offset, sequence, link, _, last = start
    unpack, sha256, size = _LINK.unpack_from, hashlib.sha256, len(data)
    while sequence < through and size - offset >= ENTRY_HEADER_BYTES:
        length, _, number, _, previous = unpack(data, offset)
        if number != sequence + 1:
            return _Links(offset, sequence, link, f"sequence {number} follows {sequence}")
        if previous != link:
            damage = f"entry {number} does not continue the hash chain"
            return _Links(offset, sequence, link, damage)
        if not ENTRY_HEADER_BYTES <= length <= ENTRY_BYTES_LIMIT:
            damage = f"an entry cannot be {length} bytes long"
            return _Links(offset, sequence, link, damage)
        if length > size - offset:
            break
        end = offset + length
        link = sha256(data[offset:end]).digest()
        last, sequence, offset = offset, number, end
        if sequence in at:
            found(_Links(offset, sequence, link, "", last))
    return _Links(offset, sequence, link, "", last)


class _Every:
    """The sequences at which a point is wanted: multiples, without listing them."""

    def __init__(self, step: int) -> None:
        self._step = step

    def __contains__(self, sequence: object) -> bool:
        return isinstance(sequence, int) and sequence % self._step == 0


class ChainWalk:
    """Follows the chain of one journal while it grows, never beyond what is durable; blocks."""

    def __init__(self, directory: Path, place: ChainPoint | None = None) -> None:
        """Begin behind `place`, or where the journal begins when that is gone or there is none.

        Raises JournalMissing, JournalCorrupt or JournalNewer.
        """
        self._directory = directory
        segments = list_segments(directory)
        if place is None or place.segment not in segments:
            place = _beginning(directory, segments[0]) if segments else None
        self._place = place

    @property
    def place(self) -> ChainPoint | None:
        """Return how far it has come; None for a journal that is not there yet."""
        return self._place

    def advance(self, every: int) -> list[ChainPoint]:
        """Follow what became durable; return a point each `every` entries, and the last one.

        At most READ_BYTES are read, so there may be more. Raises JournalCorrupt where the chain is
        broken, EntryGone when the segment was retired, and OSError.
        """
        place = self._place
        if place is None:
            return []
        durable = read_mark(self._directory / DURABLE_FILE)
        if place.sequence >= durable:
            return []
        path = segment_path(self._directory, place.segment)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise EntryGone(f"sequence {place.sequence + 1}") from error
        try:
            data = os.pread(descriptor, READ_BYTES, place.offset)
        finally:
            os.close(descriptor)
        points: list[ChainPoint] = []

        def point(links: _Links) -> ChainPoint:
            offset = place.offset + links.offset
            return ChainPoint(links.sequence, links.hash, place.segment, offset, place.segment_us)

        start = _Links(0, place.sequence, place.hash, "")

        def note(links: _Links) -> None:
            points.append(point(links))

        end = _follow(memoryview(data), start, durable, note, _Every(every))
        if end.damage:
            raise JournalCorrupt(path, place.offset + end.offset, end.damage)
        if end.sequence == place.sequence:
            self._place = self._next_segment(place, path)
            return []
        self._place = point(end)
        if not points or points[-1].sequence != end.sequence:
            points.append(self._place)
        return points

    def _next_segment(self, place: ChainPoint, path: Path) -> ChainPoint:
        """Return the beginning of the segment behind one that is at its end."""
        following = place.sequence + 1
        if not segment_path(self._directory, following).exists():
            raise JournalCorrupt(path, place.offset, f"entry {following} should be here")
        beginning = _beginning(self._directory, following)
        if beginning.hash != place.hash:
            later = segment_path(self._directory, following)
            raise JournalCorrupt(later, 0, "the segment does not continue the hash chain")
        return beginning


def _beginning(directory: Path, first: int) -> ChainPoint:
    header = read_segment_header(directory, first)
    previous = header.previous_hash
    return ChainPoint(first - 1, previous, first, SEGMENT_HEADER_BYTES, header.created_us)


def verify_chain(
    directory: Path, signed: Mapping[int, bytes], progress: Callable[[int, int], None]
) -> ChainReport:
    """Follow every entry of a journal and compare the hashes that were `signed`; blocks for long.

    An entry that is being written, behind the last one that is durable or signed, is no finding.
    `progress(done, total)` is told of bytes. Raises OSError.
    """
    segments = list_segments(directory)
    sizes = {first: segment_path(directory, first).stat().st_size for first in segments}
    judged = max(read_mark(directory / DURABLE_FILE), *signed, 0)
    total, done = sum(sizes.values()), 0
    links = _Links(0, 0, b"", "")
    first = segments[0] if segments else 1
    try:
        for number in segments:
            header = read_segment_header(directory, number)
            links = _segment(directory, header, links if number != first else None, signed)
            is_last = number == segments[-1]
            being_written = is_last and links.damage == _CUT_SHORT and links.sequence >= judged
            if links.damage and not being_written:
                raise JournalCorrupt(segment_path(directory, number), links.offset, links.damage)
            done += sizes[number]
            progress(done, total)
        if links.sequence < judged:
            path = segment_path(directory, segments[-1]) if segments else directory
            ends = f"it ends with entry {links.sequence}, and there was entry {judged}"
            raise JournalCorrupt(path, links.offset, ends)
    except (JournalCorrupt, JournalNewer) as error:
        where = error if isinstance(error, JournalCorrupt) else None
        finding = Finding(
            path=where.path if where else directory,
            offset=where.offset if where else 0,
            finding=where.finding if where else str(error),
        )
        entries = max(0, links.sequence - first + 1)
        return ChainReport(entries=entries, through=links.sequence, findings=(finding,))
    return ChainReport(
        entries=links.sequence - first + 1 if segments else 0, through=links.sequence, findings=()
    )


def _segment(
    directory: Path, header: SegmentHeader, before: _Links | None, signed: Mapping[int, bytes]
) -> _Links:
    """Follow one segment; raises JournalCorrupt where it is not what was signed."""
    path = segment_path(directory, header.first_sequence)
    if before is not None:
        if header.first_sequence != before.sequence + 1:
            raise JournalCorrupt(path, 0, f"the segment before ends with entry {before.sequence}")
        if header.previous_hash != before.hash:
            raise JournalCorrupt(path, 0, "the segment does not continue the hash chain")
    start = header.first_sequence - 1
    if signed.get(start, header.previous_hash) != header.previous_hash:
        raise JournalCorrupt(path, 0, f"entry {start} is not the one that was signed")

    def compare(links: _Links) -> None:
        if signed[links.sequence] != links.hash:
            found = f"entry {links.sequence} is not the one that was signed"
            raise JournalCorrupt(path, links.offset, found)

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        data = memoryview(mapped)
        try:
            begin = _Links(SEGMENT_HEADER_BYTES, start, header.previous_hash, "")
            links = _follow(data, begin, 2**63, compare, signed)
            if not links.damage and links.offset < len(data):
                return links._replace(damage=_CUT_SHORT)
            if links.last and links.sequence not in signed:
                damage = _damage_of_last(data, links, header.first_sequence)
                return links._replace(damage=damage, sequence=links.sequence - bool(damage))
            return links
        finally:
            data.release()


def _damage_of_last(data: memoryview, links: _Links, segment: int) -> str:
    """Return what is wrong with the last entry, whose hash no other has: its checksum says so."""
    try:
        decode_entry(bytes(data[links.last : links.offset]), 0, segment, links.last)
    except BrokenBytes as broken:
        return str(broken)
    return ""
