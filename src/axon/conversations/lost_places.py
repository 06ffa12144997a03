"""For a restore without some records: conversations go on behind the places that are lost."""

from collections.abc import Iterable

import asyncpg

from axon.conversations.batch import place_of
from axon.records import (
    ConversationChanged,
    ItemsAppended,
    Record,
    TurnCompleted,
    TurnInterrupted,
)

_OPEN = """
CREATE TEMP TABLE first_places (
    user_id bigint NOT NULL,
    conversation_id text NOT NULL,
    org_id text NOT NULL,
    sequence int NOT NULL,
    at_us bigint NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
) ON COMMIT DROP
"""

_NOTE = """
INSERT INTO first_places AS f
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::int[], $5::bigint[])
ON CONFLICT (user_id, conversation_id) DO UPDATE SET sequence = excluded.sequence
WHERE excluded.sequence < f.sequence
"""

# What was to be known of a conversation that is not there at all is lost with its beginning; it
# is listed, so that its person finds what is left of it.
_SKIP = """
INSERT INTO conversations.conversations AS c
    (user_id, id, org_id, created_us, updated_us, head_sequence, head_fence, implicit)
SELECT user_id, conversation_id, org_id, at_us, at_us, sequence - 1, 0, false
FROM first_places WHERE sequence > 1
ON CONFLICT (user_id, id) DO UPDATE SET head_sequence = excluded.head_sequence
WHERE c.head_sequence < excluded.head_sequence
"""


class LostPlaces:
    """Finds the first place of each conversation in what will be applied, then makes room."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        """Work within the transaction that is open; what is noted is kept in PostgreSQL."""
        self._connection = connection

    async def open(self) -> None:
        """Make the table of what is noted; it lives as long as the transaction."""
        await self._connection.execute(_OPEN)

    async def note(self, records: Iterable[Record]) -> None:
        """Take note of records that will be applied."""
        first: dict[tuple[int, str], tuple[str, int, int]] = {}
        for record in records:
            place = place_of(record)
            if place is None or place.sequence < 1:
                continue
            org_id, at_us = _origin(record)
            found = first.get(place.conversation)
            if found is None or place.sequence < found[1]:
                first[place.conversation] = (org_id, place.sequence, at_us)
        if first:
            rows = [(*conversation, *origin) for conversation, origin in first.items()]
            await self._connection.execute(_NOTE, *map(list, zip(*rows, strict=True)))

    async def skip(self) -> int:
        """Put the heads right before what was noted; return how many conversations lack places."""
        return int((await self._connection.execute(_SKIP)).split()[-1])


def _origin(record: Record) -> tuple[str, int]:
    """Return the organization and the instant of a record that takes a place."""
    if isinstance(record, ItemsAppended | ConversationChanged):
        return record.org_id, record.at_us
    assert isinstance(record, TurnCompleted | TurnInterrupted)
    return record.head.org_id, record.head.accepted_us
