"""The write-ahead log: checksummed bytes, group commit and recovery; it knows no record."""

from axon.journal.disk import Disk, SystemDisk
from axon.journal.errors import (
    DiskLow,
    EntryGone,
    EntryTooLarge,
    JournalClosed,
    JournalCorrupt,
    JournalError,
    JournalFailed,
    JournalForeign,
    JournalFull,
    JournalLocked,
    JournalMissing,
)
from axon.journal.format import LOST_KIND, Entry, Location
from axon.journal.inspection import Finding, JournalSummary, SegmentSummary, inspect, verify
from axon.journal.journal import Journal
from axon.journal.marks import Mark, read_cursor, read_durable, write_cursor
from axon.journal.options import JournalEnvironment, JournalOptions
from axon.journal.reader import JournalReader
from axon.journal.recovery import Recovery
from axon.journal.salvage import Salvage, salvage

__all__ = [
    "LOST_KIND",
    "Disk",
    "DiskLow",
    "Entry",
    "EntryGone",
    "EntryTooLarge",
    "Finding",
    "Journal",
    "JournalClosed",
    "JournalCorrupt",
    "JournalEnvironment",
    "JournalError",
    "JournalFailed",
    "JournalForeign",
    "JournalFull",
    "JournalLocked",
    "JournalMissing",
    "JournalOptions",
    "JournalReader",
    "JournalSummary",
    "Location",
    "Mark",
    "Recovery",
    "Salvage",
    "SegmentSummary",
    "SystemDisk",
    "inspect",
    "read_cursor",
    "read_durable",
    "salvage",
    "verify",
    "write_cursor",
]
