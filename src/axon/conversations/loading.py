"""Bringing a conversation together from PostgreSQL and the journal's tail."""

from axon.conversations.cold import Thaw, without_archive
from axon.conversations.errors import (
    ConversationBusy,
    ConversationNotFound,
    HistoryAway,
    HistoryUnavailable,
)
from axon.conversations.history import (
    EMPTY_WINDOW,
    OpenedWindow,
    WindowTurn,
)
from axon.conversations.lease_store import LeaseRow
from axon.conversations.loads import Loads, SharedReads
from axon.conversations.opening import Opener
from axon.conversations.overlay import View, overlay
from axon.conversations.standing import read_standing
from axon.conversations.store import read_window
from axon.conversations.tail import Tail
from axon.conversations.values import Owner
from axon.stores import Postgres, PostgresAway

LOAD_TIMEOUT_S = 2.0
"""For everything a load asks of PostgreSQL; then the client hears 503 and may try again."""


class Loader:
    """Proves the state of a conversation, or says that it cannot."""

    def __init__(
        self, postgres: Postgres, tail: Tail, opener: Opener, instance: str, loads: Loads
    ) -> None:
        """Read from both and open what was read; `instance` is our own name in leases."""
        self.thaw: Thaw = without_archive
        self._instance = instance
        self._loads = loads
        self.shared = SharedReads()
        self._postgres = postgres
        self._tail = tail
        self._opener = opener

    async def window(
        self, owner: Owner, conversation_id: str, known: OpenedWindow | None
    ) -> tuple[OpenedWindow, list[WindowTurn]]:
        """Return the window opened, and sealed; the second is empty when `known` is still true.

        For the holder of the lease. Raises ConversationNotFound; ConversationBusy when PostgreSQL
        knows of another holder; HistoryAway when PostgreSQL is away, HistoryUnavailable when it
        lacks a record of another journal, LoadsBusy.
        """
        view, base = await self._read(owner, conversation_id, known)
        while base is None and not _is_true(known, view):
            await self.thaw(owner.user, conversation_id)
            view, base = await self._read(owner, conversation_id, known)
        if base is None:
            assert known is not None
            return known, []
        turns, complete = base
        sealed = [*view.base_turns(turns), *view.tail_turns()]
        opened = await self._opener.open_turns(owner, conversation_id, sealed)
        items = [item for turn in sealed for item in turn.items]
        head = (view.state.head_sequence, view.state.head_fence)
        return OpenedWindow.of(head, opened, complete, items), sealed

    async def whole_view(self, owner: Owner, conversation_id: str) -> View:
        """Return the same as `view` once PostgreSQL has the items: of a cold one they come back.

        Raises as `view` does, ColdAway and ColdBroken.
        """
        view = await self.view(owner, conversation_id)
        while view.state.cold:
            await self.thaw(owner.user, conversation_id)
            view = await self.view(owner, conversation_id)
        return view

    async def view(self, owner: Owner, conversation_id: str) -> View:
        """Return the conversation without PostgreSQL's items; raises as `window` does.

        Callers of the same moment share one.
        """

        async def ask() -> View:
            view, _ = await self._read(owner, conversation_id, _NO_ITEMS)
            return view

        return await self.shared.read(conversation_id, "view", ask)

    async def _read(
        self, owner: Owner, conversation_id: str, wanted: OpenedWindow | None
    ) -> tuple[View, tuple[list[WindowTurn], bool] | None]:
        """Return the view and PostgreSQL's turns, which are None when `wanted` has them."""
        entries = self._tail.places(conversation_id)  # before PostgreSQL, so that none is missed
        records = await self._tail.read(entries)
        place = (owner.user, conversation_id)
        try:
            async with (
                self._loads.slot(),
                self._postgres.connection(LOAD_TIMEOUT_S) as connection,
            ):
                standing = await read_standing(connection, place)
                if standing.parked:
                    raise HistoryUnavailable("a record of it could not be projected yet")
                view = _existing(overlay(standing.state, records))
                if wanted is _NO_ITEMS:
                    return view, None
                self._check_lease(standing.lease, view)
                if _is_true(wanted, view) or view.state.cold:
                    return view, None
                return view, await read_window(connection, place, view.base_head)
        except PostgresAway as away:
            if not entries or entries[0].sequence != 1:
                raise HistoryAway from away
            return _existing(overlay(None, records)), ([], True)  # all of it is in the tail

    def _check_lease(self, row: LeaseRow | None, view: View) -> None:
        if row is None:
            return
        if row.holder != self._instance and row.left_ms > 0:
            raise ConversationBusy(row.left_ms)
        if row.led_through > view.state.head_sequence:
            raise HistoryUnavailable(f"place {row.led_through} is not here yet")


_NO_ITEMS = EMPTY_WINDOW


def _is_true(window: OpenedWindow | None, view: View) -> bool:
    state = view.state
    if window is None:
        return False
    return (window.head, window.head_fence) == (state.head_sequence, state.head_fence)


def _existing(view: View | None) -> View:
    if view is None or view.state.deleted:
        raise ConversationNotFound
    return view
