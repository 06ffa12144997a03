"""Two numbers that processes share: how far the journal is durable and how far it is projected.

Each is an eight-byte file, mapped into memory: one aligned store is seen by every process at
once and never half. They are hints that survive a process, not a power loss: what is durable is
what the segments hold, and what is projected is what PostgreSQL's cursor says.
"""

import mmap
import os
from pathlib import Path

from axon.journal.errors import JournalMissing

DURABLE_FILE = "durable"
CURSOR_FILE = "cursor"
_MARK_BYTES = 8


class Mark:
    """A sequence number in a small file, written by one process and read by many."""

    __slots__ = ("_cell", "_map")

    def __init__(self, path: Path, writable: bool) -> None:
        """Map the file. A writable mark is created, as 0; a missing one raises JournalMissing."""
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        try:
            descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        except FileNotFoundError as error:
            raise JournalMissing(str(path.parent)) from error
        try:
            if os.fstat(descriptor).st_size < _MARK_BYTES:
                if not writable:
                    raise JournalMissing(str(path.parent))
                os.ftruncate(descriptor, _MARK_BYTES)
            protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
            self._map = mmap.mmap(descriptor, _MARK_BYTES, prot=protection)
        finally:
            os.close(descriptor)
        self._cell = memoryview(self._map).cast("Q")

    def get(self) -> int:
        """Return the number as the writer last set it."""
        return self._cell[0]

    def set(self, sequence: int) -> None:
        """Show `sequence` to every process that has the file mapped."""
        self._cell[0] = sequence

    def close(self) -> None:
        """Unmap the file."""
        self._cell.release()
        self._map.close()


def write_mark(path: Path, sequence: int) -> None:
    """Set the mark in this file, creating it when absent; blocks for a moment."""
    mark = Mark(path, writable=True)
    mark.set(sequence)
    mark.close()


def read_mark(path: Path) -> int:
    """Return the mark in this file, 0 when there is none yet; blocks for a moment."""
    try:
        mark = Mark(path, writable=False)
    except JournalMissing:
        return 0
    sequence = mark.get()
    mark.close()
    return sequence


def write_cursor(directory: Path, sequence: int) -> None:
    """Note that PostgreSQL has every entry of this journal up to `sequence`; after its commit."""
    write_mark(directory / CURSOR_FILE, sequence)


def read_cursor(directory: Path) -> int:
    """Return how far PostgreSQL is known to have this journal; 0 when nothing is known.

    It may lag behind PostgreSQL, never run ahead of it.
    """
    return read_mark(directory / CURSOR_FILE)


def read_durable(directory: Path) -> int:
    """Return how far this journal, often another process's, is on disk; 0 when there is none."""
    return read_mark(directory / DURABLE_FILE)
