import asyncio
import os
from pathlib import Path

import pytest

from axon.journal import (
    EntryGone,
    JournalCorrupt,
    JournalMissing,
    JournalReader,
    read_cursor,
    write_cursor,
)
from axon.journal.segments import list_segments, segment_path
from tests.journal.disks import HeldDisk
from tests.journal.journals import INSTANCE, Opened, read_all, write_entries

PLENTY = 1 << 20


async def test_a_reader_follows_the_writer_over_segments_and_restarts(tmp_path: Path) -> None:
    journal = Opened().open(tmp_path)
    reader = JournalReader(tmp_path)
    assert reader.instance == INSTANCE
    seen = 0
    for life in range(3):
        for _ in range(20):
            await journal.append(1, b"%d" % life * 30)
            entries = reader.read(seen, 100, PLENTY)
            assert [entry.sequence for entry in entries] == [seen + 1]
            assert reader.durable_through() == seen + 1
            seen += 1
        assert reader.read(seen, 100, PLENTY) == []
        await journal.close()
        journal = Opened().open(tmp_path)
    assert len(list_segments(tmp_path)) > 5
    await journal.close()
    reader.close()


async def test_a_reader_never_sees_what_is_not_on_disk(tmp_path: Path) -> None:
    disk = HeldDisk()
    journal = Opened(disk=disk).open(tmp_path)
    await journal.append(1, b"durable")
    reader = JournalReader(tmp_path)
    disk.gate.clear()
    disk.asked.clear()
    waiting = journal.append(1, b"only written")
    await asyncio.to_thread(disk.asked.wait, 10)
    assert segment_path(tmp_path, 1).read_bytes().endswith(b"only written")
    assert [entry.payload for entry in reader.read(0, 100, PLENTY)] == [b"durable"]
    disk.gate.set()
    await waiting
    assert [entry.payload for entry in reader.read(1, 100, PLENTY)] == [b"only written"]
    await journal.close()
    reader.close()


async def test_a_torn_tail_that_was_read_ahead_is_not_remembered(tmp_path: Path) -> None:
    await write_entries(tmp_path, [b"one", b"two"])
    path = segment_path(tmp_path, 1)
    path.write_bytes(path.read_bytes() + b"torn by a crash, and long enough to be an entry" * 2)
    reader = JournalReader(tmp_path)
    assert len(reader.read(0, 100, PLENTY)) == 2
    await write_entries(tmp_path, [b"three"])
    assert [entry.payload for entry in reader.read(2, 100, PLENTY)] == [b"three"]
    reader.close()


async def test_a_page_is_bounded_in_entries_and_bytes(tmp_path: Path) -> None:
    await write_entries(tmp_path, [bytes(42)] * 30)  # 100 bytes each
    reader = JournalReader(tmp_path)
    assert [entry.sequence for entry in reader.read(0, 7, PLENTY)] == list(range(1, 8))
    assert [entry.sequence for entry in reader.read(7, 100, 250)] == [8, 9, 10]
    assert [entry.sequence for entry in reader.read(10, 100, 1)] == [11]
    assert [entry.sequence for entry in reader.read(2, 2, PLENTY)] == [3, 4]
    reader.close()


async def test_a_retired_place_is_said_to_be_gone(tmp_path: Path) -> None:
    await write_entries(tmp_path, [bytes(198)] * 3)
    reader = JournalReader(tmp_path)
    segment_path(tmp_path, 1).unlink()
    with pytest.raises(EntryGone):
        reader.read(0, 100, PLENTY)
    assert [entry.sequence for entry in reader.read(1, 100, PLENTY)] == [2, 3]
    reader.close()
    journal = Opened().open(tmp_path)
    location = next(journal.read(1)).location
    segment_path(tmp_path, 2).unlink()
    with pytest.raises(EntryGone):
        journal.entry_at(location)
    await journal.close()


async def test_damage_is_named_with_its_place(tmp_path: Path) -> None:
    await write_entries(tmp_path, [b"one", b"two", b"three"])
    damaged = read_all(tmp_path)[1].location
    path = segment_path(tmp_path, damaged.segment)
    data = bytearray(path.read_bytes())
    data[damaged.offset + 60] ^= 1
    path.write_bytes(data)
    reader = JournalReader(tmp_path)
    assert [entry.sequence for entry in reader.read(0, 1, PLENTY)] == [1]
    for _ in range(2):
        with pytest.raises(JournalCorrupt, match="checksum") as refused:
            reader.read(1, 100, PLENTY)
        assert (refused.value.path, refused.value.offset) == (path, damaged.offset)
    assert [entry.sequence for entry in reader.read(0, 1, PLENTY)] == [1]
    reader.close()


async def test_a_cut_journal_is_damage_for_its_reader(tmp_path: Path) -> None:
    await write_entries(tmp_path, [b"one", b"two"])
    reader = JournalReader(tmp_path)
    path = segment_path(tmp_path, 1)
    for cut in (path.stat().st_size - 1, read_all(tmp_path)[1].location.offset):
        os.truncate(path, cut)
        with pytest.raises(JournalCorrupt):
            reader.read(0, 100, PLENTY)
    reader.close()


async def test_an_entry_must_be_the_one_its_location_names(tmp_path: Path) -> None:
    journal = Opened().open(tmp_path)
    first = await journal.append(1, b"same size")
    second = await journal.append(1, b"same size")
    data = segment_path(tmp_path, 1).read_bytes()
    moved = data[: first.offset] + data[second.offset :] + data[second.offset :]
    segment_path(tmp_path, 1).write_bytes(moved)
    with pytest.raises(JournalCorrupt, match="entry 2"):
        journal.entry_at(first)
    await journal.close()


def test_no_journal_is_not_an_empty_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalMissing):
        JournalReader(tmp_path)
    (tmp_path / "durable").touch()
    with pytest.raises(JournalMissing):
        JournalReader(tmp_path)


def test_the_cursor_is_seen_by_others(tmp_path: Path) -> None:
    assert read_cursor(tmp_path) == 0
    write_cursor(tmp_path, 41)
    write_cursor(tmp_path, 1 << 40)
    assert read_cursor(tmp_path) == 1 << 40
