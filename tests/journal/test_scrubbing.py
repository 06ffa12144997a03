import os
from pathlib import Path

import pytest

from axon.journal import EntryGone, JournalCorrupt, closed_segments, scrub
from axon.journal.format import SEGMENT_HEADER_BYTES
from axon.journal.scrubbing import PIECE_BYTES
from tests.journal.journals import SMALL, write_entries

PAYLOADS = [bytes([number]) * 60 for number in range(12)]


async def closed(directory: Path) -> Path:
    """Return a closed segment in the middle of a small journal."""
    await write_entries(directory, PAYLOADS)
    segments = list(closed_segments(directory))
    assert len(segments) >= 3
    return segments[1]


async def test_a_whole_segment_is_read_whole(tmp_path: Path) -> None:
    path = await closed(tmp_path)
    assert sum(scrub(path)) == path.stat().st_size - SEGMENT_HEADER_BYTES


async def test_the_segment_being_written_is_left_alone(tmp_path: Path) -> None:
    await write_entries(tmp_path, PAYLOADS)
    segments = sorted(tmp_path.glob("*.segment"))
    lasts = closed_segments(tmp_path)
    assert list(lasts) == segments[:-1]
    assert [last + 1 for last in lasts.values()] == [int(path.stem) for path in segments[1:]]


async def test_every_flipped_bit_is_found_and_its_place_named(tmp_path: Path) -> None:
    """Also in a length, in the header, and in the last entry, which the next segment proves."""
    path = await closed(tmp_path)
    whole = path.read_bytes()
    for offset in range(len(whole)):
        damaged = bytearray(whole)
        damaged[offset] ^= 1 << offset % 8
        path.write_bytes(damaged)
        with pytest.raises(JournalCorrupt) as caught:
            list(scrub(path))
        assert caught.value.path.name in {path.name, *(one.name for one in tmp_path.iterdir())}
        assert caught.value.offset <= offset
    path.write_bytes(whole)
    list(scrub(path))


async def test_a_segment_that_ends_early_is_found(tmp_path: Path) -> None:
    path = await closed(tmp_path)
    whole = path.read_bytes()
    for end in range(len(whole)):
        os.truncate(path, end)
        with pytest.raises(JournalCorrupt):
            list(scrub(path))
        path.write_bytes(whole)


async def test_an_entry_longer_than_a_piece_is_checked(tmp_path: Path) -> None:
    large = type(SMALL)(segment_bytes=1 << 20, entry_bytes_max=(1 << 20) - 200, reserve_bytes=0)
    await write_entries(tmp_path, [bytes(3 * PIECE_BYTES)] * 3, large)
    path, *_ = closed_segments(tmp_path)
    pieces = list(scrub(path))
    assert len(pieces) > 3
    assert max(pieces) == PIECE_BYTES
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalCorrupt, match="checksum"):
        list(scrub(path))


async def test_a_retired_segment_is_no_damage(tmp_path: Path) -> None:
    path = await closed(tmp_path)
    path.unlink()
    with pytest.raises(EntryGone):
        list(scrub(path))
