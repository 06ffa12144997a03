"""What a start reads of its journal: what PostgreSQL lacks, and the turns that were left open."""

from axon.base import MIB
from axon.conversations import Conversations
from axon.journal import Journal, Location, Mark, inspect, read_cursor
from axon.records import Record
from axon.turns import OpenTurn, Turns, read_back

_RETRIED_ENTRIES = 4096
"""How far a start reads back for requests whose retry may come: some seconds at full load, in some
tens of milliseconds."""

_RETRIED_BYTES = 64 * MIB
"""Where this much is read before, the rest is left: batches of outside events may be megabytes."""


def read_journal(
    journal: Journal, unfinished: Mark, conversations: Conversations, turns: Turns
) -> list[OpenTurn]:
    """Fill the tail with what PostgreSQL lacks; return the turns a dead process left open."""
    projected = read_cursor(journal.directory)
    conversations.tail.prune(projected)
    needed = min(projected, unfinished.get() - 1, _retried_after(journal))
    after = max(needed, journal.recovery.first_sequence - 1)

    def note(record: Record, location: Location) -> None:
        conversations.tail.note(record, location)
        turns.note(record, location)

    return read_back(journal.read(after), note)


def _retried_after(journal: Journal) -> int:
    """Return behind which entry requests stand whose retry may come."""
    after, read_bytes = journal.durable_through - _RETRIED_ENTRIES, 0
    for segment in reversed(inspect(journal.directory).segments):
        read_bytes += segment.bytes
        if read_bytes >= _RETRIED_BYTES:
            return max(after, segment.first_sequence - 1)
    return after
