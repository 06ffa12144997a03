"""Finding items by their ids alone, wherever they stand."""

import asyncio
from collections.abc import Iterable, Sequence

import asyncpg

from axon.base import MICROS_PER_SECOND, Clock
from axon.conversations.cold_items import ColdItems
from axon.conversations.errors import HistoryUnavailable
from axon.conversations.loading import LOAD_TIMEOUT_S
from axon.conversations.opening import Opener
from axon.conversations.placed import DELETIONS
from axon.conversations.tail import Tail
from axon.conversations.values import Owner, StoredItem
from axon.records import ConversationChanged
from axon.stores import Postgres, PostgresAway

CATCH_UP_S = 2.0
"""How long an item that was just made is waited for: it is read from PostgreSQL alone."""

FRESH_S = 900.0
"""How old an item may be to be waited for: older than any turn that may still be running."""

_LOOK_EVERY_S = 0.02

_ITEMS = """
SELECT i.item_id, i.kind, i.author, i.status, i.conversation_id, i.turn_id, i.blob
FROM conversations.items AS i
JOIN conversations.conversations AS c ON c.user_id = i.user_id AND c.id = i.conversation_id
WHERE i.user_id = $1 AND i.item_id = ANY($2::text[]) AND c.deleted_us IS NULL
"""


class Referring:
    """Reads items that a request refers to instead of sending them."""

    def __init__(
        self, postgres: Postgres, tail: Tail, opener: Opener, clock: Clock, cold: ColdItems
    ) -> None:
        """Read from `postgres`, which is a moment behind; `tail` says what is gone since."""
        self._cold = cold
        self._postgres = postgres
        self._tail = tail
        self._opener = opener
        self._clock = clock

    async def items(
        self, owner: Owner, item_ids: Sequence[str], newest_us: int
    ) -> dict[str, StoredItem]:
        """Return those of the person's items that are there, by id.

        `newest_us` is when the newest was made; recent ones are waited for up to CATCH_UP_S.
        Raises HistoryUnavailable.
        """
        fresh = self._clock.now_us() - newest_us < FRESH_S * MICROS_PER_SECOND
        give_up_s = self._clock.monotonic() + (CATCH_UP_S if fresh else 0.0)
        wanted = set(item_ids)
        while True:
            rows = await self._rows(owner.user, list(wanted))
            if len(rows) == len(wanted) or self._clock.monotonic() >= give_up_s:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        missing = wanted - {row["item_id"] for row in rows}
        if missing and await self._cold.bring_back(owner, list(missing)):
            rows = await self._rows(owner.user, list(wanted))
        deleted = await self._deleted({row["conversation_id"] for row in rows})
        found = {}
        # Read anew behind the tail: what was deleted is known to one of the two.
        for name, kind, author, status, *place, blob in await self._rows(owner.user, list(wanted)):
            if place[0] in deleted or name in deleted:
                continue
            content = await self._opener.open(owner, (place[0], place[1], name), blob)
            if content is not None:
                found[name] = StoredItem(
                    item_id=name, kind=kind, author=author, status=status, content=content
                )
        return found

    async def _deleted(self, conversation_ids: Iterable[str]) -> set[str]:
        """Return which of the conversations, and which of their items, the tail says are gone."""
        gone = set()
        for conversation_id in conversation_ids:
            for record in await self._tail.read(self._tail.places(conversation_id)):
                if isinstance(record, ConversationChanged):
                    if DELETIONS.intersection(record.changes):
                        gone.add(conversation_id)
                    gone.add(record.item_id)
        return gone

    async def _rows(self, user: int, item_ids: list[str]) -> list[asyncpg.Record]:
        try:
            async with self._postgres.connection(LOAD_TIMEOUT_S) as connection:
                rows: list[asyncpg.Record] = await connection.fetch(_ITEMS, user, item_ids)
                return rows
        except PostgresAway as away:
            raise HistoryUnavailable("PostgreSQL is away") from away
