"""Disks that misbehave on purpose; all of them write to the real one."""

import errno
import os
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from axon.journal import SystemDisk


class CountingDisk(SystemDisk):
    """Counts what it is asked for."""

    __slots__ = ("syncs", "writes")

    def __init__(self) -> None:
        self.syncs = 0
        self.writes = 0

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        self.writes += 1
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        super().sync(descriptor)


class HeldDisk(CountingDisk):
    """Lets no flush through while `gate` is closed; `asked` is set once one waits."""

    __slots__ = ("asked", "broken", "gate")

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.broken = False

    def sync(self, descriptor: int) -> None:
        self.asked.set()
        assert self.gate.wait(10)
        if self.broken:
            raise OSError(errno.EIO, "the disk broke")
        super().sync(descriptor)


class UnsyncedDisk(SystemDisk):
    """Never flushes: for tests that open one journal thousands of times."""

    __slots__ = ()

    def sync(self, descriptor: int) -> None:
        del descriptor

    def sync_directory(self, directory: Path) -> None:
        del directory


class FailingDisk(CountingDisk):
    """Fails once armed: `fail_write` takes half of the data and then reports a full disk."""

    __slots__ = ("fail_rename", "fail_sync", "fail_write", "opened")

    def __init__(self) -> None:
        super().__init__()
        self.fail_sync = False
        self.fail_write = False
        self.fail_rename = False
        self.opened: set[int] = set()

    def open(self, path: Path, flags: int) -> int:
        descriptor = super().open(path, flags)
        self.opened.add(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        self.opened.remove(descriptor)
        super().close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        if self.fail_rename:
            raise OSError(errno.EIO, "the disk broke")
        super().rename(source, target)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if not self.fail_write:
            return super().write(descriptor, data)
        if len(data) > 1:
            return super().write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "no space left")

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        if self.fail_sync:
            raise OSError(errno.EIO, "the disk broke")


class SmallDisk(SystemDisk):
    """Says how much is free as the test decides; the reserve counts."""

    __slots__ = ("free",)

    def __init__(self, free: int) -> None:
        self.free = free

    def free_bytes(self, directory: Path) -> int:
        del directory
        return self.free

    def allocate(self, descriptor: int, size: int) -> None:
        super().allocate(descriptor, size)
        self.free -= size

    def unlink(self, path: Path) -> None:
        self.free += path.stat().st_size
        super().unlink(path)


class VolatileDisk(SystemDisk):
    """Knows what was flushed, so that a copy can lose any part of the rest."""

    __slots__ = ("_paths", "_synced", "before_sync")

    def __init__(self) -> None:
        self._paths: dict[int, Path] = {}
        self._synced: dict[Path, int] = {}
        self.before_sync: Callable[[], None] = lambda: None

    def open(self, path: Path, flags: int) -> int:
        descriptor = super().open(path, flags)
        self._paths[descriptor] = path
        self._synced.setdefault(path, os.fstat(descriptor).st_size)
        return descriptor

    def sync(self, descriptor: int) -> None:
        self.before_sync()
        self._synced[self._paths[descriptor]] = os.fstat(descriptor).st_size

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self._synced[target] = self._synced.pop(source)
        for descriptor, path in self._paths.items():
            if path == source:
                self._paths[descriptor] = target

    def copy_after_power_loss(self, source: Path, target: Path, chance: random.Random) -> None:
        """Copy a directory; every file ends, or has a hole, somewhere behind what was flushed."""
        shutil.copytree(source, target)
        for path, synced in self._synced.items():
            copy = target / path.name
            if not copy.exists():
                continue
            data = bytearray(copy.read_bytes())
            del data[chance.randint(synced, len(data)) :]
            hole = chance.randint(synced, len(data))
            end = chance.choice([hole, chance.randint(hole, len(data))])
            data[hole:end] = bytes(end - hole)
            copy.write_bytes(data)
        if chance.random() < 0.5:
            (target / "durable").unlink()
