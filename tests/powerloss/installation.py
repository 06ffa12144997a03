"""An `axon up` whose whole data folder is on a disk that loses power, PostgreSQL and keys too."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from axon.app.embedded import freeze, tree_of
from axon.base import KIB, MIB
from axon.journal.segments import list_segments, segment_path
from tests.chaos.installation import POWER, Installation
from tests.powerloss.loop_disk import LoopDisk

SMALL_JOURNAL = {
    "AXON_JOURNAL_SEGMENT_BYTES": str(256 * KIB),
    "AXON_JOURNAL_ENTRY_BYTES_MAX": str(64 * KIB),
    "AXON_JOURNAL_RESERVE_BYTES": str(MIB),
    "AXON_JOURNAL_LOW_WATER_BYTES": str(16 * MIB),
    "AXON_JOURNAL_RETENTION_S": "60",
}
"""Segments so small that power also fails while one is made, and while old ones are deleted."""

STOPPED_WITHIN_S = 20.0
"""A process that waits for a flush stops when the flush is done."""

_STOPPED = frozenset("TtZX")
_POLL_S = 0.002


@dataclass(slots=True, kw_only=True)
class PoweredInstallation(Installation):
    """Axon on a LoopDisk: a power loss takes whatever was not flushed, of every file there is."""

    disk: LoopDisk = field(init=False)

    def __post_init__(self) -> None:
        """Make the disk; raises CannotMount."""
        self.environment = {**SMALL_JOURNAL, **self.environment}
        self.disk = LoopDisk(image=self.folder / "disk", place=self.data)
        self.disk.make()

    def lose_power(self) -> int:
        """Stop everything at once, keep what the disk has, and return the journals' lost bytes."""
        assert self._up is not None
        freeze(self._up.pid)
        _wait_until_stopped(tree_of(self._up.pid))
        written = _written(self.journals)
        copy = self.disk.copy()
        self.kill(POWER)
        self.disk.become(copy)
        kept = _written(self.journals)
        return sum(size - kept.get(path, 0) for path, size in written.items())

    def stop(self) -> None:
        """Stop Axon in order and take its disk away."""
        try:
            Installation.stop(self)
        finally:
            self.disk.unmount()


def _written(journals: Path) -> dict[Path, int]:
    """Return how many bytes every journal's last segment holds."""
    found = {}
    for folder in journals.glob("*"):
        if folder.is_dir() and (segments := list_segments(folder)):
            path = segment_path(folder, segments[-1])
            found[path] = path.stat().st_size
    return found


def _wait_until_stopped(pids: list[int]) -> None:
    """Return when no thread of the processes runs or waits for the disk any more."""
    deadline = time.monotonic() + STOPPED_WITHIN_S
    while not all(_is_stopped(pid) for pid in pids):
        assert time.monotonic() < deadline, "a process survives SIGSTOP"
        time.sleep(_POLL_S)


def _is_stopped(pid: int) -> bool:
    try:
        threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):
        return True  # it ended before it was stopped
    return all(thread.rpartition(")")[2].split()[0] in _STOPPED for thread in threads)
