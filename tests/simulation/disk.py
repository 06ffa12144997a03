"""A disk that forgets: what was not flushed may be there after the power came back, or in part.

The files are real ones, in memory. Of each the simulated disk knows how much was flushed, and of
each name whether its directory was. A flush that fails leaves holes, and the kernel's word that
all is clean.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from axon.journal import SystemDisk
from tests.simulation.world import World

SECTOR_BYTES = 512
"""What a disk writes whole or not at all."""

PLENTY = 1 << 40


class PowerCut(BaseException):
    """The power failed within a call; nobody is left to hear of it."""


@dataclass
class _File:
    flushed: int = 0
    lost: list[tuple[int, int]] = field(default_factory=list)
    """What the page cache shows and the disk does not have, and will not be asked to take."""
    cut: bytes = b""
    """What was cut off its end since the last flush."""


class SimulatedDisk(SystemDisk):
    """One machine's disk; it outlives its processes."""

    __slots__ = (
        "_files",
        "_paths",
        "_undo",
        "_world",
        "fail_flushes",
        "free",
        "on_power_cut",
        "power_cut_at",
        "refuse_writes",
        "retried_flush",
    )

    def __init__(self, world: World) -> None:
        self._world = world
        self._paths: dict[int, Path] = {}
        self._files: dict[Path, _File] = {}
        self._undo: list[Callable[[], None]] = []
        self.free = PLENTY
        self.fail_flushes = 0
        """So many of the next flushes fail."""
        self.refuse_writes = False
        self.power_cut_at = -1
        """The power fails within the so-many-th call from now; -1: it does not."""
        self.on_power_cut: Callable[[], None] = lambda: None
        self.retried_flush = False
        """A planted bug: a flush that failed is tried again."""

    # ---- what the journal asks ----

    def open(self, path: Path, flags: int) -> int:
        new = not path.exists()
        descriptor = super().open(path, flags)
        self._paths[descriptor] = path
        if new:
            self._files[path] = _File()
            self._undo.append(lambda: path.unlink(missing_ok=True))
        elif flags & os.O_TRUNC:
            self._files[path] = _File()
        else:
            self._files.setdefault(path, _File(flushed=path.stat().st_size))
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        taken = len(data)
        if self._world.chance(0.02) and taken > 1:
            taken = self._world.dice.randrange(1, taken)
        if self._power_fails():
            super().write(descriptor, data[: self._world.dice.randrange(taken + 1)])
            self._cut_power()
        if self.refuse_writes:
            if taken > 1 and self._world.chance(0.5):
                return super().write(descriptor, data[: taken // 2])
            raise OSError(errno.ENOSPC, "no space left")
        return super().write(descriptor, data[:taken])

    def sync(self, descriptor: int) -> None:
        if self._power_fails():
            self._cut_power()
        try:
            self._flush(descriptor)
        except OSError:
            if not self.retried_flush:
                raise
            self._flush(descriptor)

    def _flush(self, descriptor: int) -> None:
        file, size = self._files[self._paths[descriptor]], os.fstat(descriptor).st_size
        if self.fail_flushes > 0:
            self.fail_flushes -= 1
            for start in range(file.flushed, size, SECTOR_BYTES):
                if self._world.chance(0.7):
                    file.lost.append((start, min(start + SECTOR_BYTES, size)))
            file.flushed = size
            raise OSError(errno.EIO, "the disk broke")
        file.flushed = size
        file.cut = b""

    def truncate(self, descriptor: int, size: int) -> None:
        path = self._paths[descriptor]
        file = self._files[path]
        file.cut = path.read_bytes()[size:]
        file.flushed = min(file.flushed, size)
        super().truncate(descriptor, size)

    def close(self, descriptor: int) -> None:
        if self._paths.pop(descriptor, None) is not None:  # else the process is dead already
            super().close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        if self._power_fails():
            self._cut_power()
        super().rename(source, target)
        self._files[target] = self._files.pop(source)
        for descriptor, path in self._paths.items():
            if path == source:
                self._paths[descriptor] = target
        self._undo.append(lambda: self._rename_back(source, target))

    def _rename_back(self, source: Path, target: Path) -> None:
        if target.exists():
            target.rename(source)
            self._files[source] = self._files.pop(target)

    def unlink(self, path: Path) -> None:
        content = path.read_bytes()
        file = self._files.pop(path, None) or _File(flushed=len(content))
        super().unlink(path)

        def undo() -> None:
            path.write_bytes(content)
            self._files[path] = file

        self._undo.append(undo)

    def allocate(self, descriptor: int, size: int) -> None:
        super().truncate(descriptor, size)

    def sync_directory(self, directory: Path) -> None:
        del directory
        if self._power_fails():
            self._cut_power()
        self._undo.clear()

    def free_bytes(self, directory: Path) -> int:
        del directory
        return self.free

    # ---- what happens to it ----

    def _power_fails(self) -> bool:
        if self.power_cut_at < 0:
            return False
        self.power_cut_at -= 1
        return self.power_cut_at < 0

    def _cut_power(self) -> None:
        self.on_power_cut()
        raise PowerCut

    def process_died(self) -> None:
        """Close what it had open; the page cache stays, but for pages that count as clean."""
        for descriptor in list(self._paths):
            self.close(descriptor)
        for path, file in self._files.items():
            if file.lost and path.exists():
                path.write_bytes(_with_holes(path.read_bytes(), file.lost))
                file.lost.clear()

    def power_lost(self) -> None:
        """Leave what a disk may hold when the power comes back; no process has it open."""
        dice = self._world.dice
        kept = dice.randint(0, len(self._undo))
        for undo in reversed(self._undo[kept:]):
            undo()
        self._undo.clear()
        for path, file in sorted(self._files.items()):
            if path.exists():
                path.write_bytes(self._after(path.read_bytes(), file))
                self._files[path] = _File(flushed=path.stat().st_size)

    def _after(self, data: bytes, file: _File) -> bytes:
        dice = self._world.dice
        if file.cut and len(data) == file.flushed and dice.random() < 0.5:
            data += file.cut  # the cut itself had not reached the disk
            return _with_holes(data, file.lost)
        data = data[: dice.choice([len(data), dice.randint(file.flushed, len(data))])]
        first = file.flushed // SECTOR_BYTES * SECTOR_BYTES
        holes = [
            (max(start, file.flushed), min(start + SECTOR_BYTES, len(data)))
            for start in range(first, len(data), SECTOR_BYTES)
            if dice.random() < 0.4
        ]
        return _with_holes(data, [*file.lost, *holes])


def _with_holes(data: bytes, holes: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for start, end in holes:
        if start < len(changed):
            hole = min(end, len(changed)) - start
            changed[start : start + hole] = bytes(hole)
    return bytes(changed)
