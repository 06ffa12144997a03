"""Taking the lease of a conversation: from Valkey in one round trip, else from PostgreSQL."""

from contextlib import suppress
from dataclasses import dataclass

from axon.base import Clock, TaskOwner
from axon.conversations.epoch import Epoch
from axon.conversations.errors import ConversationBusy, HistoryAway
from axon.conversations.history import OpenedWindow
from axon.conversations.lease_store import find_lease, give_lease_back, take_lease
from axon.conversations.loading import Loader
from axon.conversations.loads import Loads
from axon.conversations.opened import OpenedWindows
from axon.conversations.opening import Opener
from axon.conversations.tail import Tail
from axon.conversations.values import Begun, Lease, Owner
from axon.conversations.window_cache import (
    LEASE_MS,
    Answer,
    Busy,
    Hit,
    Same,
    Stale,
    WindowCache,
)
from axon.stores import Postgres, PostgresAway, ValkeyAway, ValkeyRefused
from axon.telemetry import CounterTallies

LEASE_S = LEASE_MS / 1000

LEASE_TIMEOUT_S = 2.0
"""For one statement about a lease; a begin that waits longer is better told to come back."""

_sources = CounterTallies(
    "axon_conversation_windows_total", "Histories of begun turns, by where they came from", ["from"]
)
_from_process = _sources.series("process")
_from_valkey = _sources.series("valkey")
_from_postgres = _sources.series("postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a lease and the history before it can be had from."""

    cache: WindowCache
    epoch: Epoch
    opened: OpenedWindows
    opener: Opener
    loader: Loader
    loads: Loads
    tail: Tail
    postgres: Postgres
    clock: Clock
    tasks: TaskOwner
    instance: str


class Taking:
    """Takes a lease with the window it stands on, or says who is in the way."""

    def __init__(self, sources: Sources) -> None:
        """Take leases in the name of `sources.instance`."""
        self._sources = sources
        self._last_fence = 0

    def next_fence(self, above: int = 0) -> int:
        """Return a fence above every earlier one of this process, and above `above`.

        Fences are microseconds of the wall clock, so they grow across processes and restarts too;
        where a clock stands back, the store that knows a higher fence says so.
        """
        clock_us = self._sources.clock.now_us()
        self._last_fence = max(self._last_fence + 1, above + 1, clock_us)
        return self._last_fence

    async def take(self, owner: Owner, conversation_id: str) -> Begun | Busy:
        """Return the begun turn, or how long somebody else may still run theirs.

        Raises ConversationNotFound, HistoryUnavailable, SealBroken; nothing is held then.
        """
        try:
            try:
                return await self._from_valkey(owner, conversation_id)
            except (ValkeyAway, ValkeyRefused):
                return await self._from_postgres(owner, conversation_id)
        except ConversationBusy as busy:
            return Busy(busy.retry_after_ms)

    async def _from_valkey(self, owner: Owner, conversation_id: str) -> Begun | Busy:
        cache, clock = self._sources.cache, self._sources.clock
        known = self._known(conversation_id)
        epoch = self._sources.epoch.name
        fence = self.next_fence()
        sent_s = clock.monotonic()
        answer = await cache.begin(conversation_id, fence, epoch, known)
        if isinstance(answer, Busy):
            return answer
        if isinstance(answer, Stale):
            self.next_fence(above=answer.fence)
            return Busy(0)
        try:
            window = await self._window(owner, conversation_id, answer, fence)
        except BaseException:
            cache.abort(conversation_id, fence, close=True)
            raise
        if window.head_fence >= fence:
            cache.abort(conversation_id, fence, close=True)
            self.next_fence(above=window.head_fence)
            return Busy(0)
        lease = Lease("valkey", sent_s + LEASE_S, epoch, window)
        return self._begun(owner, conversation_id, fence, lease)

    async def _window(
        self, owner: Owner, conversation_id: str, answer: Answer, fence: int
    ) -> OpenedWindow:
        """Return the window the answer brought or spared, else what PostgreSQL and the tail have.

        A window behind the own tail cannot be; should it ever be, it is not believed.
        """
        sources = self._sources
        window: OpenedWindow | None = None
        if isinstance(answer, Same):
            window = sources.opened.get(conversation_id)
            _from_process.count += 1
        elif isinstance(answer, Hit):
            window = await self._open(owner, conversation_id, answer)
            _from_valkey.count += 1
        if window is None or window.head < sources.tail.head(conversation_id):
            window, sealed = await sources.loader.window(owner, conversation_id, None)
            sources.cache.fill(conversation_id, fence, window, sealed)
            _from_postgres.count += 1
        sources.opened.put(conversation_id, window)
        return window

    async def _open(self, owner: Owner, conversation_id: str, hit: Hit) -> OpenedWindow:
        turns = await self._sources.opener.open_turns(owner, conversation_id, hit.turns)
        items = [item for turn in hit.turns for item in turn.items]
        return OpenedWindow.of((hit.head, hit.head_fence), turns, hit.complete, items)

    async def _from_postgres(self, owner: Owner, conversation_id: str) -> Begun | Busy:
        sources = self._sources
        await sources.epoch.degrade()
        fence = self.next_fence()
        sent_s = sources.clock.monotonic()
        place = (owner.user, conversation_id)
        try:
            async with (
                sources.loads.slot(),
                sources.postgres.connection(LEASE_TIMEOUT_S) as connection,
            ):
                taken = await take_lease(connection, place, sources.instance, fence)
                row = None if taken else await find_lease(connection, place)
        except PostgresAway as away:
            raise HistoryAway("neither Valkey nor PostgreSQL can give a lease") from away
        if row is not None and row.holder != sources.instance and row.left_ms > 0:
            return Busy(row.left_ms)
        if not taken:
            self.next_fence(above=row.fence if row else 0)
            return Busy(0)
        known = self._known(conversation_id)
        try:
            window, _ = await sources.loader.window(owner, conversation_id, known)
        except BaseException:
            self.give_back(owner, conversation_id, fence, 0)
            raise
        if window.head_fence >= fence:
            self.next_fence(above=window.head_fence)
            return Busy(0)  # the lease is ours already: the next try takes it with a new fence
        sources.opened.put(conversation_id, window)
        _from_postgres.count += 1
        lease = Lease("postgres", sent_s + LEASE_S, b"", window)
        return self._begun(owner, conversation_id, fence, lease)

    def give_back(self, owner: Owner, conversation_id: str, fence: int, head_sequence: int) -> None:
        """Free a lease of PostgreSQL's in the background; when that fails, it runs out."""
        place = (owner.user, conversation_id)
        self._sources.tasks.start(self._give_back(place, fence, head_sequence), "give lease back")

    async def _give_back(self, place: tuple[int, str], fence: int, head_sequence: int) -> None:
        with suppress(PostgresAway):
            async with self._sources.postgres.connection(LEASE_TIMEOUT_S) as connection:
                await give_lease_back(connection, place, fence, head_sequence)

    def _known(self, conversation_id: str) -> OpenedWindow | None:
        """Return what this process has opened, unless a key of it was erased since."""
        window = self._sources.opened.get(conversation_id)
        if window is not None and not self._sources.opener.holds(window.key_ids):
            self._sources.opened.drop(conversation_id)
            return None
        return window

    @staticmethod
    def _begun(owner: Owner, conversation_id: str, fence: int, lease: Lease) -> Begun:
        return Begun(
            owner=owner,
            conversation_id=conversation_id,
            sequence=lease.window.head + 1,
            fence=fence,
            lease=lease,
            history=lease.window.turns,
            complete=lease.window.complete,
        )
