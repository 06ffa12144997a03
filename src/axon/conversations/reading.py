"""Reading conversations and their items: PostgreSQL, brought up to date with the tail."""

from axon.conversations.errors import HistoryAway, ItemNotFound
from axon.conversations.loading import LOAD_TIMEOUT_S, Loader
from axon.conversations.loads import Loads
from axon.conversations.opening import Opener
from axon.conversations.overlay import View
from axon.conversations.placed import PlacedChange
from axon.conversations.store import ItemRow, StateRow, read_item_row, read_page
from axon.conversations.values import (
    Conversation,
    ForkOrigin,
    ItemPage,
    Owner,
    Page,
    StoredItem,
)
from axon.stores import Postgres, PostgresAway

TITLE_PLACE = ("", "title")
"""The turn and the item that a conversation's title is sealed for; no real item has this name."""

ITEM_ID_CHARS_MAX = 128
"""More than twice the length of the ids we make."""


def refuse_nonsense(item_id: str) -> None:
    """Return when the text may be an item's id; raises ItemNotFound.

    Costs nothing, and keeps from PostgreSQL what it would refuse: NUL is no character to it.
    """
    if not (item_id.isascii() and item_id.isprintable() and len(item_id) <= ITEM_ID_CHARS_MAX):
        raise ItemNotFound


