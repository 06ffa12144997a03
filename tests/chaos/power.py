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


def _cut(directory: Path) -> int:
    segment, end = list_segments(directory)[-1], SEGMENT_HEADER_BYTES
    after = segment - 1
    reader = JournalReader(directory)
    while entries := reader.read(after, _READ_ENTRIES, _READ_BYTES):
        last = entries[-1].location
        after, end = last.sequence, last.offset + last.length
    reader.close()
    path = segment_path(directory, segment)
    lost = path.stat().st_size - end
    os.truncate(path, end)
    return lost
