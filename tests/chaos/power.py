"""What a power loss leaves of the journals: a kill spares the page cache, this does not."""

import os
from pathlib import Path

from axon.journal import JournalReader
from axon.journal.format import SEGMENT_HEADER_BYTES
from axon.journal.marks import DURABLE_FILE
from axon.journal.segments import list_segments, segment_path

_READ_ENTRIES = 1024
_READ_BYTES = 4 * 1024 * 1024


def lose_unsynced(journals: Path) -> int:
    """Cut the last segment of every journal behind what was synced; return the bytes lost.

    The `durable` marks say what was: they are moved after the fsync, and before anybody is told.
    No process may have the journals open.
    """
    return sum(_cut(mark.parent) for mark in sorted(journals.glob(f"*/{DURABLE_FILE}")))


def unsynced(journals: Path) -> int:
    """Return how many bytes a power loss would take now."""
    marks = sorted(journals.glob(f"*/{DURABLE_FILE}"))
    return sum(path.stat().st_size - end for path, end in (_synced(one.parent) for one in marks))


def _cut(directory: Path) -> int:
    path, end = _synced(directory)
    lost = path.stat().st_size - end
    os.truncate(path, end)
    return lost


def _synced(directory: Path) -> tuple[Path, int]:
    """Return the last segment and how many bytes of it are on disk for certain."""
    segment, end = list_segments(directory)[-1], SEGMENT_HEADER_BYTES
    after = segment - 1
    reader = JournalReader(directory)
    while entries := reader.read(after, _READ_ENTRIES, _READ_BYTES):
        last = entries[-1].location
        after, end = last.sequence, last.offset + last.length
    reader.close()
    return segment_path(directory, segment), end
