"""Trying parked records again, each conversation's in order."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from axon.journal import Entry, Location
from axon.projection.applying import describe, state_after, try_records
from axon.projection.records import RoomProjector, read_entry
from axon.projection.store import (
    Parked,
    head_of,
    heads,
    note_failure,
    take_line,
    unpark,
)

LINE_RECORDS_MAX = 100
"""Bounds one transaction; what is left of a conversation is the next replay's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay did."""

    applied: int
    refused: int
    """Records that still cannot be applied; what waits behind them was not tried."""


async def replay_room(
    connection: asyncpg.Connection, projector: RoomProjector, states: list[str]
) -> Replayed:
    """Apply the room's parked records whose first is in one of the states, in parking order.

    Each conversation is a transaction of its own and ends at the first record that fails.
    """
    applied = refused = 0
    for head in await heads(connection, projector.name, states):
        async with connection.transaction():
            count, failed = await _replay_line(connection, projector, head)
        applied += count
        refused += failed
    return Replayed(applied=applied, refused=refused)


async def replay_number(
    connection: asyncpg.Connection, projectors: Sequence[RoomProjector], number: int
) -> Replayed:
    """Apply one parked record and those of its conversation behind it; raises nothing of theirs.

    When another one of its conversation is parked before it, that one goes first: order is kept.
    """
    rooms = {projector.name: projector for projector in projectors}
    async with connection.transaction():
        head = await head_of(connection, number)
        if head is None or head.room not in rooms:
            return Replayed(applied=0, refused=0)
        applied, failed = await _replay_line(
            connection, rooms[head.room], (head.place, head.conversation_id)
        )
    return Replayed(applied=applied, refused=int(failed))


async def _replay_line(
    connection: asyncpg.Connection, projector: RoomProjector, head: tuple[int, str]
) -> tuple[int, bool]:
    """Return how many records were applied, and whether one failed."""
    applied = 0
    for place, parked in await take_line(connection, projector.name, head, LINE_RECORDS_MAX):
        error = await _replay(connection, projector, parked)
        if error is not None:
            await note_failure(connection, place, state_after(error), describe(error))
            return applied, True
        await unpark(connection, place)
        applied += 1
    return applied, False


async def _replay(
    connection: asyncpg.Connection, projector: RoomProjector, parked: Parked
) -> Exception | None:
    nowhere = Location(parked.sequence, 0, 0, len(parked.payload))
    entry = Entry(parked.sequence, 0, parked.kind, parked.payload, nowhere)
    readable = read_entry(parked.instance, entry)
    if readable.positioned is None:
        return readable.error
    return await try_records(connection, projector, [readable.positioned])
