"""Free space: admission stops before the disk is full and resumes by itself."""

import errno
import os
from pathlib import Path

from axon.journal.disk import Disk

SPACE_CHECK_EVERY_S = 1.0
"""How old a reading of the free space may be."""

_RESERVE_FILE = "reserve"


class Space:
    """Watches the file system of a journal and holds a reserve file on it.

    While the reserve is held, only what is free besides it counts; once space runs low it is
    given up for the turns already accepted, and made again when there is room for it.
    """

    def __init__(
        self, directory: Path, disk: Disk, reserve_bytes: int, low_water_bytes: int
    ) -> None:
        """Nothing is read or written before the first `check`."""
        self._directory = directory
        self._disk = disk
        self._reserve = directory / _RESERVE_FILE
        self._reserve_bytes = reserve_bytes
        self._low_water_bytes = low_water_bytes
        self._held = self._reserve.exists() and self._reserve.stat().st_size >= reserve_bytes
        self.low = False
        """True when no new turn should be admitted."""

    def check(self) -> None:
        """Read the free space and act on it; blocks for a moment, raises OSError."""
        spare = self._disk.free_bytes(self._directory)
        if not self._held:
            spare -= self._reserve_bytes
        self.low = spare < self._low_water_bytes
        if self.low:
            self.give_up_reserve()
        elif not self._held and self._reserve_bytes:
            self._take_reserve()

    def give_up_reserve(self) -> bool:
        """Free the reserve's blocks; return whether there were any to free."""
        if not self._held:
            return False
        self._disk.unlink(self._reserve)
        self._held = False
        return True

    def _take_reserve(self) -> None:
        descriptor = self._disk.open(self._reserve, os.O_WRONLY | os.O_CREAT)
        try:
            self._disk.allocate(descriptor, self._reserve_bytes)
            self._held = True
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self.low = True  # somebody else was quicker; the next check looks again
        finally:
            self._disk.close(descriptor)
