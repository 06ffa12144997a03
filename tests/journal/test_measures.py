"""What a scrape says of the journal."""

import asyncio
from pathlib import Path

import pytest

from axon.journal import JournalFailed
from axon.telemetry import render_metrics
from tests.journal.disks import FailingDisk
from tests.journal.journals import Opened


def measured(name: str) -> float:
    lines = render_metrics().decode().splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return float(value)


async def test_a_batch_is_counted_once_with_all_its_entries(tmp_path: Path) -> None:
    names = ("axon_journal_appends_total", "axon_journal_batch_entries_sum")
    counts = ("axon_journal_batch_entries_count", "axon_journal_fsync_seconds_count")
    before = {name: measured(name) for name in (*names, *counts)}
    journal = Opened().open(tmp_path)
    await asyncio.gather(*(journal.append(1, b"entry") for _ in range(5)))
    await journal.close()
    for name in names:
        assert measured(name) - before[name] == 5, name
    for name in counts:
        assert measured(name) - before[name] == 1, name


async def test_a_disk_that_refuses_is_shown(tmp_path: Path) -> None:
    disk = FailingDisk()
    journal = Opened(disk=disk).open(tmp_path)
    disk.fail_sync = True
    with pytest.raises(JournalFailed):
        await journal.append(1, b"lost")
    assert measured("axon_journal_failed") == 1
    await journal.close()
