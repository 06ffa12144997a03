import asyncio
import errno
from pathlib import Path

import pytest

from axon.journal import DiskLow, Journal, SystemDisk
from axon.journal.space import SPACE_CHECK_EVERY_S, Space
from tests.journal.disks import SmallDisk
from tests.journal.journals import SMALL, Opened

RESERVE = 4096
LOW_WATER = 8192


def is_low(space: Space) -> bool:
    space.check()
    return space.low


@pytest.mark.failure("journal-disk", "full")
def test_admission_ends_before_the_disk_is_full_and_resumes_by_itself(tmp_path: Path) -> None:
    disk = SmallDisk(free=RESERVE + LOW_WATER)
    space = Space(tmp_path, disk, RESERVE, LOW_WATER)
    assert not is_low(space)
    assert disk.free == LOW_WATER  # the reserve was taken
    disk.free -= 1
    assert is_low(space)
    assert disk.free == LOW_WATER - 1 + RESERVE  # and is given up for turns already accepted
    assert is_low(space)  # the reserve's own blocks are no reason to admit again
    disk.free += 1
    assert not is_low(space)
    assert (tmp_path / "reserve").stat().st_size == RESERVE


def test_the_reserve_is_found_again_after_a_restart(tmp_path: Path) -> None:
    disk = SmallDisk(free=RESERVE + LOW_WATER)
    Space(tmp_path, disk, RESERVE, LOW_WATER).check()
    again = Space(tmp_path, disk, RESERVE, LOW_WATER)
    again.check()
    assert not again.low
    assert disk.free == LOW_WATER
    assert again.give_up_reserve()
    assert not again.give_up_reserve()


def test_no_reserve_is_a_choice(tmp_path: Path) -> None:
    space = Space(tmp_path, SystemDisk(), 0, 0)
    assert not is_low(space)
    assert list(tmp_path.iterdir()) == []


class GreedyDisk(SmallDisk):
    """Somebody else takes the space between the look and the reservation."""

    __slots__ = ()

    def allocate(self, descriptor: int, size: int) -> None:
        del descriptor, size
        raise OSError(errno.ENOSPC, "no space left")


def test_a_reserve_that_cannot_be_made_is_low_space(tmp_path: Path) -> None:
    space = Space(tmp_path, GreedyDisk(free=1 << 30), RESERVE, LOW_WATER)
    space.check()
    assert space.low
    assert not space.give_up_reserve()


@pytest.mark.failure("journal-disk", "full")
async def test_a_low_disk_refuses_new_turns_but_lets_accepted_ones_end(tmp_path: Path) -> None:
    disk = SmallDisk(free=1 << 30)
    journal = Opened(disk=disk).open(tmp_path)
    journal.admit()
    disk.free = SMALL.low_water_bytes - 1
    async with asyncio.timeout(10):
        while admits(journal):
            await asyncio.sleep(SPACE_CHECK_EVERY_S / 20)
    with pytest.raises(DiskLow):
        journal.admit()
    assert (await journal.append(1, b"the end of a turn")).sequence == 1
    disk.free = 1 << 30
    async with asyncio.timeout(10):
        while not admits(journal):
            await asyncio.sleep(SPACE_CHECK_EVERY_S / 20)
    await journal.close()


def admits(journal: Journal) -> bool:
    try:
        journal.admit()
    except DiskLow:
        return False
    return True
