"""One writer per journal, enforced by the kernel."""

import fcntl
import os
from pathlib import Path

from axon.journal.errors import JournalLocked

_LOCK_FILE = "lock"


def lock_journal(directory: Path) -> int:
    """Return a descriptor that holds the journal's lock until it is closed or the process dies.

    Raises JournalLocked, at once, when another process has it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(directory / _LOCK_FILE, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise JournalLocked(str(directory)) from error
    return descriptor
