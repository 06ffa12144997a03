"""The bytes on disk: segment headers and entries, little-endian and checksummed.

Segment header: `magic 8 | u32 version | u64 first sequence | u64 created_us | 32-byte hash of the
entry before the first | 64-byte instance | u32 crc32c of all before`.

Entry: `u32 length | u32 crc32c | u64 sequence | u64 durable_through | 32-byte SHA-256 of the
previous entry | u16 kind | payload`. The length is that of the whole entry; the checksum covers
everything after itself; the hash is taken over the whole entry, length and checksum included.
"""

import hashlib
import re
import struct
from typing import NamedTuple

import msgspec
from google_crc32c import extend as extend_crc
from google_crc32c import value as crc_of

from axon.base import MIB

SEGMENT_HEADER = struct.Struct("<8sIQQ32s64s")
SEGMENT_HEADER_BYTES = SEGMENT_HEADER.size + 4
ENTRY_HEADER_BYTES = 58
ENTRY_BYTES_LIMIT = 16 * MIB
"""The format's bound on one entry: a damaged length never makes us read more than this."""

INSTANCE_BYTES_MAX = 64
NO_HASH = bytes(32)
"""Stands for the hash of the entry before the very first."""

LOST_KIND = 0xFFFF
"""What `salvage` writes in the place of an entry that could not be saved; never a record."""

_MAGIC = b"AXONJRNL"
VERSION = 1
"""Of the format. Whatever changes, the segment header keeps its layout and its checksum for ever,
so that an older version can say that it is older."""

_PREFIX = struct.Struct("<II")
_BODY = struct.Struct("<QQ32sH")
_CRC = struct.Struct("<I")

_HASH_PIECE_BYTES = 2047
"""hashlib lets go of the GIL for larger pieces. The writer thread would then wait up to a whole
switch interval (5 ms) to get it back, once per entry; measured: 550 us instead of 2 us."""

_HASH_WHOLE_BYTES = MIB
"""From here on hashing takes longer than the loop should stand still, so the GIL is let go."""


class Location(msgspec.Struct, frozen=True, gc=False):
    """Where an entry is: enough to read it back with one `pread`."""

    sequence: int
    segment: int
    """First sequence of the segment, which is also its file's name."""
    offset: int
    length: int
    """Of the whole entry, in bytes."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry as it was read back."""

    sequence: int
    durable_through: int
    """The highest sequence known to be on disk when this entry was written."""
    kind: int
    payload: bytes
    location: Location


class SegmentHeader(NamedTuple):
    """What a segment file says about itself."""

    first_sequence: int
    created_us: int
    previous_hash: bytes
    instance: str


class BrokenBytes(Exception):
    """These bytes are no valid header or entry; the argument says why. Never leaves the room."""


class NewerBytes(Exception):
    """These bytes are whole, of a format that is not known. Never leaves the room."""

    def __init__(self, version: int) -> None:
        """Keep which format it is."""
        super().__init__(version)
        self.version = version


def encode_segment_header(header: SegmentHeader) -> bytes:
    """Return the SEGMENT_HEADER_BYTES that open a segment file."""
    fields = SEGMENT_HEADER.pack(
        _MAGIC,
        VERSION,
        header.first_sequence,
        header.created_us,
        header.previous_hash,
        header.instance.encode(),
    )
    return fields + _CRC.pack(crc_of(fields))


def decode_segment_header(data: bytes) -> SegmentHeader:
    """Return the header at the start of `data`; raise BrokenBytes when it is none of ours.

    Raises NewerBytes for a whole header of a version that is not known.
    """
    if len(data) < SEGMENT_HEADER_BYTES:
        raise BrokenBytes("the segment header is cut short")
    fields = data[: SEGMENT_HEADER.size]
    magic, version, first_sequence, created_us, previous_hash, instance = SEGMENT_HEADER.unpack(
        fields
    )
    if magic != _MAGIC:
        raise BrokenBytes("this is no journal segment")
    if crc_of(fields) != _CRC.unpack_from(data, SEGMENT_HEADER.size)[0]:
        raise BrokenBytes("the segment header's checksum is wrong")
    if version != VERSION:
        raise NewerBytes(version)
    try:
        name = instance.rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        raise BrokenBytes("the segment's instance is not text") from error
    return SegmentHeader(first_sequence, created_us, previous_hash, name)


def encode_entry_header(
    kind: int, payload: bytes, sequence: int, durable_through: int, previous_hash: bytes
) -> bytes:
    """Return the ENTRY_HEADER_BYTES that go before `payload`."""
    body = _BODY.pack(sequence, durable_through, previous_hash, kind)
    return _PREFIX.pack(ENTRY_HEADER_BYTES + len(payload), extend_crc(crc_of(body), payload)) + body


