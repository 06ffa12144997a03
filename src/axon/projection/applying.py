"""Giving a batch to a room: all of it at once, and around the record that does not fit."""

from dataclasses import dataclass

import asyncpg

from axon.privacy import Redactor
from axon.projection.errors import Gap
from axon.projection.records import Positioned, Readable, RoomProjector
from axon.projection.store import BEHIND, FAILED, WAITING, Parked, blocked_conversations
from axon.stores import means_away

_REDACTOR = Redactor()
ERROR_LENGTH_MAX = 2000
"""Of the text kept with a parked record; enough to tell the cause."""


NOT_OF_THIS_SCHEMA = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,
)
"""What a database says whose migrations are not this version's: no record's fault, so nothing is
parked for it."""


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """One batch on its way into one room."""

    connection: asyncpg.Connection
    projector: RoomProjector
    blocked: set[str]
    """Conversations of which an earlier record does not fit."""
    left: list[Parked]
    """What the room cannot have now."""


async def apply_to_room(
    connection: asyncpg.Connection, projector: RoomProjector, batch: list[Readable]
) -> list[Parked]:
    """Apply what can be applied, within the open transaction, and return what is to be parked.

    Of one conversation the rows are in order. An outage is no record's fault: it is raised, as
    asyncpg says it.
    """
    conversations = {entry.conversation_id for entry in batch if entry.conversation_id}
    attempt = _Attempt(
        connection=connection,
        projector=projector,
        blocked=await blocked_conversations(connection, projector.name, list(conversations)),
        left=[
            entry.to_park(projector.name, FAILED, describe(entry.error))
            for entry in batch
            if entry.error is not None
        ],
    )
    await _apply(attempt, [entry for entry in batch if entry.error is None])
    return attempt.left


async def _apply(attempt: _Attempt, batch: list[Readable]) -> None:
    """Apply a part of the batch, halving it as long as it fails; earlier halves go first."""
    room = attempt.projector.name
    ready: list[Readable] = []
    for entry in batch:
        if entry.conversation_id in attempt.blocked:
            attempt.left.append(entry.to_park(room, BEHIND, ""))
        else:
            ready.append(entry)
    records = [entry.positioned for entry in ready if entry.positioned is not None]
    error = await try_records(attempt.connection, attempt.projector, records)
    if error is None:
        return
    if len(ready) == 1:
        (entry,) = ready
        attempt.left.append(entry.to_park(room, state_after(error), describe(error)))
        if entry.conversation_id:
            attempt.blocked.add(entry.conversation_id)
        return
    middle = len(ready) // 2
    await _apply(attempt, ready[:middle])
    await _apply(attempt, ready[middle:])


async def try_records(
    connection: asyncpg.Connection, projector: RoomProjector, records: list[Positioned]
) -> Exception | None:
    """Apply the records in a savepoint; return why they failed and left nothing, or None.

    Raises what speaks of an outage, of a transaction that only needs to be repeated, or of a schema
    that only a migration can mend.
    """
    if not records:
        return None
    try:
        async with connection.transaction():
            await projector.apply(connection, records)
    except Exception as error:
        repeatable = isinstance(error, asyncpg.TransactionRollbackError)
        is_schema = isinstance(error, NOT_OF_THIS_SCHEMA)
        if repeatable or is_schema or connection.is_closed() or means_away(error):
            raise
        return error
    return None


def state_after(error: Exception) -> str:
    """Return the state in which a record is parked that failed with this error."""
    return WAITING if isinstance(error, Gap) else FAILED


def describe(error: Exception) -> str:
    """Return the error as it is kept with a parked record."""
    told = _REDACTOR.redact_text(f"{type(error).__name__}: {error}")
    return told[:ERROR_LENGTH_MAX].replace("\0", "")
