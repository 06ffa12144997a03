"""Everything the journal refuses or fails with, one class per cause."""

from pathlib import Path

from axon.base import AxonError


class JournalError(AxonError):
    """The journal could not do what was asked."""


class JournalFull(JournalError):
    """Too many entries wait for the disk; nothing was accepted, try again later."""


class DiskLow(JournalError):
    """The disk is nearly full; nothing is accepted until space returns."""


class EntryTooLarge(JournalError):
    """An entry is larger than the journal allows."""


class JournalClosed(JournalError):
    """The journal is closed."""


class JournalFailed(JournalError):
    """The disk refused a write; what was not acknowledged may be lost and the process must end."""


class JournalLocked(JournalError):
    """Another process has this journal open."""


class JournalForeign(JournalError):
    """The journal in this directory belongs to another instance."""


class JournalMissing(JournalError):
    """There is no journal in this directory yet."""


class EntryGone(JournalError):
    """The entry asked for is no longer in the journal; its segment was retired."""


class JournalNewer(JournalError):
    """A newer version of Axon wrote this journal; install that one again, nothing was changed."""

    def __init__(self, path: Path, version: int, known: int) -> None:
        """Name the file, its format's version and the newest version that is known here."""
        super().__init__(f"{path} has format {version}, this version of Axon knows {known}")


class JournalCorrupt(JournalError):
    """The journal is damaged where it was known to be whole; see `axon journal salvage`."""

    def __init__(self, path: Path, offset: int, finding: str) -> None:
        """Name the file, the byte offset in it and what is wrong there."""
        super().__init__(f"{path} at byte {offset}: {finding}")
        self.path = path
        self.offset = offset
        self.finding = finding