def entry_hash(header: bytes, payload: bytes) -> bytes:
    """Return the SHA-256 of a whole entry, keeping the GIL unless the payload is very large."""
    digest = hashlib.sha256(header)
    size = len(payload)
    if size <= _HASH_PIECE_BYTES or size >= _HASH_WHOLE_BYTES:
        digest.update(payload)
    else:
        for start in range(0, size, _HASH_PIECE_BYTES):
            digest.update(payload[start : start + _HASH_PIECE_BYTES])
    return digest.digest()


def entry_length(data: bytes, start: int) -> int:
    """Return the length the entry at `start` claims; raise BrokenBytes when none can be that long.

    Needs the four bytes of the length only.
    """
    length: int = _CRC.unpack_from(data, start)[0]
    if not ENTRY_HEADER_BYTES <= length <= ENTRY_BYTES_LIMIT:
        raise BrokenBytes(f"an entry cannot be {length} bytes long")
    return length


def decode_entry(data: bytes, start: int, segment: int, offset: int) -> tuple[Entry, bytes]:
    """Return the entry at `data[start:]`, which lies at `offset` of `segment`, and its link.

    The link is the hash of the entry before, as this entry states it. Raises BrokenBytes.
    """
    if len(data) - start < ENTRY_HEADER_BYTES:
        raise BrokenBytes("the entry is cut short")
    length = entry_length(data, start)
    end = start + length
    if end > len(data):
        raise BrokenBytes("the entry is cut short")
    if crc_of(data[start + 8 : end]) != _PREFIX.unpack_from(data, start)[1]:
        raise BrokenBytes("the entry's checksum is wrong")
    sequence, durable_through, previous_hash, kind = _BODY.unpack_from(data, start + 8)
    if kind == 0 or durable_through >= sequence:
        raise BrokenBytes("the entry contradicts itself")
    payload = data[start + ENTRY_HEADER_BYTES : end]
    location = Location(sequence, segment, offset, length)
    return Entry(sequence, durable_through, kind, payload, location), previous_hash


class SegmentScan(NamedTuple):
    """How far a segment is valid, and why it ends there."""

    end: int
    """Offset just after the last valid entry."""
    sequence: int
    last_hash: bytes
    damage: str | None
    """What is wrong at `end`; None when the file ends there, as it should."""


def scan_segment(data: bytes, header: SegmentHeader) -> SegmentScan:
    """Check every entry of a whole segment: checksum, sequence and hash chain; never raises."""
    offset = SEGMENT_HEADER_BYTES
    sequence = header.first_sequence - 1
    last_hash = header.previous_hash
    while offset < len(data):
        try:
            entry, link = decode_entry(data, offset, header.first_sequence, offset)
        except BrokenBytes as broken:
            return SegmentScan(offset, sequence, last_hash, str(broken))
        if entry.sequence != sequence + 1:
            damage = f"sequence {entry.sequence} follows {sequence}"
            return SegmentScan(offset, sequence, last_hash, damage)
        if link != last_hash:
            damage = f"entry {entry.sequence} does not continue the hash chain"
            return SegmentScan(offset, sequence, last_hash, damage)
        last_hash = entry_hash(data[offset : offset + ENTRY_HEADER_BYTES], entry.payload)
        sequence = entry.sequence
        offset += entry.location.length
    return SegmentScan(offset, sequence, last_hash, None)


def find_valid_entries(data: bytes, start: int, after: int, segment: int) -> list[Entry]:
    """Return the valid entries with sequences above `after` that begin anywhere behind `start`.

    Damage hides where the next entry begins, so every byte is a candidate; the pattern (high
    bytes of both sequences, kind not zero) leaves few of them to check.
    """
    highest = after + 1 + (len(data) - start) // ENTRY_HEADER_BYTES
    found: list[Entry] = []
    end_of_last = start
    for high in range(after >> 24, (highest >> 24) + 1):
        high_bytes = re.escape(high.to_bytes(5, "little"))
        pattern = re.compile(b"(?=.{11}" + high_bytes + b".{40}(?!\0\0)..)", re.DOTALL)
        for match in pattern.finditer(data, start):
            position = match.start()
            if position < end_of_last:
                continue
            try:
                entry, _ = decode_entry(data, position, segment, position)
            except BrokenBytes:
                continue
            if after < entry.sequence <= highest:
                found.append(entry)
                end_of_last = position + entry.location.length
    return found
