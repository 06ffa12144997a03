"""Beginning and ending turns: one at a time, each after the last acknowledged one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice

from axon.base import IdMint, UnknownId
from axon.conversations.errors import (
    ConversationBusy,
    ConversationNotFound,
    HistoryUnavailable,
)
from axon.conversations.history import EMPTY_WINDOW, HistoryTurn, OpenedWindow, WindowTurn
from axon.conversations.lease_store import renew_lease
from axon.conversations.line import RETRY_AFTER_MS, Line
from axon.conversations.store import WINDOW_LOAD_BYTES, WINDOW_LOAD_ITEMS
from axon.conversations.taking import LEASE_S, LEASE_TIMEOUT_S, Sources, Taking
from axon.conversations.values import Begun, Lease, Owner, UnplacedTurn
from axon.sealing import SealingError
from axon.stores import PostgresAway, ValkeyAway, ValkeyRefused
from axon.telemetry import log

PREFIX = "conv"
"""Of the ids of conversations."""

POLL_S = 0.02
"""How often a lease that another process holds is asked for again."""

RENEW_EVERY_S = 3.0
"""A lease is renewed once it is so old: four tries fit into its life."""

RENEW_AT_ONCE = 256
"""Leases renewed together: they share a round trip and leave PostgreSQL's pool to others."""

WINDOW_BYTES_MAX = 2 * WINDOW_LOAD_BYTES
WINDOW_TURNS_MAX = 2 * WINDOW_LOAD_ITEMS
"""A window that outgrows these is dropped and loaded again at half the size, so that a long
conversation does so once in a while and not at every turn."""


History = tuple[HistoryTurn, ...]


