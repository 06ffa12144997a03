import asyncio
import dataclasses
from pathlib import Path

import pytest

from axon.journal import (
    EntryTooLarge,
    Journal,
    JournalClosed,
    JournalEnvironment,
    JournalForeign,
    JournalFull,
    JournalLocked,
    JournalOptions,
)
from tests.journal.disks import CountingDisk, HeldDisk
from tests.journal.journals import SMALL, Opened, read_all, write_entries


async def test_an_acknowledged_entry_is_read_back(tmp_path: Path) -> None:
    journal = Opened().open(tmp_path)
    location = await journal.append(7, b"hello")
    assert location.sequence == 1
    assert journal.durable_through == 1
    entry = journal.entry_at(location)
    assert (entry.kind, entry.payload, entry.location) == (7, b"hello", location)
    assert list(journal.read(0)) == [entry]
    assert list(journal.read(1)) == []
    await journal.close()


async def test_entries_keep_the_order_of_the_calls_over_many_segments(tmp_path: Path) -> None:
    journal = Opened().open(tmp_path)
    payloads = [str(n).encode() * (n % 20) for n in range(60)]
    locations = await asyncio.gather(*(journal.append(1, payload) for payload in payloads))
    assert [location.sequence for location in locations] == list(range(1, 61))
    assert len({location.segment for location in locations}) > 5
    assert [entry.payload for entry in journal.read(0)] == payloads
    for location, payload in zip(locations, payloads, strict=True):
        assert journal.entry_at(location).payload == payload
        assert location.offset + location.length <= SMALL.segment_bytes
    await journal.close()


async def test_what_waits_together_is_written_and_flushed_once(tmp_path: Path) -> None:
    disk = CountingDisk()
    journal = Opened(disk=disk).open(tmp_path, dataclasses.replace(SMALL, segment_bytes=65536))
    before = disk.writes, disk.syncs
    await asyncio.gather(*(journal.append(1, b"x") for _ in range(50)))
    assert disk.writes - before[0] <= 3
    assert disk.syncs - before[1] <= 3
    await journal.close()


async def test_nothing_is_acknowledged_before_the_flush(tmp_path: Path) -> None:
    disk = HeldDisk()
    journal = Opened(disk=disk).open(tmp_path)
    disk.gate.clear()
    disk.asked.clear()
    future = journal.append(1, b"x")
    await asyncio.to_thread(disk.asked.wait, 10)
    await asyncio.sleep(0)
    assert not future.done()
    assert journal.durable_through == 0
    assert read_all(tmp_path) == []
    disk.gate.set()
    assert (await future).sequence == 1
    assert len(read_all(tmp_path)) == 1
    await journal.close()


async def test_the_planted_bug_acknowledges_too_early(tmp_path: Path) -> None:
    disk = HeldDisk()
    options = dataclasses.replace(SMALL, acknowledge_before_fsync=True)
    journal = Opened(disk=disk).open(tmp_path, options)
    disk.gate.clear()
    await asyncio.wait_for(journal.append(1, b"x"), 10)
    assert journal.durable_through == 0
    disk.gate.set()
    await journal.close()


