import dataclasses
import errno
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from axon.base import SystemClock
from axon.journal import JournalCorrupt, SystemDisk, read_cursor, write_cursor
from axon.journal.format import ENTRY_HEADER_BYTES, SEGMENT_HEADER_BYTES, encode_entry_header
from axon.journal.marks import DURABLE_FILE, write_mark
from axon.journal.recovery import Recovery, RecoveryPlace, recover
from axon.journal.segments import list_segments, segment_path
from axon.journal.space import Space
from tests.journal.disks import UnsyncedDisk
from tests.journal.journals import INSTANCE, SMALL, read_all, write_entries

PAYLOADS = [b"first", b"second", b"third", b"fourth"]


def recover_quickly(directory: Path, disk: SystemDisk | None = None) -> Recovery:
    disk = disk or UnsyncedDisk()
    place = RecoveryPlace(
        directory=directory,
        instance=INSTANCE,
        disk=disk,
        clock=SystemClock(),
        space=Space(directory, disk, 0, 0),
    )
    return recover(place)[0]


def content(directory: Path) -> list[bytes]:
    """Return every payload in the segments, whatever the mark says."""
    segments = list_segments(directory)
    payloads: list[bytes] = []
    for first in segments:
        data = segment_path(directory, first).read_bytes()
        offset = SEGMENT_HEADER_BYTES
        while offset < len(data):
            length = int.from_bytes(data[offset : offset + 4], "little")
            payloads.append(data[offset + ENTRY_HEADER_BYTES : offset + length])
            offset += length
    return payloads


def forget_mark(directory: Path) -> None:
    """What a power loss may do to a file that is never flushed."""
    (directory / DURABLE_FILE).unlink()


def recover_damaged(
    directory: Path, damage: Callable[[], None]
) -> tuple[Recovery, list[bytes]] | None:
    """Damage the journal, recover it, put it back as it was; return what was found and what is
    left, or None when recovery refused."""
    before = {path: path.read_bytes() for path in directory.iterdir()}
    damage()
    try:
        return recover_quickly(directory), content(directory)
    except JournalCorrupt:
        return None
    finally:
        for path in directory.iterdir():
            path.unlink()
        for path, data in before.items():
            path.write_bytes(data)


@pytest.fixture
async def one_segment(tmp_path: Path) -> Path:
    await write_entries(tmp_path / "whole", PAYLOADS)
    (tmp_path / "whole" / "reserve").unlink()
    return tmp_path / "whole"


@pytest.fixture
async def two_segments(tmp_path: Path) -> Path:
    options = dataclasses.replace(SMALL, entry_bytes_max=128, segment_bytes=256)
    await write_entries(tmp_path / "whole", PAYLOADS[:3], options)
    (tmp_path / "whole" / "reserve").unlink()
    assert list_segments(tmp_path / "whole") == [1, 3]
    return tmp_path / "whole"


@pytest.mark.failure("journal-disk", "corrupt")
@pytest.mark.parametrize("mark_survives", [True, False])
def test_a_last_segment_cut_anywhere_gives_the_exact_prefix_or_a_refusal(
    one_segment: Path, mark_survives: bool
) -> None:
    path = segment_path(one_segment, 1)
    if not mark_survives:
        forget_mark(one_segment)
    refused = 0
    for cut in range(path.stat().st_size):
        outcome = recover_damaged(one_segment, partial(os.truncate, path, cut))
        if outcome is None:
            refused += 1
            continue
        recovery, left = outcome
        assert left == PAYLOADS[: recovery.last_sequence]
        assert entries_size(left) + recovery.torn_bytes == cut
    if mark_survives:
        assert refused == path.stat().st_size  # each cut takes away something acknowledged
    else:
        assert refused == SEGMENT_HEADER_BYTES  # a header is whole before it has a name


def entries_size(payloads: list[bytes]) -> int:
    entries = sum(ENTRY_HEADER_BYTES + len(payload) for payload in payloads)
    return SEGMENT_HEADER_BYTES + entries


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


@pytest.mark.failure("journal-disk", "corrupt")
@pytest.mark.parametrize("mark_survives", [True, False])
def test_no_flipped_bit_goes_undetected(two_segments: Path, mark_survives: bool) -> None:
    payloads = content(two_segments)
    if not mark_survives:
        forget_mark(two_segments)
    undetected = []
    for first in list_segments(two_segments):
        path = segment_path(two_segments, first)
        for bit in range(path.stat().st_size * 8):
            outcome = recover_damaged(two_segments, partial(flip, path, bit))
            if outcome is None:
                continue
            left = outcome[1]
            if mark_survives or left == payloads or left != payloads[: len(left)]:
                undetected.append((first, bit))
    assert undetected == []


@pytest.mark.parametrize("lost", [b"\0", b"\xff", b"fifth"])
def test_garbage_behind_the_last_entry_is_cut_off_and_kept(one_segment: Path, lost: bytes) -> None:
    path = segment_path(one_segment, 1)
    path.write_bytes(path.read_bytes() + lost * 9)
    recovery = recover_quickly(one_segment)
    assert recovery.last_sequence == 4
    assert recovery.torn_bytes == len(lost) * 9
    assert recovery.torn_copy is not None
    assert recovery.torn_copy.read_bytes() == lost * 9
    assert content(one_segment) == PAYLOADS


