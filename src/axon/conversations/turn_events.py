"""The events of streamed turns: what a follower was shown, kept for those who come later."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from axon.conversations.errors import HistoryUnavailable
from axon.conversations.loading import LOAD_TIMEOUT_S
from axon.conversations.opening import Opener
from axon.conversations.placed import DELETED_WITH_ITEMS, TURN_FORGOTTEN
from axon.conversations.tail import Tail
from axon.conversations.values import Owner, StoredTurn
from axon.records import ConversationChanged, Record, TurnCompleted, TurnInterrupted
from axon.stores import Postgres, PostgresAway

EVENTS_ITEM = "events"
"""The name under which a turn's events are bound to its place."""

# Told again after it was forgotten, a turn has no answer any more, and its events stay away.
_INSERT = """
INSERT INTO conversations.turn_events (user_id, turn_id, conversation_id, events)
SELECT new.user_id, new.turn_id, new.conversation_id, new.events
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[])
    AS new (user_id, turn_id, conversation_id, events)
JOIN conversations.turns AS t
    ON t.user_id = new.user_id AND t.id = new.turn_id AND t.answer IS NOT NULL
ON CONFLICT (user_id, turn_id) DO NOTHING
"""

_FORGET = """
DELETE FROM conversations.turn_events AS e
USING unnest($1::bigint[], $2::text[]) AS gone (user_id, id)
WHERE e.user_id = gone.user_id AND e.turn_id = gone.id
"""

_DELETE = """
DELETE FROM conversations.turn_events AS e
USING unnest($1::bigint[], $2::text[]) AS gone (user_id, id)
WHERE e.user_id = gone.user_id AND e.conversation_id = gone.id
"""

_READ = "SELECT events FROM conversations.turn_events WHERE user_id = $1 AND turn_id = $2"


async def write_turn_events(connection: asyncpg.Connection, records: Sequence[Record]) -> None:
    """Write and delete events as the records say; their turns are written already."""
    told: dict[tuple[int, str], tuple[Any, ...]] = {}
    forgotten, deleted = [], []
    for record in records:
        if isinstance(record, TurnCompleted | TurnInterrupted) and record.events:
            head = record.head
            if head.unplaced:
                continue  # sealed for a conversation it may never stand in
            row = (head.user, head.turn_id, head.conversation_id, record.events)
            told.setdefault((head.user, head.turn_id), row)  # a turn's first end is its end
        elif isinstance(record, ConversationChanged) and record.change == TURN_FORGOTTEN:
            forgotten.append((record.user, record.item_id))
        elif isinstance(record, ConversationChanged) and record.change == "item_deleted":
            forgotten.append((record.user, record.origin_id))
        elif isinstance(record, ConversationChanged) and record.change == DELETED_WITH_ITEMS:
            deleted.append((record.user, record.conversation_id))
    if told:
        await connection.execute(_INSERT, *zip(*told.values(), strict=True))
    if forgotten:
        await connection.execute(_FORGET, *zip(*forgotten, strict=True))
    if deleted:
        await connection.execute(_DELETE, *zip(*deleted, strict=True))


async def erase_turn_events(connection: asyncpg.Connection, user: int) -> None:
    """Delete the events of all the person's turns."""
    await connection.execute("DELETE FROM conversations.turn_events WHERE user_id = $1", user)


class TurnEvents:
    """Reads them: from the journal's tail, else from PostgreSQL."""

    def __init__(self, postgres: Postgres, tail: Tail, opener: Opener) -> None:
        """Read through `opener`."""
        self._postgres = postgres
        self._tail = tail
        self._opener = opener

    async def read(self, turn: StoredTurn) -> bytes:
        """Return every event of a turn that has ended; nothing when it was not streamed.

        Raises HistoryUnavailable.
        """
        sealed = await self._in_tail(turn.turn_id) or await self._in_postgres(turn)
        if not sealed:
            return b""
        place = (turn.conversation_id, turn.turn_id, EVENTS_ITEM)
        return await self._opener.open(turn.owner, place, sealed) or b""

    async def _in_tail(self, turn_id: str) -> bytes:
        entry = self._tail.turn(turn_id)
        if entry is None:
            return b""
        [record] = await self._tail.read([entry])
        return record.events if isinstance(record, TurnCompleted | TurnInterrupted) else b""

    async def _in_postgres(self, turn: StoredTurn) -> bytes:
        owner: Owner = turn.owner
        try:
            async with self._postgres.connection(LOAD_TIMEOUT_S) as connection:
                found: bytes | None = await connection.fetchval(_READ, owner.user, turn.turn_id)
        except PostgresAway as away:
            raise HistoryUnavailable("PostgreSQL is away") from away
        return found or b""