async def test_admission_ends_before_the_queue_is_full(tmp_path: Path) -> None:
    disk = HeldDisk()
    journal = Opened(disk=disk).open(tmp_path)
    disk.gate.clear()
    accepted = []
    for _ in range(SMALL.queue_entries_max // 2):
        journal.admit()
        accepted.append(journal.append(1, b""))
    with pytest.raises(JournalFull):
        journal.admit()
    while len(accepted) < SMALL.queue_entries_max:
        accepted.append(journal.append(1, b""))
    with pytest.raises(JournalFull):
        journal.append(1, b"")
    disk.gate.set()
    await asyncio.gather(*accepted)
    journal.admit()
    await journal.append(1, b"")
    await journal.close()


async def test_the_queue_is_bounded_in_bytes(tmp_path: Path) -> None:
    disk = HeldDisk()
    journal = Opened(disk=disk).open(tmp_path)
    disk.gate.clear()
    accepted = [journal.append(1, bytes(198)) for _ in range(SMALL.queue_bytes_max // 256)]
    with pytest.raises(JournalFull):
        journal.append(1, b"")
    with pytest.raises(JournalFull):
        journal.admit()
    disk.gate.set()
    await asyncio.gather(*accepted)
    journal.admit()
    await journal.close()


async def test_an_entry_has_a_largest_size(tmp_path: Path) -> None:
    journal = Opened().open(tmp_path)
    with pytest.raises(EntryTooLarge):
        journal.append(1, bytes(199))
    assert (await journal.append(1, bytes(198))).length == SMALL.entry_bytes_max
    await journal.close()


@pytest.mark.parametrize("kind", [0, 65536])
async def test_a_kind_outside_the_format_is_refused(tmp_path: Path, kind: int) -> None:
    journal = Opened().open(tmp_path)
    with pytest.raises(ValueError, match="kind"):
        journal.append(kind, b"")
    await journal.append(1, b"")
    await journal.close()


async def test_closing_acknowledges_what_waits_and_refuses_the_rest(tmp_path: Path) -> None:
    journal = Opened().open(tmp_path)
    waiting = [journal.append(1, b"x") for _ in range(20)]
    closing = asyncio.gather(journal.close(), journal.close())
    await asyncio.sleep(0)
    with pytest.raises(JournalClosed):
        journal.append(1, b"late")
    with pytest.raises(JournalClosed):
        journal.admit()
    await closing
    assert [future.result().sequence for future in waiting] == list(range(1, 21))


async def test_cancelling_does_not_take_an_entry_back(tmp_path: Path) -> None:
    disk = HeldDisk()
    journal = Opened(disk=disk).open(tmp_path)
    disk.gate.clear()
    first, second = journal.append(1, b"a"), journal.append(1, b"b")
    first.cancel()
    disk.gate.set()
    assert (await second).sequence == 2
    assert [entry.payload for entry in journal.read(0)] == [b"a", b"b"]
    await journal.close()


async def test_a_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    await write_entries(tmp_path, [b"one", b"two"])
    journal = Opened().open(tmp_path)
    assert journal.recovery.last_sequence == 2
    assert journal.durable_through == 2
    assert (await journal.append(1, b"three")).sequence == 3
    await journal.close()
    assert [entry.payload for entry in read_all(tmp_path)] == [b"one", b"two", b"three"]


async def test_two_writers_are_one_too_many(tmp_path: Path) -> None:
    journal = Opened().open(tmp_path)
    with pytest.raises(JournalLocked):
        Opened().open(tmp_path)
    await journal.close()
    await Opened().open(tmp_path).close()


async def test_a_journal_belongs_to_one_instance(tmp_path: Path) -> None:
    await Opened().open(tmp_path).close()
    opened = Opened()
    environment = JournalEnvironment(
        disk=opened.disk, clock=opened.clock, on_fatal=opened.fatal.append
    )
    with pytest.raises(JournalForeign):
        Journal.open(tmp_path, "node-2", SMALL, environment)
    await Opened().open(tmp_path).close()


@pytest.mark.parametrize("instance", ["", "x" * 65])
def test_an_instance_must_fit_the_segment_header(tmp_path: Path, instance: str) -> None:
    opened = Opened()
    environment = JournalEnvironment(
        disk=opened.disk, clock=opened.clock, on_fatal=opened.fatal.append
    )
    with pytest.raises(ValueError, match="instance"):
        Journal.open(tmp_path / "new", instance, SMALL, environment)


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="segment_bytes"):
        JournalOptions(segment_bytes=1024, entry_bytes_max=1024)
    with pytest.raises(ValueError, match="entry_bytes_max"):
        JournalOptions(entry_bytes_max=1 << 30)
    with pytest.raises(ValueError, match="queue_bytes_max"):
        JournalOptions(queue_bytes_max=1024)


async def test_nobody_else_can_read_what_is_written(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    journal = Opened().open(directory)
    await journal.append(1, b"x")
    await journal.close()
    assert directory.stat().st_mode & 0o077 == 0
    for path in directory.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
