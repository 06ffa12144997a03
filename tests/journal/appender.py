"""A process that appends and says on stdout what was acknowledged; exits 70 when the disk fails.

`python appender.py DIRECTORY COUNT [slow] [early]`; `slow` is a disk that takes its time before
it flushes, `early` plants the bug that acknowledges too early.
"""

import asyncio
import dataclasses
import os
import sys
import time
from pathlib import Path

from axon.base import SystemClock
from axon.journal import Journal, JournalEnvironment, SystemDisk
from tests.journal.journals import INSTANCE, SMALL


class SlowDisk(SystemDisk):
    """Widens the moment in which something is written and not yet on disk."""

    __slots__ = ()

    def sync(self, descriptor: int) -> None:
        time.sleep(0.01)
        super().sync(descriptor)


def die(error: BaseException) -> None:
    print(error, file=sys.stderr, flush=True)
    os._exit(70)


async def append(directory: Path, count: int) -> None:
    disk = SlowDisk() if "slow" in sys.argv else SystemDisk()
    environment = JournalEnvironment(disk=disk, clock=SystemClock(), on_fatal=die)
    options = dataclasses.replace(SMALL, acknowledge_before_fsync="early" in sys.argv)
    journal = Journal.open(directory, INSTANCE, options, environment)
    first = journal.durable_through + 1
    for sequence in range(first, first + count):
        location = await journal.append(1, b"%d" % sequence)
        print(location.sequence, flush=True)
    await journal.close()


asyncio.run(append(Path(sys.argv[1]), int(sys.argv[2])))