class Leasing:
    """Lets turns into their conversations; every begun turn is ended once."""

    def __init__(self, sources: Sources, mint: IdMint) -> None:
        """`mint` tells whose an id is."""
        self._sources = sources
        self._mint = mint
        self._taking = Taking(sources)
        self._line = Line()
        self._running: dict[str, Begun] = {}
        self.place_waiting: Callable[[str, float], Awaitable[None]] = _nothing_waits
        """Gives the turns that wait for one their places, until a monotonic instant; called for
        who is inside the conversation's line."""

    def refuse_stranger(self, owner: Owner, conversation_id: str) -> None:
        """Return when the id is the person's; raises ConversationNotFound."""
        try:
            minted = self._mint.read(conversation_id, PREFIX, owner.org_id)
        except UnknownId:
            raise ConversationNotFound from None
        if minted.user != owner.user:
            raise ConversationNotFound

    async def begin(self, owner: Owner, conversation_id: str, wait_s: float) -> Begun:
        """See Conversations.begin."""
        self.refuse_stranger(owner, conversation_id)
        self._sources.tail.admit()
        deadline = self._sources.clock.monotonic() + wait_s
        await self._enter(conversation_id, wait_s)
        try:
            if conversation_id in self._sources.tail.unplaced:
                await self.place_waiting(conversation_id, deadline)
            begun = await self.take(owner, conversation_id, deadline)
        except BaseException:
            self._line.leave(conversation_id)
            raise
        self._running[conversation_id] = begun
        return begun

    async def _enter(self, conversation_id: str, wait_s: float) -> None:
        if not self._line.enter_at_once(conversation_id):
            await self._line.enter(conversation_id, wait_s)

    @asynccontextmanager
    async def inside(self, conversation_id: str, wait_s: float) -> AsyncIterator[None]:
        """Be inside the conversation's line; raises ConversationBusy."""
        await self._enter(conversation_id, wait_s)
        try:
            yield
        finally:
            self._line.leave(conversation_id)

    async def take(self, owner: Owner, conversation_id: str, deadline: float) -> Begun:
        """Return the next place, for who is inside the line; end it with `close` or `release`.

        Raises as `begin` does, ConversationBusy at `deadline`, a monotonic instant in seconds.
        """
        begun = await self._taking.take(owner, conversation_id)
        while not isinstance(begun, Begun):
            if self._sources.clock.monotonic() + POLL_S > deadline:
                raise ConversationBusy(max(begun.left_ms, RETRY_AFTER_MS))
            await asyncio.sleep(POLL_S)
            begun = await self._taking.take(owner, conversation_id)
        return begun

    async def begin_unplaced(
        self, place: UnplacedTurn, wait_s: float, known: Callable[[], Awaitable[History]]
    ) -> Begun:
        """Return a turn without a place, once those before it have ended; needs no store.

        `known` tells what came before it, as far as that is known. Raises ConversationBusy,
        TailFull.
        """
        self._sources.tail.admit()
        conversation_id = place.conversation_id
        await self._enter(conversation_id, wait_s)
        try:
            begun = Begun(
                owner=place.owner,
                conversation_id=conversation_id,
                sequence=0,
                fence=0,
                lease=Lease("nobody", float("inf"), b"", EMPTY_WINDOW),
                history=await known(),
                complete=True,
                follows=place.follows,
            )
        except BaseException:
            self._line.leave(conversation_id)
            raise
        self._running[conversation_id] = begun
        return begun

    def start(self, owner: Owner, conversation_id: str) -> Begun:
        """See Conversations.start."""
        self._sources.tail.admit()
        if not self._line.enter_at_once(conversation_id):
            raise ConversationBusy(RETRY_AFTER_MS)
        begun = Begun(
            owner=owner,
            conversation_id=conversation_id,
            sequence=1,
            fence=self._taking.next_fence(),
            lease=Lease("nobody", float("inf"), self._sources.epoch.name, EMPTY_WINDOW),
            history=(),
            complete=True,
        )
        self._running[conversation_id] = begun
        return begun

    def still_owned(self, begun: Begun) -> bool:
        """See Conversations.still_owned."""
        return self._sources.clock.monotonic() < begun.lease.deadline

    async def commit(self, begun: Begun, turn: WindowTurn) -> None:
        """See Conversations.commit."""
        if not self._ends(begun):
            return
        try:
            if begun.sequence:
                await self.close(begun, turn)
        finally:
            self._line.leave(begun.conversation_id)

    async def close(self, begun: Begun, turn: WindowTurn) -> None:
        """Pass the window and the lease on, for who stays inside the line."""
        conversation_id = begun.conversation_id
        if begun.lease.authority == "postgres":
            self._taking.give_back(begun.owner, conversation_id, begun.fence, turn.sequence)
        elif self._too_large(begun.lease.window):
            self._sources.cache.abort(conversation_id, begun.fence, close=False)
        else:
            self._sources.cache.commit(conversation_id, begun.fence, begun.lease.epoch, turn)
        await self._remember(begun, turn)

    async def commit_without_window(self, begun: Begun) -> None:
        """End a turn after which the window is another one; the next begin loads it."""
        if not self._ends(begun):
            return
        self._sources.opened.drop(begun.conversation_id)
        self._release(begun, begun.sequence, unchanged=False)
        self._line.leave(begun.conversation_id)

    async def abort(self, begun: Begun) -> None:
        """See Conversations.abort."""
        if not self._ends(begun):
            return
        self.release(begun)
        self._line.leave(begun.conversation_id)

    def release(self, begun: Begun) -> None:
        """Give the lease back, for who stays inside the line."""
        written = self._sources.tail.head(begun.conversation_id) >= begun.sequence
        self._release(begun, begun.sequence if written else 0, unchanged=not written)

    async def disbelieve(self, conversation_ids: Sequence[str]) -> None:
        """See Conversations.disbelieve."""
        await self._sources.cache.disbelieve(conversation_ids)

    async def keep_renewing(self) -> None:
        """Renew what runs for long, until cancelled."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            await self.renew_due()

    async def renew_due(self) -> None:
        """Renew every lease that is older than RENEW_EVERY_S; one that cannot be runs out."""
        old = self._sources.clock.monotonic() + LEASE_S - RENEW_EVERY_S
        due = iter([begun for begun in self._running.values() if begun.lease.deadline <= old])
        while batch := list(islice(due, RENEW_AT_ONCE)):
            renewals = (self._renew(begun) for begun in batch)
            _report(await asyncio.gather(*renewals, return_exceptions=True))

    def _ends(self, begun: Begun) -> bool:
        """Return whether this turn was running until now; a second end does nothing."""
        if self._running.get(begun.conversation_id) is not begun:
            return False
        del self._running[begun.conversation_id]
        return True

    def _release(self, begun: Begun, head_sequence: int, *, unchanged: bool) -> None:
        conversation_id, fence = begun.conversation_id, begun.fence
        if begun.lease.authority == "postgres":
            self._taking.give_back(begun.owner, conversation_id, fence, head_sequence)
        elif begun.lease.authority == "valkey":
            self._sources.cache.abort(conversation_id, fence, close=unchanged)

    def _too_large(self, window: OpenedWindow) -> bool:
        large = window.sealed_bytes > WINDOW_BYTES_MAX or len(window.turns) > WINDOW_TURNS_MAX
        return large and self._sources.postgres.available  # it can be loaded again

    async def _remember(self, begun: Begun, turn: WindowTurn) -> None:
        """Keep the window opened; when that cannot be done, the next begin opens it."""
        opened, window = self._sources.opened, begun.lease.window
        if self._too_large(window):
            opened.drop(begun.conversation_id)
            return
        try:
            added = await self._open(begun, turn)
        except (SealingError, HistoryUnavailable):
            opened.drop(begun.conversation_id)
        else:
            opened.put(begun.conversation_id, window.followed_by(added, begun.fence, turn.items))

    async def _open(self, begun: Begun, turn: WindowTurn) -> HistoryTurn:
        return await self._sources.opener.open_turn(begun.owner, begun.conversation_id, turn)

    async def _renew(self, begun: Begun) -> None:
        lease, sent_s = begun.lease, self._sources.clock.monotonic()
        try:
            renewed = await self._ask_to_renew(begun)
        except PostgresAway:
            return  # it runs on; whether it still holds is for `still_owned`
        if self._running.get(begun.conversation_id) is not begun:
            if lease.authority == "postgres":  # it may have been freed before it was renewed
                self._taking.give_back(begun.owner, begun.conversation_id, begun.fence, 0)
        else:
            lease.deadline = sent_s + LEASE_S if renewed else sent_s

    async def _ask_to_renew(self, begun: Begun) -> bool:
        sources, lease = self._sources, begun.lease
        if lease.authority == "valkey":
            try:
                return await sources.cache.renew(begun.conversation_id, begun.fence, lease.epoch)
            except (ValkeyAway, ValkeyRefused):
                pass  # its window stays open there, and an open window is never believed
        place = (begun.owner.user, begun.conversation_id)
        async with sources.postgres.connection(LEASE_TIMEOUT_S) as connection:
            renewed = await renew_lease(connection, place, sources.instance, begun.fence)
        lease.authority = "postgres"
        return renewed


async def _nothing_waits(_: str, __: float) -> None:
    """Stand in where no turn is ever without a place."""


def _report(renewals: Sequence[BaseException | None]) -> None:
    """Say once of each kind what nobody expected; the other leases were renewed all the same."""
    failures = {type(error): error for error in renewals if error is not None}
    for error in failures.values():
        log.error("lease-not-renewed", repr(error))
