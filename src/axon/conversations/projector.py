"""How this room applies the journal's records to its tables."""

from collections.abc import Sequence

import asyncpg

from axon.conversations.batch import Batch, place_of
from axon.conversations.chat_store import erase_chat_completions, write_chat_completions
from axon.conversations.keys import erase_keys, write_keys
from axon.conversations.projecting import (
    NO_HEAD,
    erase_person,
    find_fences,
    lock_heads,
    write_rows,
)
from axon.conversations.turn_events import erase_turn_events, write_turn_events
from axon.projection import Positioned
from axon.records import Record, SubjectErased


class ConversationsProjector:
    """Applies records in batches; the same record twice changes nothing.

    A record with a place is applied when it follows the conversation's head, or when its fence is
    higher than that of the record that stands at its place; one further on is a Gap.
    """

    name = "conversations"

    async def apply(self, connection: asyncpg.Connection, records: list[Positioned]) -> None:
        """Apply the records in order within the open transaction; raises Gap, then for all."""
        run: list[Record] = []
        for positioned in records:
            if isinstance(positioned.record, SubjectErased):
                await _apply(connection, run)
                await erase_person(connection, positioned.record.user)
                await erase_chat_completions(connection, positioned.record.user)
                await erase_turn_events(connection, positioned.record.user)
                await erase_keys(connection, positioned.record.user)
                run = []
            else:
                run.append(positioned.record)
        await _apply(connection, run)


async def _apply(connection: asyncpg.Connection, records: Sequence[Record]) -> None:
    if not records:
        return
    places = [place for record in records if (place := place_of(record)) is not None]
    heads = await lock_heads(connection, {place.conversation for place in places})
    late = [
        (*place.conversation, place.sequence)
        for place in places
        if place.sequence <= heads.get(place.conversation, NO_HEAD).sequence
    ]
    batch = Batch(heads, await find_fences(connection, late))
    for record in records:
        batch.add(record)
    await write_rows(connection, batch.rows())
    await write_chat_completions(connection, records)
    await write_turn_events(connection, records)
    await write_keys(connection, records)
