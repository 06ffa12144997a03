"""The keys of organizations: made when first needed, opened by their root, kept through outages."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from axon.base import Clock, Randomness, TaskOwner
from axon.sealing.errors import KeyRefused, KeyringRefused, KeyRootUnavailable, SealingError
from axon.sealing.kek_table import KekTable, WrappedKek
from axon.sealing.one_thread import OneThread
from axon.sealing.open_keks import OpenKek, OpenKeks
from axon.sealing.root import KeyContext, Roots
from axon.telemetry import log

KEKS_IN_MEMORY_MAX = 10_000
"""Organizations' keys that are kept unwrapped, at less than a kilobyte each."""

STOCK = 16
"""Keys made beforehand: so many new organizations are welcome while the root is away."""

FRESH_S = 3600.0
"""How long a key is used before its root is asked for it again."""

ASK_EVERY_S = 30.0
"""How often the root is asked for something, so that its absence is known before it hurts."""

LOOK_EVERY_S = 2.0
"""How often is looked for keys that are old, gone, or not bound to their organization yet."""

AT_ONCE = 8
"""Keys that the root is asked for beside each other."""

PREFIX = "okek_"
"""Tells the keys of organizations from the keyring's own, `kek_`."""

_SECRET_BYTES = 32
_ID_BYTES = 8

_Kek = TypeVar("_Kek", OpenKek, WrappedKek)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeksParts:
    """What the keys of organizations are kept with."""

    table: KekTable
    thread: OneThread
    roots: Roots
    region: str
    outage_max_s: float
    """How long a key is used that its root could not be asked for again."""
    clock: Clock
    randomness: Randomness
    tasks: TaskOwner
    dropped: Callable[[], None]
    """Called when keys may not be used any more: what they opened goes too."""