class Reading:
    """Answers questions about what was acknowledged; takes no lease."""

    def __init__(self, postgres: Postgres, loader: Loader, opener: Opener, loads: Loads) -> None:
        """Read what `loader` proves, with the items of `postgres`."""
        self._postgres = postgres
        self._loads = loads
        self._loader = loader
        self._opener = opener

    async def read(self, owner: Owner, conversation_id: str) -> Conversation:
        """See Looking.read."""
        view = await self._loader.view(owner, conversation_id)
        return await self.shown(owner, conversation_id, view.state)

    async def list_items(self, owner: Owner, conversation_id: str, page: Page) -> ItemPage:
        """See Looking.list_items."""

        async def ask() -> ItemPage:
            return await self._page(owner, conversation_id, page)

        return await self._loader.shared.read(conversation_id, page, ask)

    async def _page(self, owner: Owner, conversation_id: str, page: Page) -> ItemPage:
        view = await self._loader.whole_view(owner, conversation_id)
        place = (owner.user, conversation_id)
        start = (0, -1) if page.order == "asc" else (view.state.head_sequence + 1, -1)
        if page.after is not None:
            row = await self.find(view, place, page.after)
            start = (row.sequence, row.item_index)
        base = await self._base_rows(view, place, page, start)
        rows = [row for row in (*base, *_tail_rows(view)) if _follows(row, start, page.order)]
        rows.sort(key=_key, reverse=page.order == "desc")
        items = await self._opener.open_rows(owner, conversation_id, rows[: page.limit])
        return ItemPage(items=items, has_more=len(rows) > page.limit)

    async def read_item(self, owner: Owner, conversation_id: str, item_id: str) -> StoredItem:
        """See Looking.read_item."""

        async def ask() -> StoredItem:
            return await self._item(owner, conversation_id, item_id)

        return await self._loader.shared.read(conversation_id, item_id, ask)

    async def _item(self, owner: Owner, conversation_id: str, item_id: str) -> StoredItem:
        view = await self._loader.whole_view(owner, conversation_id)
        row = await self.find(view, (owner.user, conversation_id), item_id)
        opened = await self._opener.open_rows(owner, conversation_id, [row])
        if not opened:
            raise ItemNotFound
        return opened[0]

    async def origin_of(self, owner: Owner, conversation_id: str, item_id: str) -> str:
        """Return the turn, or the change, that brought the item; raises ItemNotFound."""
        view = await self._loader.whole_view(owner, conversation_id)
        return (await self.find(view, (owner.user, conversation_id), item_id)).turn_id

    async def read_with_item(
        self, owner: Owner, conversation_id: str, item_id: str
    ) -> Conversation:
        """Return the conversation when it has the item, readable or not; raises ItemNotFound."""
        view = await self._loader.whole_view(owner, conversation_id)
        await self.find(view, (owner.user, conversation_id), item_id)
        return await self.shown(owner, conversation_id, view.state)

    async def shown(self, owner: Owner, conversation_id: str, state: StateRow) -> Conversation:
        """Return the state as a value, its title opened; raises as `Opener.open` does."""
        title = await self.open_title(owner, conversation_id, state.title)
        origin = None
        if state.forked_conversation_id is not None:
            origin = ForkOrigin(
                conversation_id=state.forked_conversation_id, item_id=state.forked_item_id
            )
        return Conversation(
            owner=owner,
            conversation_id=conversation_id,
            created_us=state.created_us,
            updated_us=state.updated_us,
            head_sequence=state.head_sequence,
            metadata=state.metadata,
            title=title,
            model=state.model,
            implicit=state.implicit,
            archived=state.archived,
            forked_from=origin,
        )

    async def open_title(
        self, owner: Owner, conversation_id: str, blob: bytes | None
    ) -> str | None:
        """Return the title opened, None when its key is gone; raises as `Opener.open` does."""
        if blob is None:
            return None
        opened = await self._opener.open(owner, (conversation_id, *TITLE_PLACE), blob)
        return None if opened is None else opened.decode()

    async def _base_rows(
        self, view: View, place: tuple[int, str], page: Page, start: tuple[int, int]
    ) -> list[ItemRow]:
        """Return enough of PostgreSQL's items behind `start` for the page and one more."""
        if page.order == "desc":
            start = min(start, (view.base_head + 1, -1))
        if view.base_head == 0 or (page.order == "asc" and start[0] > view.base_head):
            return []
        limit = page.limit + 1 + len(view.deleted_items)
        try:
            async with (
                self._loads.slot(),
                self._postgres.connection(LOAD_TIMEOUT_S) as connection,
            ):
                rows = await read_page(connection, place, (page.order, start, limit))
        except PostgresAway as away:
            raise HistoryAway from away
        return [row for row in rows if _is_base(view, row)]

    async def find(self, view: View, place: tuple[int, str], item_id: str) -> ItemRow:
        """Return the item as it stands in the conversation; raises ItemNotFound."""
        for row in _tail_rows(view):
            if row.item_id == item_id:
                return row
        if view.base_head == 0:
            raise ItemNotFound
        try:
            async with (
                self._loads.slot(),
                self._postgres.connection(LOAD_TIMEOUT_S) as connection,
            ):
                found = await read_item_row(connection, place, item_id)
        except PostgresAway as away:
            raise HistoryAway from away
        if found is None or not _is_base(view, found):
            raise ItemNotFound
        return found


def _key(row: ItemRow) -> tuple[int, int]:
    return row.sequence, row.item_index


def _follows(row: ItemRow, start: tuple[int, int], order: str) -> bool:
    return _key(row) > start if order == "asc" else _key(row) < start


def _is_base(view: View, row: ItemRow) -> bool:
    """Return whether this row of PostgreSQL's is part of the view.

    It is not when it was projected after the view was taken, or when the tail knows better.
    """
    replaced = row.sequence > view.base_head or row.sequence in view.replaced
    return not replaced and row.item_id not in view.deleted_items


def _tail_rows(view: View) -> list[ItemRow]:
    """Return the items the tail adds, as rows."""
    rows = [row for change in view.changes for row in item_rows(change)]
    return [row for row in rows if row.item_id not in view.deleted_items]


def item_rows(change: PlacedChange) -> list[ItemRow]:
    """Return the items a record added, as PostgreSQL will have them."""
    origin_id, sequence = change.origin_id, change.sequence
    return [
        ItemRow(sequence, index, origin_id, item.item_id, item.kind, item.author, status, item.blob)
        for index, item, _, status in change.rows()
    ]
