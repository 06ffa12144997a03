"""Looking at parked records: what they are and why they are here, never what they hold."""

import asyncpg
import msgspec

from axon.projection.records import conversation_of
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

PAGE_RECORDS = 100
"""Parked records shown at a time."""

_PAGE = """
SELECT place, room, instance, sequence, conversation_id, kind, payload, state, error,
    (extract(epoch FROM parked_at) * 1000000)::bigint AS parked_us
FROM projection.parked WHERE place > $1 AND ($2 = '' OR room = $2) ORDER BY place LIMIT $3
"""


class ParkedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One parked record without its content."""

    number: int
    room: str
    instance: str
    sequence: int
    """Instance and sequence are its position in the journal it came from."""
    record: str
    """The record's name; `kind 60000` when this version knows none."""
    state: str
    """failed, waiting (for a predecessor) or behind (another one of its conversation)."""
    error: str
    parked_us: int
    bytes: int
    conversation_id: str
    origin_id: str = ""
    """The turn, or the change without one."""
    org_id: str = ""
    user: int = 0
    conversation_sequence: int = 0
    fence: int = 0
    at_us: int = 0


async def read_parked(connection: asyncpg.Connection, room: str, after: int) -> list[ParkedRecord]:
    """Return the parked records behind a number, PAGE_RECORDS at most; of all rooms for ''."""
    rows = await connection.fetch(_PAGE, after, room, PAGE_RECORDS)
    return [_described(row) for row in rows]


def _described(row: asyncpg.Record) -> ParkedRecord:
    kind = row["kind"]
    found = ParkedRecord(
        number=row["place"],
        room=row["room"],
        instance=row["instance"],
        sequence=row["sequence"],
        record=KINDS[kind].__name__ if kind in KINDS else f"kind {kind}",
        state=row["state"],
        error=row["error"],
        parked_us=row["parked_us"],
        bytes=len(row["payload"]),
        conversation_id=row["conversation_id"],
    )
    try:
        record = decode(kind, row["payload"])
    except UnknownRecord:
        return found
    return msgspec.structs.replace(found, **_head(record))


def _head(record: Record) -> dict[str, str | int]:
    """Return who, where and when, as the record says it."""
    if isinstance(record, SubjectErased | FlagsChanged | ExperimentChanged):
        origin_id, at_us, sequence, fence = record.change_id, record.at_us, 0, 0
        org_id, user = record.org_id, record.user
    elif isinstance(record, EventsReceived):
        origin_id, at_us, sequence, fence = record.batch_id, record.received_us, 0, 0
        org_id, user = record.org_id, record.user
    elif isinstance(record, FeedbackGiven | AccessLogged):
        if isinstance(record, AccessLogged):
            origin_id = record.access_id
        else:
            origin_id = record.feedback_id
        at_us, sequence, fence = record.at_us, 0, 0
        org_id, user = record.org_id, record.user
    elif isinstance(record, AdminAction | TrainingConsent):
        origin_id = record.deed_id if isinstance(record, AdminAction) else ""
        at_us, sequence, fence = record.at_us, 0, 0
        org_id, user = record.org_id, record.user
    elif isinstance(record, ItemsAppended | ConversationChanged):
        origin_id, at_us = record.change_id, record.at_us
        sequence, fence = record.sequence, record.fence
        org_id, user = record.org_id, record.user
    else:
        head = record.head
        origin_id, at_us, sequence, fence = (
            head.turn_id, head.accepted_us, head.sequence, head.fence
        )  # fmt: skip
        org_id, user = head.org_id, head.user
    return {
        "conversation_id": conversation_of(record),
        "origin_id": origin_id,
        "org_id": org_id,
        "user": user,
        "conversation_sequence": sequence,
        "fence": fence,
        "at_us": at_us,
    }
