"""The SQL of the schema `projection`: cursors and parked records."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import asyncpg

FAILED = "failed"
"""A room could not apply the record; an operator replays it."""

WAITING = "waiting"
"""A predecessor was missing; it is tried again by itself."""

BEHIND = "behind"
"""The record itself may be good, but one of its conversation before it is parked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """An entry that a room does not have yet."""

    room: str
    instance: str
    sequence: int
    conversation_id: str
    kind: int
    payload: bytes
    state: str
    error: str


async def read_cursor_row(connection: asyncpg.Connection, instance: str) -> int:
    """Return how far this journal is applied; 0 when it never was."""
    sequence = await connection.fetchval(
        "SELECT sequence FROM projection.cursors WHERE instance = $1", instance
    )
    return sequence or 0


async def lock_cursor(connection: asyncpg.Connection, instance: str) -> int:
    """Return how far this journal is applied and let nobody else move it in this transaction."""
    await connection.execute(
        "INSERT INTO projection.cursors (instance, sequence) VALUES ($1, 0)"
        " ON CONFLICT (instance) DO NOTHING",
        instance,
    )
    sequence: int = await connection.fetchval(
        "SELECT sequence FROM projection.cursors WHERE instance = $1 FOR UPDATE", instance
    )
    return sequence


async def move_cursor(connection: asyncpg.Connection, instance: str, sequence: int) -> None:
    """Set how far this journal is applied."""
    await connection.execute(
        "UPDATE projection.cursors SET sequence = $2, updated_at = now() WHERE instance = $1",
        instance,
        sequence,
    )


async def park(connection: asyncpg.Connection, parked: Sequence[Parked]) -> None:
    """Keep the entries, in this order; one that is parked already stays where it is."""
    await connection.executemany(
        "INSERT INTO projection.parked"
        " (room, instance, sequence, conversation_id, kind, payload, state, error)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        " ON CONFLICT (room, instance, sequence) DO NOTHING",
        [
            (
                entry.room,
                entry.instance,
                entry.sequence,
                entry.conversation_id,
                entry.kind,
                entry.payload,
                entry.state,
                entry.error,
            )
            for entry in parked
        ],
    )


async def blocked_conversations(
    connection: asyncpg.Connection, room: str, conversation_ids: Sequence[str]
) -> set[str]:
    """Return those of the conversations that have a parked record in this room."""
    rows = await connection.fetch(
        "SELECT DISTINCT conversation_id FROM projection.parked"
        " WHERE room = $1 AND conversation_id = ANY($2)",
        room,
        conversation_ids,
    )
    return {row["conversation_id"] for row in rows}


async def count_parked(connection: asyncpg.Connection) -> dict[str, int]:
    """Return how many records are parked, by state."""
    rows = await connection.fetch(
        "SELECT state, count(*) AS records FROM projection.parked GROUP BY state"
    )
    return {row["state"]: row["records"] for row in rows}


async def heads(
    connection: asyncpg.Connection, room: str, states: Sequence[str]
) -> list[tuple[int, str]]:
    """Return (place, conversation) of the records that nothing is parked before, in order."""
    rows = await connection.fetch(
        "SELECT place, conversation_id FROM projection.parked AS record"
        " WHERE room = $1 AND state = ANY($2) AND (conversation_id = '' OR NOT EXISTS ("
        "   SELECT 1 FROM projection.parked AS earlier WHERE earlier.room = record.room"
        "   AND earlier.conversation_id = record.conversation_id"
        "   AND earlier.place < record.place))"
        " ORDER BY place",
        room,
        states,
    )
    return [(row["place"], row["conversation_id"]) for row in rows]


class ParkedHead(NamedTuple):
    """The first parked record of a conversation in a room."""

    room: str
    place: int
    conversation_id: str


async def head_of(connection: asyncpg.Connection, place: int) -> ParkedHead | None:
    """Return what stands first in the line of a parked record, often itself; None if it is gone."""
    row = await connection.fetchrow(
        "SELECT head.room, head.place, head.conversation_id"
        " FROM projection.parked AS record JOIN projection.parked AS head"
        "   ON head.place = record.place OR (head.room = record.room"
        "   AND head.conversation_id = record.conversation_id AND record.conversation_id <> '')"
        " WHERE record.place = $1 ORDER BY head.place LIMIT 1",
        place,
    )
    return None if row is None else ParkedHead(*row)


async def take_line(
    connection: asyncpg.Connection, room: str, head: tuple[int, str], most: int
) -> list[tuple[int, Parked]]:
    """Return a parked record and those of its conversation behind it, in order, for replaying.

    Nobody else can replay them in the meantime.
    """
    place, conversation_id = head
    rows = await connection.fetch(
        "SELECT * FROM projection.parked WHERE room = $1 AND place >= $2"
        " AND (place = $2 OR (conversation_id = $3 AND $3 <> ''))"
        " ORDER BY place LIMIT $4 FOR UPDATE",
        room,
        place,
        conversation_id,
        most,
    )
    names = [field.name for field in fields(Parked)]
    return [(row["place"], Parked(**{name: row[name] for name in names})) for row in rows]


async def unpark(connection: asyncpg.Connection, place: int) -> None:
    """Forget a parked record; its effect is in the same transaction."""
    await connection.execute("DELETE FROM projection.parked WHERE place = $1", place)


async def note_failure(connection: asyncpg.Connection, place: int, state: str, error: str) -> None:
    """Say why a parked record still cannot be applied."""
    await connection.execute(
        "UPDATE projection.parked SET state = $2, error = $3 WHERE place = $1",
        place,
        state,
        error,
    )
