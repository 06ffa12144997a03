import os
from pathlib import Path

import pytest

from axon.base import SystemClock
from axon.journal import (
    LOST_KIND,
    Finding,
    JournalCorrupt,
    JournalLocked,
    JournalMissing,
    SystemDisk,
    inspect,
    salvage,
    verify,
    write_cursor,
)
from axon.journal.format import SEGMENT_HEADER_BYTES
from axon.journal.segments import list_segments, segment_path
from tests.journal.disks import UnsyncedDisk
from tests.journal.journals import INSTANCE, SMALL, Opened, read_all, write_entries


def quiet(done: int, total: int) -> None:
    assert done <= total


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def folders(directory: Path, prefix: str) -> list[Path]:
    return list(directory.glob(f"{prefix}*"))


async def test_a_summary_comes_from_headers_and_marks(tmp_path: Path) -> None:
    await write_entries(tmp_path, [bytes(198)] * 3)
    write_cursor(tmp_path, 2)
    summary = inspect(tmp_path)
    assert (summary.instance, summary.durable_through, summary.projected_through) == (
        INSTANCE,
        3,
        2,
    )
    assert [segment.first_sequence for segment in summary.segments] == [1, 2, 3]
    assert summary.segments[0].bytes == segment_path(tmp_path, 1).stat().st_size
    assert summary.torn_copies == ()


def test_nothing_is_not_a_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalMissing):
        inspect(tmp_path)
    with pytest.raises(JournalMissing):
        salvage(tmp_path, SMALL.segment_bytes, SystemDisk(), SystemClock())


async def test_a_whole_journal_has_no_findings_while_it_is_written(tmp_path: Path) -> None:
    journal = Opened().open(tmp_path)
    for _ in range(8):
        await journal.append(1, bytes(100))
    path = segment_path(tmp_path, list_segments(tmp_path)[-1])
    path.write_bytes(path.read_bytes() + b"being written")
    progress: list[tuple[int, int]] = []
    assert verify(tmp_path, lambda done, total: progress.append((done, total))) == []
    total = len(list_segments(tmp_path))
    assert progress == [(done, total) for done in range(1, total + 1)]
    await journal.close()


async def test_every_damage_is_found(tmp_path: Path) -> None:
    await write_entries(tmp_path, [bytes(198)] * 5)
    flip(segment_path(tmp_path, 2), 150)
    flip(segment_path(tmp_path, 4), 3)
    os.truncate(segment_path(tmp_path, 5), 130)
    assert [finding.path for finding in verify(tmp_path, quiet)] == [
        segment_path(tmp_path, 2),
        segment_path(tmp_path, 4),
        segment_path(tmp_path, 5),
    ]
    assert verify(tmp_path, quiet)[0] == Finding(
        path=segment_path(tmp_path, 2),
        offset=SEGMENT_HEADER_BYTES,
        finding="the entry's checksum is wrong",
    )


async def test_a_journal_cut_between_two_entries_is_found(tmp_path: Path) -> None:
    await write_entries(tmp_path, [b"one", b"two"])
    os.truncate(segment_path(tmp_path, 1), read_all(tmp_path)[1].location.offset)
    assert [finding.finding for finding in verify(tmp_path, quiet)] == [
        "entries were durable through 2"
    ]


async def test_salvage_keeps_what_is_whole_in_its_place(tmp_path: Path) -> None:
    payloads = [b"entry %d" % number for number in range(1, 21)]
    await write_entries(tmp_path, payloads)
    entries = read_all(tmp_path)
    lost = [3, 4, 12, 20]
    for sequence in lost:
        location = entries[sequence - 1].location
        flip(segment_path(tmp_path, location.segment), location.offset + location.length - 1)
    with pytest.raises(JournalCorrupt):
        Opened().open(tmp_path)
    found = salvage(tmp_path, SMALL.segment_bytes, SystemDisk(), SystemClock())
    assert (list(found.lost), found.last_sequence) == (lost, 20)
    assert verify(tmp_path, quiet) == []
    journal = Opened().open(tmp_path)
    kept = list(journal.read(0))
    assert [entry.sequence for entry in kept] == list(range(1, 21))
    assert [entry.sequence for entry in kept if entry.kind == LOST_KIND] == lost
    assert {entry.payload for entry in kept if entry.kind != LOST_KIND} == {
        payload for number, payload in enumerate(payloads, 1) if number not in lost
    }
    assert (await journal.append(1, b"goes on")).sequence == 21
    await journal.close()
    assert [len(list_segments(folder)) for folder in folders(tmp_path, "damaged-")] == [4]


async def test_salvage_survives_a_damaged_header_and_a_missing_end(tmp_path: Path) -> None:
    await write_entries(tmp_path, [bytes(198)] * 4)
    flip(segment_path(tmp_path, 1), 0)
    segment_path(tmp_path, 4).unlink()
    found = salvage(tmp_path, SMALL.segment_bytes, SystemDisk(), SystemClock())
    assert (found.lost, found.last_sequence) == ((4,), 4)
    await Opened().open(tmp_path).close()


async def test_salvage_waits_for_nobody(tmp_path: Path) -> None:
    journal = Opened().open(tmp_path)
    with pytest.raises(JournalLocked):
        salvage(tmp_path, SMALL.segment_bytes, SystemDisk(), SystemClock())
    await journal.close()


class InterruptedDisk(UnsyncedDisk):
    """Dies at its n-th change of a name."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def rename(self, source: Path, target: Path) -> None:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        super().rename(source, target)


@pytest.mark.parametrize("renames", range(9))
async def test_an_interrupted_salvage_can_be_repeated(tmp_path: Path, renames: int) -> None:
    await write_entries(tmp_path, [bytes([number]) * 198 for number in range(3)])
    flip(segment_path(tmp_path, 2), 150)
    with pytest.raises(KeyboardInterrupt):
        salvage(tmp_path, SMALL.segment_bytes, InterruptedDisk(renames), SystemClock())
    with pytest.raises(JournalCorrupt):
        Opened().open(tmp_path)
    found = salvage(tmp_path, SMALL.segment_bytes, SystemDisk(), SystemClock())
    assert (found.lost, found.last_sequence) == ((2,), 3)
    assert [entry.kind for entry in read_all(tmp_path)] == [1, LOST_KIND, 1]
    assert folders(tmp_path, "salvage-") == []
