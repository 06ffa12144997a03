"""The disk behind an interface: everything that changes it can fail, and tests make it fail."""

import os
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """The operations on which durability rests; each blocks and raises OSError."""

    def open(self, path: Path, flags: int) -> int:
        """Return a descriptor; a file that is created can be read by its owner only."""
        ...

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """Write at the end and return how many bytes were taken, perhaps not all."""
        ...

    def sync(self, descriptor: int) -> None:
        """Return when the file's content and length are on disk. Never to be repeated on error:
        the kernel forgets failed pages, and the second call would report success."""
        ...

    def allocate(self, descriptor: int, size: int) -> None:
        """Reserve `size` bytes for the file."""
        ...

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        ...

    def close(self, descriptor: int) -> None:
        """Close the descriptor."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Give the file another name in one step."""
        ...

    def unlink(self, path: Path) -> None:
        """Delete the file."""
        ...

    def sync_directory(self, directory: Path) -> None:
        """Return when the names in the directory are on disk."""
        ...

    def free_bytes(self, directory: Path) -> int:
        """Return how much an unprivileged process can still write on this file system."""
        ...


class SystemDisk:
    """The disk of the machine."""

    __slots__ = ()

    def open(self, path: Path, flags: int) -> int:
        """Return a descriptor that children do not inherit."""
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """Write at the end and return how many bytes were taken."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Flush content and length with fdatasync."""
        os.fdatasync(descriptor)

    def allocate(self, descriptor: int, size: int) -> None:
        """Reserve real blocks with fallocate."""
        os.posix_fallocate(descriptor, 0, size)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        os.ftruncate(descriptor, size)

    def close(self, descriptor: int) -> None:
        """Close the descriptor."""
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Give the file another name in one step."""
        source.rename(target)

    def unlink(self, path: Path) -> None:
        """Delete the file."""
        path.unlink()

    def sync_directory(self, directory: Path) -> None:
        """Flush the directory's names with fsync."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, directory: Path) -> int:
        """Ask the file system."""
        status = os.statvfs(directory)
        return status.f_bavail * status.f_frsize