class Keks:
    """The keys of one process."""

    def __init__(self, parts: KeksParts) -> None:
        """Nothing is opened yet."""
        self._parts = parts
        self._open = OpenKeks(KEKS_IN_MEMORY_MAX)
        self._stock: list[tuple[WrappedKek, bytes]] = []
        self._flights: dict[str, asyncio.Future[OpenKek]] = {}
        self._preloaded = False
        self._version = -1
        self._ask_at_s = 0.0

    def at_hand(self, org_id: str) -> OpenKek | None:
        """Return the key to wrap this organization's new data keys with, if it is in memory."""
        return self._open.of_org(org_id)

    def opened(self, kek_id: str) -> OpenKek | None:
        """Return the key if it is in memory."""
        return self._open.by_id(kek_id)

    async def for_new(self, org_id: str) -> OpenKek:
        """Return the key to wrap this organization's new data keys with, making it if need be.

        Durable on return. While the root is away it is one that is in memory, else one of the
        stock; raises KeyRootUnavailable when there is none, KeyringRefused, KeyStoreFailed.
        """
        return await self._once(f"org {org_id}", lambda: self._for_new(org_id))

    async def by_id(self, kek_id: str) -> OpenKek:
        """Return a key of this node; raises KeyringRefused when it has none, and as `for_new`."""
        kek = self._open.by_id(kek_id)
        if kek is not None:
            return kek
        return await self._once(kek_id, lambda: self._found(kek_id))

    async def create(self, org_id: str) -> WrappedKek:
        """Return a new key of the organization, which wraps from now on; raises as `for_new`."""
        fresh, secret = await self._made(org_id)
        stored = await self._parts.thread.run(self._parts.table.add, fresh)
        self._open.choose(self._remember(stored, secret))
        return stored

    async def keep_fresh(self) -> None:
        """Keep what is in memory true, and the stock full, until cancelled."""
        while True:
            try:
                await self.look()
            except SealingError as error:
                log.error("keks.failed", "The keys of organizations could not be looked at.",
                          error__message=str(error))  # fmt: skip
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Do once what `keep_fresh` does; raises KeyStoreFailed."""
        parts = self._parts
        version = await parts.thread.run(parts.table.version)
        if version != self._version:
            self._version = version
            await self.forget_changed()
        if not self._preloaded:
            await self._preload()
        await self._each(self._older_than(min(FRESH_S, parts.outage_max_s / 2)), self._open_again)
        for kek in self._older_than(parts.outage_max_s):
            self._forget(kek, "Its root could not be asked for too long.")
        if parts.roots.wrapping.remote:
            await self._fill_stock()
            unbound = [kek for kek in self._open.all() if not kek.wrapped.bound]
            await self._each(unbound, self._bind)

    async def forget_changed(self) -> None:
        """Forget keys that were destroyed, and which key wraps where it is another one now."""
        parts = self._parts
        there = await parts.thread.run(parts.table.ids)
        newest = await self.newest()
        for kek in self._open.all():
            if kek.kek_id not in there:
                self._open.drop(kek.kek_id)
            elif kek is self._open.of_org(kek.wrapped.org_id):
                if newest.get(kek.wrapped.org_id) != kek.kek_id:
                    self._open.unchoose(kek.wrapped.org_id)

    async def newest(self) -> dict[str, str]:
        """Return the id of the key that wraps, of each organization of this region."""
        return await self._parts.thread.run(self._parts.table.newest, self._parts.region)

    async def newest_us(self, org_id: str) -> int:
        """Return when the organization's newest key was made; 0 when it has none."""
        parts = self._parts
        there = await parts.thread.run(parts.table.of, org_id, parts.region)
        return there[0].created_us if there else 0

    async def some(self, after: str, count_max: int) -> list[WrappedKek]:
        """Return keys behind `after`, in the order of their ids; begin with ''."""
        return await self._parts.thread.run(self._parts.table.some, after, count_max)

    async def count(self) -> int:
        """Return how many there are."""
        return await self._parts.thread.run(self._parts.table.count)

    async def move(self, kek: WrappedKek, since_us: int) -> bool:
        """Wrap a key by the newest version of the root, unless it was since then.

        Returns whether it was done now. Raises KeyRefused, KeyringRefused, KeyRootUnavailable.
        """
        parts = self._parts
        root = parts.roots.wrapping
        if kek.bound and kek.root == root.name and kek.wrapped_us >= since_us:
            return False
        bound = kek.context._replace(org_id=kek.org_id)
        by_root = await parts.roots.moved(kek.by_root, kek.context, bound)
        moved = kek.rewrapped(by_root, parts.clock.now_us())
        return await parts.thread.run(parts.table.keep, [moved], False) > 0

    async def _for_new(self, org_id: str) -> OpenKek:
        parts = self._parts
        there = await parts.thread.run(parts.table.of, org_id, parts.region)
        kek = await self._best_of(org_id, there) if there else await self._first(org_id)
        self._open.choose(kek)
        return kek

    async def _best_of(self, org_id: str, there: list[WrappedKek]) -> OpenKek:
        try:
            return await self.by_id(there[0].kek_id)
        except KeyRootUnavailable:
            for older in there[1:]:
                kek = self._open.by_id(older.kek_id)
                if kek is not None:
                    return kek
            kek = await self._from_stock(org_id)
            if kek is None:
                raise
            return kek

    async def _first(self, org_id: str) -> OpenKek:
        parts = self._parts
        try:
            fresh, secret = await self._made(org_id)
        except KeyRootUnavailable:
            kek = await self._from_stock(org_id)
            if kek is None:
                raise
            return kek
        stored = await parts.thread.run(parts.table.add, fresh, only_first=True)
        if stored.kek_id != fresh.kek_id:  # another process was faster
            return await self._best_of(org_id, [stored])
        return self._remember(stored, secret)

    async def _made(self, org_id: str) -> tuple[WrappedKek, bytes]:
        """Return a new key and its secret; '' makes one for the stock."""
        parts = self._parts
        kek_id = PREFIX + parts.randomness.bytes(_ID_BYTES).hex()
        secret = parts.randomness.bytes(_SECRET_BYTES)
        context = KeyContext(parts.region, org_id, kek_id)
        by_root = await parts.roots.wrapping.wrap(secret, context)
        now_us = parts.clock.now_us()
        kek = WrappedKek(
            kek_id, parts.region, org_id, by_root.root, by_root.version, by_root.data,
            bool(org_id), now_us, now_us,
        )  # fmt: skip
        return kek, secret

    async def _from_stock(self, org_id: str) -> OpenKek | None:
        parts = self._parts
        if not self._stock:
            return None
        made, secret = self._stock.pop()
        kek = made._replace(org_id=org_id, created_us=parts.clock.now_us())
        stored = await parts.thread.run(parts.table.add, kek)
        log.info("keks.from-stock", "An organization got a key that was made beforehand.",
                 axon__left=len(self._stock))  # fmt: skip
        return self._remember(stored, secret)

    async def _found(self, kek_id: str) -> OpenKek:
        parts = self._parts
        wrapped = await parts.thread.run(parts.table.by_id, kek_id)
        if wrapped is None:
            raise KeyringRefused(f"this node does not have {kek_id}")
        secret = await parts.roots.unwrap(wrapped.by_root, wrapped.context)
        return self._remember(wrapped, secret)

    def _remember(self, wrapped: WrappedKek, secret: bytes) -> OpenKek:
        opened_s = self._parts.clock.monotonic()
        return self._open.add(OpenKek(wrapped=wrapped, cipher=AESGCM(secret), opened_s=opened_s))

    async def _preload(self) -> None:
        """Open what is not open yet, so that an outage finds it in memory."""
        parts = self._parts
        after, wanted = "", KEKS_IN_MEMORY_MAX - len(self._open)
        while wanted > 0:
            some = await parts.thread.run(parts.table.some, after, min(wanted, 1000))
            if not some:
                break
            after, wanted = some[-1].kek_id, wanted - len(some)
            closed = [kek for kek in some if self._open.by_id(kek.kek_id) is None]
            if not await self._each(closed, self._preload_one):
                return  # the root is away: the next look goes on
        self._preloaded = True

    async def _preload_one(self, kek: WrappedKek) -> None:
        await self.by_id(kek.kek_id)

    def _older_than(self, age_s: float) -> list[OpenKek]:
        """Return keys that another machine was last asked for so long ago."""
        parts = self._parts
        until_s = parts.clock.monotonic() - age_s
        return [
            kek
            for kek in self._open.all()
            if kek.opened_s <= until_s and parts.roots.is_remote(kek.wrapped.by_root)
        ]

    async def _open_again(self, kek: OpenKek) -> None:
        try:
            await self._found(kek.kek_id)
        except (KeyRefused, KeyringRefused):
            self._forget(kek, "Its root does not open it any more.")

    def _forget(self, kek: OpenKek, why: str) -> None:
        self._open.drop(kek.kek_id)
        self._parts.dropped()
        log.error("keks.dropped", why, axon__kek=kek.kek_id)

    async def _fill_stock(self) -> None:
        """Keep the stock full, and its oldest young: so the root is asked now and then."""
        clock = self._parts.clock
        try:
            while len(self._stock) < STOCK or clock.monotonic() >= self._ask_at_s:
                self._stock.append(await self._made(""))
                self._ask_at_s = clock.monotonic() + ASK_EVERY_S
        except KeyRootUnavailable:
            return  # it says so itself; the next look goes on
        del self._stock[:-STOCK]

    async def _bind(self, kek: OpenKek) -> None:
        """Have the root bind a key of the stock to the organization that got it."""
        parts = self._parts
        bound = kek.wrapped.context._replace(org_id=kek.wrapped.org_id)
        by_root = await parts.roots.moved(kek.wrapped.by_root, kek.wrapped.context, bound)
        wrapped = kek.wrapped.rewrapped(by_root, parts.clock.now_us())
        await parts.thread.run(parts.table.keep, [wrapped], False)
        self._open.add(replace(kek, wrapped=wrapped))

    async def _each(self, keks: list[_Kek], work: Callable[[_Kek], Awaitable[None]]) -> bool:
        """Do some of it at once; return whether the root was there for all of them."""
        for start in range(0, len(keks), AT_ONCE):
            some = (work(kek) for kek in keks[start : start + AT_ONCE])
            outcomes = await asyncio.gather(*some, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, KeyRootUnavailable):
                    continue
                if isinstance(outcome, KeyRefused | KeyringRefused):
                    log.error("keks.refused", "A key cannot be opened.",
                              error__message=str(outcome))  # fmt: skip
                elif isinstance(outcome, BaseException):
                    raise outcome
            if any(isinstance(outcome, KeyRootUnavailable) for outcome in outcomes):
                return False
        return True

    async def _once(self, name: str, work: Callable[[], Awaitable[OpenKek]]) -> OpenKek:
        """Return what `work` returns; who asks meanwhile gets the same."""
        future = self._flights.get(name)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            self._flights[name] = future
            self._parts.tasks.start(self._fly(name, work, future), "open a key")
        return await asyncio.shield(future)

    async def _fly(
        self, name: str, work: Callable[[], Awaitable[OpenKek]], future: asyncio.Future[OpenKek]
    ) -> None:
        try:
            found = await work()
        except SealingError as error:
            future.set_exception(error)
            future.exception()  # the callers may all have gone: not asyncio's to report
        else:
            future.set_result(found)
        finally:
            del self._flights[name]
            if not future.done():
                future.cancel()  # this task was cancelled: none may wait for ever