def unsynced_batch(directory: Path, durable_through: int) -> bytes:
    """Two entries behind the fourth, as one batch writes them, the first of them torn."""
    first = encode_entry_header(1, b"fifth", 5, 4, bytes(32)) + b"fifth"
    second = encode_entry_header(1, b"sixth", 6, durable_through, bytes(32)) + b"sixth"
    path = segment_path(directory, 1)
    path.write_bytes(path.read_bytes() + bytes(len(first)) + second)
    return second


def test_later_pages_of_a_batch_that_was_never_synced_are_a_torn_tail(one_segment: Path) -> None:
    unsynced_batch(one_segment, durable_through=4)
    recovery = recover_quickly(one_segment)
    assert recovery.last_sequence == 4
    assert recovery.torn_bytes > 0


def test_a_later_entry_that_proves_the_damaged_one_durable_is_corruption(
    one_segment: Path,
) -> None:
    unsynced_batch(one_segment, durable_through=5)
    forget_mark(one_segment)
    with pytest.raises(JournalCorrupt, match="entry 6 proves") as refused:
        recover_quickly(one_segment)
    assert refused.value.path == segment_path(one_segment, 1)
    assert refused.value.offset > SEGMENT_HEADER_BYTES


def test_the_mark_alone_proves_that_entries_are_missing(one_segment: Path) -> None:
    write_mark(one_segment / DURABLE_FILE, 5)
    with pytest.raises(JournalCorrupt, match="durable through 5"):
        recover_quickly(one_segment)


@pytest.mark.failure("journal-disk", "wiped")
def test_a_missing_last_segment_is_corruption(two_segments: Path) -> None:
    segment_path(two_segments, 3).unlink()
    with pytest.raises(JournalCorrupt, match="the segment ends here"):
        recover_quickly(two_segments)


async def test_a_missing_segment_in_the_middle_is_corruption(tmp_path: Path) -> None:
    await write_entries(tmp_path, [bytes(198)] * 5)
    assert list_segments(tmp_path) == [1, 2, 3, 4, 5]
    segment_path(tmp_path, 3).unlink()
    with pytest.raises(JournalCorrupt, match="ends with entry 2"):
        recover_quickly(tmp_path)


@pytest.mark.failure("journal-disk", "wiped")
def test_a_journal_that_vanished_is_corruption(one_segment: Path) -> None:
    segment_path(one_segment, 1).unlink()
    with pytest.raises(JournalCorrupt, match="4 entries are gone"):
        recover_quickly(one_segment)


async def test_a_segment_of_another_journal_breaks_the_chain(tmp_path: Path) -> None:
    await write_entries(tmp_path / "one", [bytes(198)] * 2)
    await write_entries(tmp_path / "other", [bytes(197) + b"x"] * 2)
    shutil.copy(segment_path(tmp_path / "other", 2), segment_path(tmp_path / "one", 2))
    with pytest.raises(JournalCorrupt, match="hash chain"):
        recover_quickly(tmp_path / "one")


def test_segments_that_postgres_has_are_not_read_again(two_segments: Path) -> None:
    write_cursor(two_segments, 2)
    assert read_cursor(two_segments) == 2
    assert recover_quickly(two_segments).entries_checked == 1
    write_cursor(two_segments, 1)
    assert recover_quickly(two_segments).entries_checked == 3


def test_the_unfinished_segment_of_a_crash_is_removed(one_segment: Path) -> None:
    unfinished = segment_path(one_segment, 5).with_suffix(".new")
    unfinished.write_bytes(b"AXON")
    assert recover_quickly(one_segment).last_sequence == 4
    assert not unfinished.exists()


async def test_an_empty_new_segment_is_a_good_end(tmp_path: Path) -> None:
    await write_entries(tmp_path, [bytes(198), bytes(67), b"next"])
    last = segment_path(tmp_path, 3)
    os.truncate(last, SEGMENT_HEADER_BYTES)
    forget_mark(tmp_path)
    assert recover_quickly(tmp_path).last_sequence == 2
    await write_entries(tmp_path, [b"again"])
    assert [entry.payload for entry in read_all(tmp_path)][2:] == [b"again"]


class FullDisk(UnsyncedDisk):
    """Has no room for the copy of a torn tail until the reserve is given up."""

    __slots__ = ()

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if (path.parent / "reserve").exists():
            raise OSError(errno.ENOSPC, "no space left")
        return super().write(descriptor, data)


def test_a_full_disk_gives_up_its_reserve_for_the_torn_copy(one_segment: Path) -> None:
    (one_segment / "reserve").write_bytes(b"")
    path = segment_path(one_segment, 1)
    path.write_bytes(path.read_bytes() + b"torn")
    recovery = recover_quickly(one_segment, FullDisk())
    assert recovery.torn_copy is not None
    assert recovery.torn_copy.read_bytes() == b"torn"
    assert not (one_segment / "reserve").exists()
