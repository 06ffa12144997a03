import asyncio
import dataclasses
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from axon.journal import JournalClosed, JournalFailed, Location
from tests.journal.disks import FailingDisk, HeldDisk
from tests.journal.journals import SMALL, Opened, read_all, write_entries

APPENDER = Path(__file__).with_name("appender.py")


@pytest.mark.failure("journal-disk", "refusing")
@pytest.mark.parametrize("fault", ["fail_sync", "fail_write"])
async def test_after_a_failure_nothing_is_acknowledged_or_tried_again(
    tmp_path: Path, fault: str
) -> None:
    disk = FailingDisk()
    opened = Opened(disk=disk)
    journal = opened.open(tmp_path)
    await journal.append(1, b"good")
    setattr(disk, fault, True)
    syncs = disk.syncs
    lost = [journal.append(1, b"bad") for _ in range(5)]
    outcomes = await asyncio.gather(*lost, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [JournalFailed] * 5
    setattr(disk, fault, False)
    with pytest.raises(JournalFailed):
        journal.append(1, b"later")
    with pytest.raises(JournalFailed):
        journal.admit()
    assert journal.durable_through == 1
    await journal.close()
    assert [type(error) for error in opened.fatal] == [OSError]
    assert disk.syncs == syncs + (fault == "fail_sync")
    with pytest.raises(JournalClosed):
        journal.admit()
    assert [entry.payload for entry in read_all(tmp_path)] == [b"good"]


@pytest.mark.failure("journal-disk", "refusing")
async def test_the_next_process_serves_the_valid_prefix(tmp_path: Path) -> None:
    disk = FailingDisk()
    journal = Opened(disk=disk).open(tmp_path)
    await journal.append(1, b"good")
    disk.fail_write = True
    with pytest.raises(JournalFailed):
        await journal.append(1, b"half written")
    await journal.close()
    journal = Opened().open(tmp_path)
    assert journal.recovery.last_sequence == 1
    assert journal.recovery.torn_bytes > 0
    assert (await journal.append(1, b"new")).sequence == 2
    await journal.close()
    assert [entry.payload for entry in read_all(tmp_path)] == [b"good", b"new"]


@pytest.mark.parametrize("fault", ["fail_sync", "fail_rename"])
async def test_a_failed_rotation_fails_everything_that_waits(tmp_path: Path, fault: str) -> None:
    disk = FailingDisk()
    opened = Opened(disk=disk)
    journal = opened.open(tmp_path)
    await journal.append(1, bytes(198))
    setattr(disk, fault, True)
    outcomes = await asyncio.gather(
        *(journal.append(1, bytes(150)) for _ in range(5)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {JournalFailed}
    await journal.close()
    assert len(opened.fatal) == 1
    assert disk.opened == set()
    assert (await reopened_end(tmp_path)) >= 1


async def reopened_end(directory: Path) -> int:
    journal = Opened().open(directory)
    await journal.close()
    return journal.recovery.last_sequence


async def test_what_arrives_after_the_failure_was_seen_by_nobody_fails_too(tmp_path: Path) -> None:
    disk = HeldDisk()
    opened = Opened(disk=disk)
    journal = opened.open(tmp_path)
    disk.gate.clear()
    disk.asked.clear()
    first = journal.append(1, b"in hand")
    await asyncio.to_thread(disk.asked.wait, 10)
    second = journal.append(1, b"behind it")
    disk.broken = True
    disk.gate.set()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [JournalFailed] * 2
    await journal.close()


def run_appender(directory: Path, count: int, *prefix: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])}
    command = [*prefix, sys.executable, str(APPENDER), str(directory), str(count)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.failure("journal-disk", "refusing")
def test_a_real_eio_ends_the_process_and_acknowledges_nothing_false(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: EIO cannot be injected into a real fdatasync")
    directory = tmp_path / "journal"
    inject = ["-f", "-qq", "-o", str(tmp_path / "trace"), "-e", "trace=fdatasync"]
    inject += ["-e", "inject=fdatasync:error=EIO:when=4..5"]
    broken = run_appender(directory, 10, strace, *inject)
    if "PTRACE" in broken.stderr:
        pytest.skip(f"strace may not trace here: {broken.stderr.splitlines()[0]}")
    acknowledged = [int(line) for line in broken.stdout.split()]
    assert broken.returncode == 70, broken.stderr
    assert 0 < len(acknowledged) < 10
    assert (tmp_path / "trace").read_text().count("INJECTED") == 1  # nobody asked again
    served = run_appender(directory, 3)
    assert served.returncode == 0, served.stderr
    found = {entry.sequence: entry.payload for entry in read_all(directory)}
    for sequence in acknowledged:
        assert found[sequence] == b"%d" % sequence
    assert set(found) >= {int(line) for line in served.stdout.split()}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one mebibyte."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mounted)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no tmpfs may be mounted here, so no disk can be filled: {error}")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True, timeout=10)


@pytest.mark.failure("journal-disk", "full")
async def test_a_disk_that_really_fills_loses_nothing(small_disk: Path) -> None:
    opened = Opened()
    options = dataclasses.replace(SMALL, segment_bytes=65_536)
    journal = opened.open(small_disk / "journal", options)
    acknowledged = 0
    while True:
        outcomes = await asyncio.gather(
            *(journal.append(1, bytes(198)) for _ in range(10)), return_exceptions=True
        )
        acknowledged += sum(isinstance(outcome, Location) for outcome in outcomes)
        if acknowledged > 10_000:
            pytest.fail("the disk never filled")
        if isinstance(outcomes[0], JournalFailed):
            break
    await journal.close()
    assert acknowledged > 3000
    assert [error.errno for error in opened.fatal if isinstance(error, OSError)] == [errno.ENOSPC]
    assert await reopened_end(small_disk / "journal") >= acknowledged


async def test_an_open_that_fails_leaves_no_lock_behind(tmp_path: Path) -> None:
    await write_entries(tmp_path, [b"one"])
    disk = FailingDisk()
    disk.fail_sync = True
    with pytest.raises(OSError, match="the disk broke"):
        Opened(disk=disk).open(tmp_path)
    await Opened().open(tmp_path, SMALL).close()
