"""The write-ahead log: checksummed bytes, group commit and recovery; it knows no record."""

from axon.journal.carrier import Batches, Carrier, WriterThread
from axon.journal.chain import ChainPoint, ChainReport, ChainWalk, verify_chain
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
    JournalNewer,
)
from axon.journal.format import LOST_KIND, Entry, Location
from axon.journal.inspection import Finding, JournalSummary, SegmentSummary, inspect, verify
from axon.journal.journal import Journal
from axon.journal.lock import lock_journal
from axon.journal.marks import CURSOR_FILE, Mark, read_cursor, read_durable, write_cursor
from axon.journal.options import JournalEnvironment, JournalOptions
from axon.journal.reader import JournalReader
from axon.journal.recovery import Recovery
from axon.journal.salvage import Salvage, salvage
from axon.journal.scrubbing import closed_segments, scrub
from axon.journal.writer import Waiter

__all__ = [
    "CURSOR_FILE",
    "LOST_KIND",
    "Batches",
    "Carrier",
    "ChainPoint",
    "ChainReport",
    "ChainWalk",
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
    "JournalNewer",
    "JournalOptions",
    "JournalReader",
    "JournalSummary",
    "Location",
    "Mark",
    "Recovery",
    "Salvage",
    "SegmentSummary",
    "SystemDisk",
    "Waiter",
    "WriterThread",
    "closed_segments",
    "inspect",
    "lock_journal",
    "read_cursor",
    "read_durable",
    "salvage",
    "scrub",
    "verify",
    "verify_chain",
    "write_cursor",
]
