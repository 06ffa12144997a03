"""What a follower missed, read from PostgreSQL record by record."""

from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import asyncpg

from axon.conversations.changes import ITEM_ADDED, Change
from axon.conversations.errors import CursorExpired, HistoryUnavailable
from axon.conversations.feed_reading import (
    PlacedFeedChange,
    has_expired_places,
    read_conversation_changes,
    read_items,
)
from axon.conversations.store import ItemRow
from axon.stores import Postgres, PostgresAway

REPLAY_PAGE = 100
"""Changes read at a time; no record is so many."""

REPLAY_TIMEOUT_S = 5.0
"""For one page of what was missed."""


class ReplayedRecord(NamedTuple):
    """One record as PostgreSQL remembers it."""

    sequence: int
    changes: Sequence[Change]
    rows: list[ItemRow]
    """Those of the items it added that are still there."""


class Replay:
    """Tells again what the feed has of a conversation."""

    def __init__(self, postgres: Postgres) -> None:
        """Read the feed of `postgres`."""
        self._postgres = postgres

    async def refuse_expired(self, place: tuple[int, str], after: int) -> None:
        """Return when everything of (user, conversation) behind the sequence is still known.

        Raises CursorExpired when it is too long ago, HistoryUnavailable.
        """
        try:
            async with self._postgres.connection(REPLAY_TIMEOUT_S) as connection:
                if await has_expired_places(connection, place, after):
                    raise CursorExpired
        except PostgresAway as away:
            raise HistoryUnavailable("PostgreSQL is away") from away

    async def records(
        self, place: tuple[int, str], bounds: tuple[int, int]
    ) -> AsyncIterator[ReplayedRecord]:
        """Yield the records of (user, conversation) behind one sequence, up to the other.

        Raises HistoryUnavailable.
        """
        after, last = bounds
        while after < last:
            page = await self._page(place, after)
            for record in page:
                after = record.sequence
                if after <= last:
                    yield record
            if not page:
                return

    async def _page(self, place: tuple[int, str], after: int) -> list[ReplayedRecord]:
        """Return the next records, whole ones only; none when there are no more."""
        try:
            async with (
                self._postgres.connection(REPLAY_TIMEOUT_S) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                changes = await read_conversation_changes(connection, place, after, REPLAY_PAGE)
                groups = [list(group) for _, group in groupby(changes, attrgetter("sequence"))]
                if len(changes) == REPLAY_PAGE:
                    groups.pop()  # it may go on behind the page
                return [await _record(connection, place[0], group) for group in groups]
        except PostgresAway as away:
            raise HistoryUnavailable("PostgreSQL is away") from away


async def _record(
    connection: asyncpg.Connection, user: int, changes: Sequence[PlacedFeedChange]
) -> ReplayedRecord:
    added = [one for one in changes if one.change.kind == ITEM_ADDED]
    shown = await read_items(connection, user, added)
    told = [one.change for one in changes]
    return ReplayedRecord(changes[0].sequence, told, list(shown.items.values()))
