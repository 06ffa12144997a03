"""The journals of this node, each with its place in PostgreSQL."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from axon.base import MIB
from axon.journal import (
    Entry,
    JournalCorrupt,
    JournalMissing,
    JournalNewer,
    JournalReader,
    write_cursor,
)
from axon.projection.errors import JournalReplaced
from axon.projection.status import JournalLag
from axon.telemetry import log

BATCH_ENTRIES_MAX = 8192
BATCH_BYTES_MAX = 16 * MIB
"""Bounds of one transaction: the more turns, the more of them share a sum, which is then written
once. Only a projector that is behind has so many: a second or two of work."""

BATCH_ENTRIES_MIN = 256
"""Of a batch when those before did not come through: a slow PostgreSQL takes so many in time."""

_BATCH_STEP = 4
"""How much smaller a batch is after one that did not come through; as much larger after others."""

TRIES_MAX = 3
"""A record that fails this often, each time in a fresh transaction, is parked."""


@dataclass(slots=True, kw_only=True)
class FollowedJournal:
    """One journal that is being projected."""

    directory: Path
    reader: JournalReader
    projected_through: int | None = None
    """None until PostgreSQL has told."""
    caught_up_at: float
    """Monotonic instant at which PostgreSQL last had everything."""
    stopped: bool = False
    """True after an error, until the next look around."""
    last_error: str = ""
    """Empty again once it has moved on."""
    tries: dict[tuple[str, int], int] = field(default_factory=dict)
    """How often a room could not have a record of the batch in hand, by room and sequence."""
    batch_entries: int = BATCH_ENTRIES_MAX
    """How many entries the next batch has at most."""

    @property
    def instance(self) -> str:
        """The journal's name, in positions and in PostgreSQL."""
        return self.reader.instance

    @property
    def lag_records(self) -> int:
        """How many durable entries PostgreSQL does not have."""
        return self.reader.durable_through() - (self.projected_through or 0)

    def start_at(self, sequence: int) -> None:
        """Begin behind what PostgreSQL has; raise JournalReplaced if the journal has less."""
        if sequence > self.reader.durable_through():
            raise JournalReplaced(
                f"{self.instance} ends at {self.reader.durable_through()}, applied is {sequence}"
            )
        self.moved_to(sequence)

    def moved_to(self, sequence: int) -> None:
        """Note, also for the journal's own process, that PostgreSQL has this much; blocks."""
        self.projected_through = sequence
        self.last_error = ""
        self.tries.clear()
        self.batch_entries = min(BATCH_ENTRIES_MAX, self.batch_entries * _BATCH_STEP)
        write_cursor(self.directory, sequence)

    def not_through(self) -> None:
        """Note that PostgreSQL did not take the batch in time; the next one is smaller."""
        self.batch_entries = max(BATCH_ENTRIES_MIN, self.batch_entries // _BATCH_STEP)

    def lag(self) -> JournalLag:
        """Return how it is coming along."""
        return JournalLag(
            instance=self.instance,
            durable_through=self.reader.durable_through(),
            projected_through=self.projected_through or 0,
            error=self.last_error,
        )

    def count_tries(self, places: Iterable[tuple[str, int]]) -> int:
        """Note one more try of these records and return how many may be tried again."""
        hopeful = 0
        for place in places:
            self.tries[place] = self.tries.get(place, 0) + 1
            hopeful += self.tries[place] < TRIES_MAX
        return hopeful

    def stop_for_now(self, error: str) -> None:
        """Leave this journal alone for a while; the others go on."""
        if error != self.last_error:
            message = "A journal cannot be projected."
            log.error(
                "projection.stuck", message, axon__journal=self.instance, error__message=error
            )
        self.stopped = True
        self.last_error = error

    def read(self) -> list[Entry]:
        """Return the next entries, a batch at most; blocks. Raises JournalError or OSError."""
        assert self.projected_through is not None
        return self.reader.read(self.projected_through, self.batch_entries, BATCH_BYTES_MAX)


def find_journals(
    root: Path, known: dict[Path, FollowedJournal], now: float
) -> tuple[dict[Path, FollowedJournal], dict[str, str]]:
    """Return the journals under `root`, and why others cannot be read, by folder; blocks.

    Journals already known stay as they are, but those that stood still may try again. A folder
    whose name is not the journal's instance is a copy, and no journal of this node.
    """
    journals: dict[Path, FollowedJournal] = {}
    unreadable: dict[str, str] = {}
    for directory in sorted(path for path in root.glob("*") if path.is_dir()):
        if directory in known:
            journals[directory] = known[directory]
            journals[directory].stopped = False
            continue
        try:
            reader = JournalReader(directory)
        except JournalMissing:
            continue  # its process is just making it
        except (JournalCorrupt, JournalNewer) as error:
            unreadable[directory.name] = str(error)
            continue
        if reader.instance != directory.name:
            reader.close()
            continue
        journals[directory] = FollowedJournal(directory=directory, reader=reader, caught_up_at=now)
    for directory in known.keys() - journals.keys():
        known[directory].reader.close()
    return journals, unreadable
