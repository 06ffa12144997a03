"""Opening sealed items, with the keys of whoever sealed them."""

from collections.abc import Sequence

from axon.conversations.errors import HistoryAway
from axon.conversations.history import HistoryItem, HistoryTurn, WindowTurn
from axon.conversations.store import ItemRow
from axon.conversations.values import Owner, StoredItem
from axon.records import SealedItem
from axon.sealing import (
    DataKey,
    KeyGone,
    KeyRootUnavailable,
    KeyStore,
    item_context,
    key_id_of,
    open_sealed,
)
from axon.stores import Postgres, PostgresAway

FETCH_TIMEOUT_S = 2.0
"""For a key that another node made; its items wait for it."""


class Opener:
    """Opens what was sealed for a place; content whose key was erased is left out."""

    def __init__(self, keys: KeyStore, postgres: Postgres) -> None:
        """Use `keys`, and `postgres` for the keys of other nodes."""
        self._keys = keys
        self._postgres = postgres

    async def open(self, owner: Owner, place: tuple[str, str, str], blob: bytes) -> bytes | None:
        """Return the content sealed for (conversation, turn, item); None when its key is gone.

        Raises SealBroken for a damaged blob, HistoryAway when the key is another node's
        and PostgreSQL is away, or the root of the keys.
        """
        key = await self.key_of(blob)
        if key is None:
            return None
        return open_sealed(key, item_context(owner.org_id, owner.user, *place), blob)

    async def key_of(self, blob: bytes) -> DataKey | None:
        """Return the key the blob was sealed with, None when it is gone; raises as `open` does."""
        key_id = key_id_of(blob)
        key = self._keys.cached_by_id(key_id)
        return key if key is not None else await self._find_key(key_id)

    async def open_turn(self, owner: Owner, conversation_id: str, turn: WindowTurn) -> HistoryTurn:
        """Return the turn with its items opened; raises as `open` does."""
        if turn.contents:
            opened = [
                _history_item(item, content)
                for item, content in zip(turn.items, turn.contents, strict=True)
            ]
            return HistoryTurn.of(turn.turn_id, turn.sequence, opened)
        opened = []
        for item in turn.items:
            place = (conversation_id, turn.turn_id, item.item_id)
            content = await self.open(owner, place, item.blob)
            if content is not None:
                opened.append(_history_item(item, content))
        return HistoryTurn.of(turn.turn_id, turn.sequence, opened)

    async def open_turns(
        self, owner: Owner, conversation_id: str, turns: Sequence[WindowTurn]
    ) -> tuple[HistoryTurn, ...]:
        """Return the turns opened, without those that have nothing left; raises as `open` does."""
        opened = [await self.open_turn(owner, conversation_id, turn) for turn in turns]
        return tuple(turn for turn in opened if turn.items)

    async def open_rows(
        self, owner: Owner, conversation_id: str, rows: list[ItemRow]
    ) -> tuple[StoredItem, ...]:
        """Return the items opened, without those whose key is gone; raises as `open` does."""
        items = []
        for row in rows:
            place = (conversation_id, row.turn_id, row.item_id)
            content = await self.open(owner, place, row.blob)
            if content is not None:
                item = StoredItem(
                    item_id=row.item_id,
                    kind=row.kind,
                    author=row.author,
                    status=row.status,
                    content=content,
                )
                items.append(item)
        return tuple(items)

    def holds(self, key_ids: frozenset[bytes]) -> bool:
        """Return whether all these keys are at hand, so that none of them was erased."""
        return all(self._keys.cached_by_id(key_id) is not None for key_id in key_ids)

    async def _find_key(self, key_id: bytes) -> DataKey | None:
        try:
            return await self._keys.by_id(key_id)
        except KeyGone:
            pass
        except KeyRootUnavailable as away:
            raise HistoryAway("the root of the keys is away") from away
        try:
            async with self._postgres.connection(FETCH_TIMEOUT_S) as connection:
                await self._keys.fetch(connection, key_id)
            return await self._keys.by_id(key_id)
        except KeyGone:
            return None
        except PostgresAway as away:
            raise HistoryAway("a key is on another node") from away
        except KeyRootUnavailable as away:
            raise HistoryAway("the root of the keys is away") from away


def _history_item(item: SealedItem, content: bytes) -> HistoryItem:
    return HistoryItem(item.item_id, item.kind, item.author, item.model_tokens, content)
