"""What the journals of this node can add to a backup, and how far back they have to be read."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from axon.app.backup.errors import EntriesMissing, JournalNotTheBackups
from axon.app.backup.place import journal_folders
from axon.app.folders import DataFolder
from axon.base import MIB
from axon.journal import (
    CURSOR_FILE,
    JournalMissing,
    JournalReader,
    SystemDisk,
    inspect,
    read_cursor,
    write_cursor,
)
from axon.records import Record, UnknownRecord, decode

_PAGE_ENTRIES = 1024
_PAGE_BYTES = 4 * MIB
"""Journals are read in pages of this size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalGoesOn:
    """One journal, and where it goes on behind the backup."""

    directory: Path
    backup_has: int
    """The backup has everything up to this sequence."""
    first: int
    """The oldest entry the journal still has."""
    durable_through: int

    @property
    def instance(self) -> str:
        """Return the journal's name, in positions and in PostgreSQL."""
        return self.directory.name

    @property
    def missing(self) -> range:
        """Return the sequences that neither the backup nor the journal has."""
        return range(self.backup_has + 1, self.first)

    @property
    def cursor(self) -> int:
        """Return the sequence to go on behind."""
        return max(self.backup_has, self.first - 1)


def journals_behind(folder: DataFolder, cursors: Mapping[str, int]) -> list[JournalGoesOn]:
    """Return the journals of this node as they go on behind a backup with these cursors; blocks.

    Raises JournalNotTheBackups, or what a journal that cannot be read raises.
    """
    found = []
    for directory in journal_folders(folder):
        try:
            summary = inspect(directory)
        except JournalMissing:
            continue
        if summary.instance != directory.name:
            continue  # a copy, which the projector leaves alone too
        journal = JournalGoesOn(
            directory=directory,
            backup_has=cursors.get(summary.instance, 0),
            first=summary.segments[0].first_sequence,
            durable_through=summary.durable_through,
        )
        if journal.backup_has > journal.durable_through:
            raise JournalNotTheBackups(
                f"{journal.instance} ends at {journal.durable_through:,},"
                f" the backup has {journal.backup_has:,}"
            )
        found.append(journal)
    return found


def refuse_missing(journals: list[JournalGoesOn]) -> None:
    """Return when the journals go on where the backup ends; raises EntriesMissing."""
    told = [
        f"{journal.instance}: entries {journal.missing.start:,} to {journal.missing.stop - 1:,}"
        for journal in journals
        if journal.missing
    ]
    if told:
        raise EntriesMissing("; ".join(told))


def lower_marks(journals: list[JournalGoesOn]) -> None:
    """Note in each journal, durably, that PostgreSQL has no more than it will have; blocks.

    A mark says what need not be kept and need not be looked at, so it goes down before the rows
    do: one that is too low costs time, one that is too high costs turns.
    """
    disk = SystemDisk()
    for journal in journals:
        if read_cursor(journal.directory) > journal.cursor:
            write_cursor(journal.directory, journal.cursor)
        descriptor = disk.open(journal.directory / CURSOR_FILE, os.O_RDWR | os.O_CREAT)
        try:
            disk.sync(descriptor)
        finally:
            disk.close(descriptor)
        disk.sync_directory(journal.directory)


def records_behind(journal: JournalGoesOn) -> Iterator[list[Record]]:
    """Yield the records the journal will add, page by page; blocks. Unknown ones are left out."""
    with closing(JournalReader(journal.directory)) as reader:
        after = journal.cursor
        while entries := reader.read(after, _PAGE_ENTRIES, _PAGE_BYTES):
            after = entries[-1].sequence
            records = []
            for entry in entries:
                try:
                    records.append(decode(entry.kind, entry.payload))
                except UnknownRecord:
                    continue  # it is the projector's to say so
            yield records
