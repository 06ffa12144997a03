"""Forking: a new conversation that begins with a copy of another, up to one of its items.

Content is sealed for its place, so a copy is sealed anew, and it is one record: the fork is there
whole or not at all.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from axon.base import MIB
from axon.conversations.errors import (
    ConversationNotFound,
    ForkCutsCall,
    ForkTooLarge,
    HistoryUnavailable,
)
from axon.conversations.history import HistoryItem, HistoryTurn
from axon.conversations.loading import LOAD_TIMEOUT_S, Loader
from axon.conversations.opening import Opener
from axon.conversations.overlay import View
from axon.conversations.reading import Reading
from axon.conversations.values import Conversation, NewItem, Owner
from axon.records import SealedItem
from axon.stores import Postgres, PostgresAway

FORK_ITEMS_MAX = 2_000
FORK_BYTES_MAX = 12 * MIB
"""What one record may copy; a journal entry has 16 MiB at most."""

ITEMS_AT_ONCE = 64
"""Items opened, or sealed, before others have their turn: about a millisecond."""

_CALL_OUTPUTS = "%_call_output"

# The item that is one too many, by number or by bytes, is the last row.
_ITEMS = """
SELECT sequence, index, turn_id, item_id, kind, author, model_tokens, blob FROM (
    SELECT *, sum(octet_length(blob)) OVER (ORDER BY sequence, index) AS total FROM (
        SELECT * FROM conversations.items
        WHERE user_id = $1 AND conversation_id = $2
            AND (sequence, index) > ($3, $4) AND (sequence, index) <= ($5, $6) AND kind LIKE $7
        ORDER BY sequence, index LIMIT $8
    ) AS first
) AS counted WHERE total - octet_length(blob) <= $9 ORDER BY sequence, index
"""

Point = tuple[int, int]
"""A place in a conversation and the index of an item there."""

_BEGINNING: Point = (0, -1)
_END: Point = (2**31 - 1, 2**31 - 1)


class PlacedItem(NamedTuple):
    """A sealed item and where it stands."""

    sequence: int
    item_index: int
    origin_id: str
    item: SealedItem


class Copy(NamedTuple):
    """What a fork begins with."""

    conversation: Conversation
    """The original."""
    items: list[NewItem]
    last_item_id: str
    """Of the original; empty when it had no items."""


class Copying:
    """Reads what is to be copied."""

    def __init__(
        self, postgres: Postgres, loader: Loader, reading: Reading, opener: Opener
    ) -> None:
        """`loader` proves what the conversation holds."""
        self._postgres = postgres
        self._loader = loader
        self._reading = reading
        self._opener = opener

    async def copy(
        self, owner: Owner, conversation_id: str, item_id: str | None, *, before: bool = False
    ) -> Copy:
        """Return the conversation's items up to `item_id`, all of them when it is None.

        With `before` that item itself is left out.

        Raises ItemNotFound, ForkTooLarge, and ForkCutsCall when a call would be copied without
        the output that answers it.
        """
        view = await self._loader.whole_view(owner, conversation_id)
        if view.state.implicit:
            raise ConversationNotFound
        place, end = (owner.user, conversation_id), _END
        if item_id is not None:
            row = await self._reading.find(view, place, item_id)
            end = (row.sequence, row.item_index - before)
        placed = await self._items(view, place, (_BEGINNING, end))
        kept = await self._open(owner, conversation_id, placed)
        calls = HistoryTurn.of("", 0, kept).calls
        if calls and item_id is not None:
            later = await self._items(view, place, (end, _END), _CALL_OUTPUTS)
            opened = await self._open(owner, conversation_id, later)
            if calls & HistoryTurn.of("", 0, opened).answers:
                raise ForkCutsCall
        return Copy(
            conversation=await self._reading.shown(owner, conversation_id, view.state),
            items=[without_id(item) for item in kept],
            last_item_id=placed[-1].item.item_id if placed else "",
        )

    async def _items(
        self, view: View, place: tuple[int, str], bounds: tuple[Point, Point], kind: str = "%"
    ) -> list[PlacedItem]:
        """Return the items behind one point up to another; raises ForkTooLarge."""
        after, end = bounds
        found = []
        if view.base_head and after[0] <= view.base_head:
            last = min(end, (view.base_head, _END[1]))
            limits = (FORK_ITEMS_MAX + 1 + len(view.deleted_items), FORK_BYTES_MAX)
            try:
                async with self._postgres.connection(LOAD_TIMEOUT_S) as connection:
                    rows = await connection.fetch(_ITEMS, *place, *after, *last, kind, *limits)
            except PostgresAway as away:
                raise HistoryUnavailable("PostgreSQL is away") from away
            found = [_placed(row) for row in rows if row["sequence"] not in view.replaced]
        found += [one for one in _in_tail(view) if after < (one.sequence, one.item_index) <= end]
        found = [one for one in found if one.item.item_id not in view.deleted_items]
        if len(found) > FORK_ITEMS_MAX:
            raise ForkTooLarge(f"it may have {FORK_ITEMS_MAX} items")
        if sum(len(one.item.blob) for one in found) > FORK_BYTES_MAX:
            raise _too_many_bytes()
        return found

    async def _open(
        self, owner: Owner, conversation_id: str, placed: Sequence[PlacedItem]
    ) -> list[HistoryItem]:
        """Return the items opened, but those whose key is gone; raises ForkTooLarge."""
        opened, size = [], 0
        for number, (_, _, origin_id, item) in enumerate(placed):
            if number % ITEMS_AT_ONCE == ITEMS_AT_ONCE - 1:
                await asyncio.sleep(0)
            place = (conversation_id, origin_id, item.item_id)
            content = await self._opener.open(owner, place, item.blob)
            if content is None:
                continue
            size += len(content)
            if size > FORK_BYTES_MAX:
                raise _too_many_bytes()
            opened.append(
                HistoryItem(item.item_id, item.kind, item.author, item.model_tokens, content)
            )
        return opened


def _too_many_bytes() -> ForkTooLarge:
    return ForkTooLarge(f"it may have {FORK_BYTES_MAX // MIB} MiB of items")


def _placed(row: asyncpg.Record) -> PlacedItem:
    sequence, index, origin_id, *item = row.values()
    return PlacedItem(sequence, index, origin_id, SealedItem(*item))


def _in_tail(view: View) -> list[PlacedItem]:
    return [
        PlacedItem(change.sequence, index, change.origin_id, item)
        for change in view.changes
        for index, item, _, _ in change.rows()
    ]


def without_id(item: HistoryItem) -> NewItem:
    """Return the item as a new one: in the fork it gets an id of its own."""
    members = msgspec.json.decode(item.content, type=dict[str, msgspec.Raw])
    members.pop("id", None)
    content = msgspec.json.encode(members)
    return NewItem(
        kind=item.kind, author=item.author, content=content, model_tokens=item.model_tokens
    )
