"""One `axon up` per data folder: a lock the kernel gives back when the process ends."""

import fcntl
from types import TracebackType

from axon.app.folders import DataFolder
from axon.app.up.running import read_running
from axon.base import AxonError


class AlreadyRunning(AxonError):
    """Axon already runs with this data folder: use it, stop it first, or choose another --data."""


class FolderLock:
    """Holds the data folder's lock while it is entered."""

    def __init__(self, folder: DataFolder) -> None:
        """Nothing is locked yet."""
        self._folder = folder

    def __enter__(self) -> None:
        """Take the lock at once, or raise AlreadyRunning naming who has it."""
        self._file = self._folder.lock.open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            running = read_running(self._folder)
            who = f"process {running.pid}, {running.base_url}" if running else "still starting"
            raise AlreadyRunning(f"{self._folder.root}: {who}") from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock back."""
        self._file.close()
