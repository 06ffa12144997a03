"""What an operator chooses for a journal, and what the journal needs from the process."""

from collections.abc import Callable
from dataclasses import dataclass

from axon.base import MIB, Clock
from axon.journal.carrier import Batches, Carrier, WriterThread
from axon.journal.disk import Disk
from axon.journal.format import ENTRY_BYTES_LIMIT, SEGMENT_HEADER_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalOptions:
    """Bounds of one journal; the defaults serve a node with a disk of a few gigabytes or more."""

    segment_bytes: int = 64 * MIB
    """A segment never grows beyond this; the next entry opens a new one."""
    queue_entries_max: int = 16_384
    """Entries appended and not yet acknowledged; new turns are refused at half of it."""
    queue_bytes_max: int = 64 * MIB
    entry_bytes_max: int = ENTRY_BYTES_LIMIT
    retention_s: int = 86_400
    """Entries that PostgreSQL has are kept this much longer: enough to replay after a failover
    or a restored backup."""
    reserve_bytes: int = 16 * MIB
    """Held back in a file of its own and given up when the disk runs low, so that turns already
    accepted can still end."""
    low_water_bytes: int = 256 * MIB
    """With less free space than this no new turn is admitted."""
    acknowledge_before_fsync: bool = False
    """A planted bug, for the tests that must be able to see data lost. Never set it."""

    def __post_init__(self) -> None:
        """Raise ValueError for bounds that contradict each other."""
        if not 0 < self.entry_bytes_max <= ENTRY_BYTES_LIMIT:
            raise ValueError(f"entry_bytes_max must be between 1 and {ENTRY_BYTES_LIMIT}")
        if self.segment_bytes < self.entry_bytes_max + SEGMENT_HEADER_BYTES:
            raise ValueError("segment_bytes must hold the largest entry and the segment's header")
        if self.queue_bytes_max < 2 * self.entry_bytes_max:
            raise ValueError("queue_bytes_max must hold two of the largest entries")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEnvironment:
    """The outside of a journal: its disk, its clock, and who ends the process."""

    disk: Disk
    clock: Clock
    on_fatal: Callable[[BaseException], None]
    """Called once, on the carrier's thread, when the disk refused a write. It must see to it that
    the process exits with a status that is not zero; the journal accepts nothing more."""
    carrier: Callable[[Batches], Carrier] = WriterThread
    """Starts what carries the batches to the disk; the simulator has one without a thread."""
