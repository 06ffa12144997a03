"""A person's feed: exactly what changed since a cursor, on whichever device."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from axon.base import Clock
from axon.conversations.errors import CursorExpired, HistoryUnavailable, NotACursor
from axon.conversations.feed_reading import (
    PlacedFeedChange,
    read_changes,
    read_feed,
    read_items,
)
from axon.conversations.opening import Opener
from axon.conversations.reading import Reading
from axon.conversations.store import ItemRow, StateRow, read_states
from axon.conversations.tail import Tail
from axon.conversations.values import Conversation, Owner, StoredItem
from axon.stores import Postgres, PostgresAway

CATCH_UP_S = 2.0
"""How long a reader waits for PostgreSQL to have what this process acknowledged to its person; it
usually has it within 50 ms."""

CATCH_UP_POLL_S = 0.01
"""The mark is in memory that the projector shares; a look costs microseconds."""

READ_TIMEOUT_S = 5.0
"""For one page, of ITEM_BYTES_MAX and more."""

_PREFIX = "sync_"
_CHECK_BYTES = 4
_CURSOR_BYTES = 16 + _CHECK_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedChange:
    """One change, with what it speaks of as it now is."""

    position: int
    at_us: int
    kind: str
    conversation_id: str
    turn_id: str
    """The turn that added the items; empty when none did."""
    item_ids: tuple[str, ...]
    items: tuple[StoredItem, ...]
    """Those of the added items that are still there."""
    conversation: Conversation | None
    """None when it was deleted since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Changes in the order in which they were committed."""

    changes: tuple[FeedChange, ...]
    cursor: str
    """Where the next page begins."""
    has_more: bool


class _Rows(NamedTuple):
    """One page as PostgreSQL has it."""

    changes: list[PlacedFeedChange]
    items: dict[tuple[str, str], ItemRow]
    states: dict[str, StateRow]
    position: int
    has_more: bool


class CatchingUp:
    """Waits until PostgreSQL has what this process acknowledged to a person."""

    def __init__(self, tail: Tail, projected: Callable[[], int], clock: Clock) -> None:
        """`projected` tells how far PostgreSQL has this process's journal."""
        self._tail = tail
        self._projected = projected
        self._clock = clock

    async def wait(self, user: int) -> bool:
        """Return True once it has, False after CATCH_UP_S."""
        wanted = self._tail.newest(user)
        deadline = self._clock.monotonic() + CATCH_UP_S
        while self._projected() < wanted:
            if self._clock.monotonic() >= deadline:
                return False
            await asyncio.sleep(CATCH_UP_POLL_S)
        return True


class Feed:
    """Reads the changes that the projector has written."""

    def __init__(
        self, postgres: Postgres, reading: Reading, opener: Opener, catching_up: CatchingUp
    ) -> None:
        """`reading` and `opener` open titles and items."""
        self._postgres = postgres
        self._reading = reading
        self._opener = opener
        self._catching_up = catching_up

    async def read(
        self, owner: Owner, cursor: str | None, limit: int, *, from_beginning: bool = False
    ) -> FeedPage:
        """Return what changed in the person's conversations since `cursor`, without one from now.

        `from_beginning`: without a cursor, from the oldest change that is kept (30 days at
        least). Waits up to CATCH_UP_S until PostgreSQL has what this process acknowledged. Raises
        NotACursor, CursorExpired, HistoryUnavailable.
        """
        after = None if cursor is None else _position(owner.user, cursor)
        await self._catching_up.wait(owner.user)
        try:
            async with (
                self._postgres.connection(READ_TIMEOUT_S) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                rows = await _read(connection, owner.user, (after, from_beginning), limit)
        except PostgresAway as away:
            raise HistoryUnavailable("PostgreSQL is away") from away
        return FeedPage(
            changes=await self._shown(owner, rows),
            cursor=_cursor(owner.user, rows.position),
            has_more=rows.has_more,
        )

    async def _shown(self, owner: Owner, rows: _Rows) -> tuple[FeedChange, ...]:
        conversations = {
            name: await self._reading.shown(owner, name, state)
            for name, state in rows.states.items()
            if not state.deleted
        }
        shown = []
        for position, at_us, name, _, change in rows.changes:
            found = [rows.items.get((name, item_id)) for item_id in change.item_ids]
            there = [row for row in found if row is not None]
            items: tuple[StoredItem, ...] = ()
            if name in conversations:
                items = await self._opener.open_rows(owner, name, there)
            shown.append(
                FeedChange(
                    position=position,
                    at_us=at_us,
                    kind=change.kind,
                    conversation_id=name,
                    turn_id=change.turn_id,
                    item_ids=tuple(change.item_ids),
                    items=items,
                    conversation=conversations.get(name),
                )
            )
        return tuple(shown)


async def _read(
    connection: asyncpg.Connection, user: int, start: tuple[int | None, bool], limit: int
) -> _Rows:
    """Return a page behind the position, or from now on; raises CursorExpired."""
    after, from_beginning = start
    feed = await read_feed(connection, user)
    if after is None:
        after = feed.expired_through if from_beginning else feed.position
    elif not feed.expired_through <= after <= feed.position:
        raise CursorExpired
    changes = await read_changes(connection, user, after, limit + 1)
    has_more = len(changes) > limit
    shown = await read_items(connection, user, changes[:limit])
    has_more = has_more or shown.changes < len(changes)
    changes = changes[: shown.changes]
    states = await read_states(connection, user, list({one.conversation_id for one in changes}))
    position = changes[-1].position if has_more else feed.position
    return _Rows(changes, shown.items, states, position, has_more)


def _cursor(user: int, position: int) -> str:
    body = user.to_bytes(8, "big") + position.to_bytes(8, "big")
    return _PREFIX + (body + _check(body)).hex()


def _position(user: int, cursor: str) -> int:
    """Return the position in the cursor; raises NotACursor unless we made it for this person."""
    prefix, text = cursor[: len(_PREFIX)], cursor[len(_PREFIX) :]
    if prefix != _PREFIX or len(text) != 2 * _CURSOR_BYTES:
        raise NotACursor
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise NotACursor from None
    body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
    if check != _check(body) or int.from_bytes(body[:8], "big") != user:
        raise NotACursor
    return int.from_bytes(body[8:], "big")


def _check(body: bytes) -> bytes:
    """Return what tells a cursor of ours from one that was cut or mistyped; it is no secret."""
    return hashlib.blake2s(body, digest_size=_CHECK_BYTES, person=b"sync").digest()
