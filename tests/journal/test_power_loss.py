import asyncio
import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from axon.journal import JournalCorrupt, Location
from tests.journal.disks import VolatileDisk
from tests.journal.journals import SMALL, Opened, read_all


@pytest.mark.failure("journal-disk", "lying")
@pytest.mark.parametrize("seed", range(25))
async def test_a_power_loss_takes_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    assert not await loses_something(tmp_path, seed, planted_bug=False)


async def test_the_planted_bug_loses_something(tmp_path: Path) -> None:
    losses = [
        await loses_something(tmp_path / str(seed), seed, planted_bug=True) for seed in range(25)
    ]
    assert any(losses)


async def loses_something(directory: Path, seed: int, planted_bug: bool) -> bool:
    """Append, cut the power before some flush, recover; return whether an acknowledged entry
    is gone."""
    chance = random.Random(seed)
    loop = asyncio.get_running_loop()
    disk = VolatileDisk()
    before, after = directory / "before", directory / "after"
    options = dataclasses.replace(SMALL, acknowledge_before_fsync=planted_bug)
    journal = Opened(disk=disk).open(before, options)
    acknowledged: dict[int, bytes] = {}
    promised: dict[int, bytes] = {}
    flushes_left = chance.randint(1, 12)
    copied = threading.Event()

    def copy() -> None:
        promised.update(acknowledged)
        disk.copy_after_power_loss(before, after, chance)
        copied.set()

    def cut_power() -> None:
        nonlocal flushes_left
        flushes_left -= 1
        if flushes_left == 0:
            # Two steps into the loop: what was acknowledged before now has reached its callers.
            loop.call_soon_threadsafe(loop.call_soon, copy)
            assert copied.wait(10)

    def append(payload: bytes) -> asyncio.Future[Location]:
        future = journal.append(1, payload)
        future.add_done_callback(
            lambda done: acknowledged.__setitem__(done.result().sequence, payload)
        )
        return future

    disk.before_sync = cut_power
    for wave in range(12):
        await asyncio.gather(
            *(append(bytes([wave]) * chance.randint(0, 90)) for _ in range(chance.randint(1, 6)))
        )
    await journal.close()
    try:
        await Opened().open(after).close()
    except JournalCorrupt:
        return True
    found = {entry.sequence: entry.payload for entry in read_all(after)}
    return any(found.get(sequence) != payload for sequence, payload in promised.items())


APPENDER = Path(__file__).with_name("appender.py")
CYCLES_MAX = 5
"""Power losses among which the planted bug must show; it does in most single ones."""


def test_a_real_file_system_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    for cycle in range(2):
        promised, found = lose_power(tmp_path / str(cycle))
        assert len(promised) >= 20
        assert promised <= found


def test_a_real_file_system_shows_the_planted_bug(tmp_path: Path) -> None:
    for cycle in range(CYCLES_MAX):
        promised, found = lose_power(tmp_path / str(cycle), "early")
        if not promised <= found:
            return
    pytest.fail("the planted bug lost nothing: this test would not see a real loss")


def lose_power(folder: Path, *arguments: str) -> tuple[set[int], set[int]]:
    """Append to a journal on ext4 until the power goes; return what was promised and is found.

    The disk is a file. What a process wrote and never flushed is in no block of it, so a copy
    taken while the process stands still is what a power loss leaves behind.
    """
    folder.mkdir()
    disk, copy = folder / "disk", folder / "copy"
    with disk.open("wb") as file:
        file.truncate(16 << 20)
    run("mkfs.ext4", "-q", str(disk))
    with mounted(disk, folder / "mounted") as place:
        command = [sys.executable, str(APPENDER), str(place / "journal"), "1000000", "slow"]
        command += arguments
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            promised = {int(process.stdout.readline()) for _ in range(20)}
            process.send_signal(signal.SIGSTOP)
            os.set_blocking(process.stdout.fileno(), False)
            promised |= {int(line) for line in (process.stdout.read() or b"").split()}
            shutil.copy(disk, copy)
            process.kill()
    with mounted(copy, folder / "after") as place:
        asyncio.run(Opened().open(place / "journal").close())
        return promised, {entry.sequence for entry in read_all(place / "journal")}


@contextmanager
def mounted(disk: Path, place: Path) -> Iterator[Path]:
    place.mkdir()
    try:
        run("mount", "-o", "loop", str(disk), str(place))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file may be mounted here, so no power can be cut: {error}")
    try:
        yield place
    finally:
        run("umount", str(place))


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
