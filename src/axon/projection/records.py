"""Records as the rooms' projectors see them: in order, each with its position."""

from dataclasses import dataclass
from typing import Protocol

import asyncpg

from axon.journal import LOST_KIND, Entry
from axon.projection.errors import LostEntry, NewerRecord
from axon.projection.store import Parked
from axon.records import (
    KINDS,
    AccessLogged,
    AdminAction,
    ConversationChanged,
    EventsReceived,
    ExperimentChanged,
    FeedbackGiven,
    FlagsChanged,
    ItemsAppended,
    Record,
    SubjectErased,
    TrainingConsent,
    UnknownRecord,
    decode,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Positioned:
    """A record and its position: the journal's instance and the sequence in it."""

    instance: str
    sequence: int
    record: Record


class RoomProjector(Protocol):
    """How one room applies records to the tables it owns."""

    name: str
    """The room; part of the key of what is parked, so it never changes."""

    async def apply(self, connection: asyncpg.Connection, records: list[Positioned]) -> None:
        """Apply the records, in this order, within the transaction that is open.

        A record may come again, alone or in another batch, and must then change nothing.
        Raises Gap when a predecessor is missing. Any other error is taken for the fault of a
        record: the batch is undone, halved until the record is found, and the rest applied.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """An entry, and what could be made of it."""

    instance: str
    entry: Entry
    conversation_id: str
    """Empty when nothing has to wait behind this record."""
    positioned: Positioned | None
    error: Exception | None
    """Why there is no record."""

    def to_park(self, room: str, state: str, error: str) -> Parked:
        """Return the row that keeps this entry for a room that cannot have it now."""
        return Parked(
            room=room,
            instance=self.instance,
            sequence=self.entry.sequence,
            conversation_id=self.conversation_id,
            kind=self.entry.kind,
            payload=self.entry.payload,
            state=state,
            error=error,
        )


def known_part(instance: str, entries: list[Entry]) -> list[Entry]:
    """Return the entries before the first of a kind that this version does not know.

    Raises NewerRecord when that is the first of all: its room may be one that is not here yet, so
    it is nobody's poison, and to pass over it would lose it.
    """
    for number, entry in enumerate(entries):
        if entry.kind != LOST_KIND and entry.kind not in KINDS:
            if number == 0:
                known = f"this version knows {min(KINDS)} to {max(KINDS)}"
                raise NewerRecord(f"{instance}:{entry.sequence} is of kind {entry.kind}, {known}")
            return entries[:number]
    return entries


def read_entry(instance: str, entry: Entry) -> Readable:
    """Return the entry with its record, or with the reason why no room can be given one."""
    try:
        if entry.kind == LOST_KIND:
            raise LostEntry
        record = decode(entry.kind, entry.payload)
    except (UnknownRecord, LostEntry) as error:
        return Readable(
            instance=instance, entry=entry, conversation_id="", positioned=None, error=error
        )
    return Readable(
        instance=instance,
        entry=entry,
        conversation_id=conversation_of(record),
        positioned=Positioned(instance=instance, sequence=entry.sequence, record=record),
        error=None,
    )


def conversation_of(record: Record) -> str:
    """Return the conversation whose order the record is part of; empty when it has none."""
    match record:
        case (
            SubjectErased()
            | EventsReceived()
            | FlagsChanged()
            | ExperimentChanged()
            | FeedbackGiven()
            | AccessLogged()
            | AdminAction()
            | TrainingConsent()
        ):
            return ""
        case ItemsAppended() | ConversationChanged():
            return record.conversation_id
        case _:
            return record.head.conversation_id
