"""Everybody's data keys: made when first needed, durable before they are used, erasable."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import asyncpg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from axon.base import Clock, Randomness, TaskOwner
from axon.sealing.copying import Copying
from axon.sealing.errors import (
    KeyGone,
    KeyRefused,
    KeyRootUnavailable,
    KeyStoreBusy,
    SealingError,
)
from axon.sealing.kek_copy import Renewal
from axon.sealing.kek_table import KekTable, OrgErasure, WrappedKek
from axon.sealing.keks import PREFIX, Keks, KeksParts
from axon.sealing.key_cache import KeyCache
from axon.sealing.key_file import BUSY_TIMEOUT_S, KeyFile
from axon.sealing.key_table import Erasure, KeyTable, WrappedKey
from axon.sealing.keyring import Keyring, WrappedBytes
from axon.sealing.local_root import LocalRoot
from axon.sealing.one_thread import OneThread
from axon.sealing.open_keks import OpenKek
from axon.sealing.root import Roots
from axon.sealing.seal import KEY_ID_BYTES, DataKey
from axon.telemetry import log

KEYS_IN_MEMORY_MAX = 50_000
"""People whose keys are kept unwrapped, at less than a kilobyte each."""

NEWCOMERS_MAX = 10_000
"""People who may wait for their key at once: a few seconds of work for a slow disk."""

_NEWCOMERS_AT_ONCE = 256
"""Keys made in one transaction: they share its fsync."""

OUTAGE_MAX_S = 86_400.0
"""How long a key of an organization is used that its root could not be asked for again."""

_DATA_KEY_BYTES = 32
_NONCE_BYTES = 12

_Person = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStoreOptions:
    """Where keys are rooted."""

    region: str = "local"
    """Of this installation: an organization has keys of its own in each."""
    roots: Roots | None = None
    """None: the keyring alone."""
    outage_max_s: float = OUTAGE_MAX_S


_DEFAULTS = KeyStoreOptions()


class KeyStore:
    """The keys of one node, for one event loop; several processes may share the file."""

    def __init__(
        self,
        path: Path,
        keyring: Keyring,
        clock: Clock,
        randomness: Randomness,
        options: KeyStoreOptions = _DEFAULTS,
    ) -> None:
        """Open or create the file (0600); blocks. Raises KeyringRefused or KeyStoreFailed."""
        self._keyring = keyring
        self._clock = clock
        self._randomness = randomness
        self._file = KeyFile(path, randomness)
        self._table = KeyTable(self._file)
        self._thread = OneThread()
        self._cache = KeyCache(KEYS_IN_MEMORY_MAX)
        self._mark = self._file.mark()
        self._newcomers: dict[_Person, asyncio.Future[DataKey]] = {}
        self._introduced: dict[_Person, OpenKek] = {}
        self._welcoming = False
        self._tasks = TaskOwner(_task_failed)
        keks = KekTable(self._file)
        self.region = options.region
        self.roots = options.roots or Roots(LocalRoot(keyring, randomness))
        self.keks = Keks(
            KeksParts(
                table=keks,
                thread=self._thread,
                roots=self.roots,
                region=options.region,
                outage_max_s=options.outage_max_s,
                clock=clock,
                randomness=randomness,
                tasks=self._tasks,
                dropped=self._forget,
            )
        )
        self._copying = Copying(self._table, keks, self._thread)

    async def close(self) -> None:
        """Finish what is being written and close the file."""
        await self._tasks.finish(BUSY_TIMEOUT_S)
        await self._thread.run(self._file.close)
        self._thread.close()

    def cached(self, org_id: str, user: int) -> DataKey | None:
        """Return the person's current key if it is in memory; the hot path, blocks never."""
        if self._file.mark() != self._mark:
            self._forget()
        return self._cache.current((org_id, user))

    def cached_by_id(self, key_id: bytes) -> DataKey | None:
        """Return the key if it is in memory; blocks never."""
        if self._file.mark() != self._mark:
            self._forget()
        return self._cache.by_id(key_id)

    async def current(self, org_id: str, user: int) -> DataKey:
        """Return the key to seal this person's content with, making it at their first visit.

        It is durable on return, and all who ask at once, also in other processes, get the same.
        Raises KeyStoreBusy when too many newcomers wait, KeyStoreFailed when the disk fails,
        KeyRootUnavailable when the organization's key is not at hand and its root is away.
        """
        key = self.cached(org_id, user)
        if key is not None:
            return key
        person = (org_id, user)
        future = self._newcomers.get(person)
        if future is None:
            if len(self._newcomers) >= NEWCOMERS_MAX:
                raise KeyStoreBusy
            future = asyncio.get_running_loop().create_future()
            self._newcomers[person] = future
            kek = self.keks.at_hand(org_id)
            if kek is None:
                self._tasks.start(self._introduce(person), "find an organization's key")
            else:
                self._queue(person, kek)
        return await asyncio.shield(future)

    async def by_id(self, key_id: bytes) -> DataKey:
        """Return a key of this node; raise KeyGone when it has none (then `fetch` may help).

        Raises KeyRootUnavailable as `current` does.
        """
        key = self.cached_by_id(key_id)
        if key is not None:
            return key
        mark = self._mark
        wrapped = await self._thread.run(self._table.by_id, key_id)
        if wrapped is None:
            raise KeyGone(key_id.hex())
        return await self._remember(wrapped, mark, current=False)

    async def erase(self, org_id: str, user: int) -> int:
        """Destroy this person's keys for ever, in all processes of the node; return how many.

        What they sealed cannot be read again. `upload` carries the erasure to PostgreSQL.
        """
        erased = await self._thread.run(self._table.erase, org_id, user, self._clock.now_us())
        self._forget()
        return erased

    async def destroy(self, org_id: str) -> int:
        """Destroy an organization's keys and its people's, as `erase`; return how many of these."""
        destroyed = await self._copying.destroy(org_id, self._clock.now_us())
        await self.keks.forget_changed()
        self._forget()
        return destroyed

    async def bury(self, erasures: Sequence[Erasure]) -> int:
        """Destroy the keys of people that another node erased; return how many there were.

        What each process of this node has of them in memory goes too. May be repeated.
        """
        return await self._thread.run(self._table.bury, erasures)

    async def bury_orgs(self, erasures: Sequence[OrgErasure]) -> int:
        """Destroy the keys of organizations as `bury` does; return how many their people had."""
        return await self._copying.bury_orgs(erasures)

    async def renew(self, renewals: Sequence[Renewal]) -> int:
        """Have people's present keys seal nothing new, in all processes of the node.

        They open what they have sealed. Returns how many there were; may be repeated.
        """
        return await self._copying.renew(renewals)

    async def keep(self, keks: Sequence[WrappedKek]) -> int:
        """Keep keys of organizations that come from PostgreSQL; return how many are news."""
        return await self._copying.keep(keks)

    async def erased_us(self, org_id: str, user: int) -> int:
        """Return when this person was last erased on this node; 0 for never."""
        return await self._thread.run(self._table.erased_us, org_id, user)

    async def upload(self, connection: asyncpg.Connection) -> int:
        """Copy new keys and erasures to PostgreSQL; return how many data keys were sent.

        Call it once in a transaction: what the next call finds there is known to be committed, and
        only then counted as copied.
        """
        return await self._copying.upload(connection)

    async def upload_rest(self, connection: asyncpg.Connection) -> None:
        """Copy everything PostgreSQL is not known to have, in transactions of its own.

        Keys that are made meanwhile may be among it.
        """
        await self._copying.upload_rest(connection)

    async def upload_all(self, connection: asyncpg.Connection) -> None:
        """Copy all keys and erasures of this node to a PostgreSQL that may have lost them."""
        await self._copying.upload_all(connection)

    async def fetch(self, connection: asyncpg.Connection, key_id: bytes) -> None:
        """Copy a key of another node from PostgreSQL here; raise KeyGone when it was erased."""
        await self._copying.fetch(connection, key_id)

    async def count_lagging(self) -> int:
        """Return how many data keys of this node an older key than the newest has wrapped."""
        return await self._thread.run(self._table.count_lagging, self.region)

    async def rewrap_some(self, after: bytes, count_max: int) -> tuple[int, bytes]:
        """Wrap data keys of this node anew that lag behind; return how many, and the last one's id.

        Begin with b"" and go on from there until none is left. Raises KeyRootUnavailable.
        """
        if not after:
            await self.keks.forget_changed()
        lagging = await self._thread.run(self._table.lagging, after, self.region, count_max)
        if not lagging:
            return 0, after
        rewrapped = await self.rewrapped(lagging)
        await self._thread.run(self._table.rewrapped, lagging, rewrapped)
        return len(lagging), lagging[-1].key_id

    async def rewrapped(self, keys: Sequence[WrappedKey]) -> list[WrappedKey]:
        """Return the same data keys wrapped by their organization's newest key.

        One that cannot be opened stays as it is. Raises KeyRootUnavailable.
        """
        return [await self._rewrapped(key) for key in keys]

    async def _rewrapped(self, key: WrappedKey) -> WrappedKey:
        kek = self.keks.at_hand(key.org_id) or await self.keks.for_new(key.org_id)
        try:
            return self._wrapped(kek, key, await self._secret_of(key))
        except SealingError as error:
            if isinstance(error, KeyRootUnavailable):
                raise
            log.error("keys.not-rewrapped", "A data key cannot be opened.",
                      error__message=str(error), axon__key=key.key_id.hex())  # fmt: skip
            return key

    async def _introduce(self, person: _Person) -> None:
        """Find the key that wraps for the person's organization, then let them be welcomed."""
        org_id, user = person
        try:
            try:
                kek = await self.keks.for_new(org_id)
            except KeyRootUnavailable:
                # Who is known already may have a key that another one opens.
                mark = self._file.mark()
                found = await self._thread.run(self._table.found, org_id, user)
                if found is None:
                    raise
                key = await self._remember(found, mark, current=True)
                self._newcomers.pop(person).set_result(key)
            else:
                self._queue(person, kek)
        except SealingError as error:
            self._refuse([person], error)
        except BaseException:
            self._newcomers.pop(person).cancel()  # none may wait for ever
            raise

    def _queue(self, person: _Person, kek: OpenKek) -> None:
        self._introduced[person] = kek
        if not self._welcoming:
            self._welcoming = True
            self._tasks.start(self._welcome_all(), "make data keys")

    async def _welcome_all(self) -> None:
        try:
            while self._introduced:
                some = dict(islice(self._introduced.items(), _NEWCOMERS_AT_ONCE))
                for person in some:
                    del self._introduced[person]
                await self._welcome(some)
        finally:
            self._welcoming = False
            for person in self._introduced:
                self._newcomers.pop(person).cancel()  # only when this task was cancelled
            self._introduced.clear()

    async def _welcome(self, people: dict[_Person, OpenKek]) -> None:
        mark = self._file.mark()
        try:
            found = await self._thread.run(self._make, people)
        except SealingError as error:
            self._refuse(list(people), error)
            return
        except BaseException:
            for person in people:
                self._newcomers.pop(person).cancel()
            raise
        for person, wrapped in zip(people, found, strict=True):
            kek_id = wrapped.kek_id
            if kek_id.startswith(PREFIX) and self.keks.opened(kek_id) is None:
                # Its key has to be asked for: nobody else waits for that.
                self._tasks.start(self._settle(person, wrapped, mark), "open a data key")
            else:
                await self._settle(person, wrapped, mark)

    async def _settle(self, person: _Person, wrapped: WrappedKey, mark: bytes) -> None:
        try:
            key = await self._remember(wrapped, mark, current=True)
        except SealingError as error:
            self._refuse([person], error)
        except BaseException:
            self._newcomers.pop(person).cancel()
            raise
        else:
            self._newcomers.pop(person).set_result(key)

    def _refuse(self, people: Sequence[_Person], error: SealingError) -> None:
        for person in people:
            future = self._newcomers.pop(person)
            future.set_exception(error)
            future.exception()  # the callers may all have gone: not asyncio's to report

    def _make(self, people: dict[_Person, OpenKek]) -> list[WrappedKey]:
        now_us = self._clock.now_us()
        fresh = []
        for (org_id, user), kek in people.items():
            key_id = self._randomness.bytes(KEY_ID_BYTES)
            key = WrappedKey(key_id, org_id, user, "", b"", now_us)
            fresh.append(self._wrapped(kek, key, self._randomness.bytes(_DATA_KEY_BYTES)))
        return self._table.current(fresh)

    def _wrapped(self, kek: OpenKek, key: WrappedKey, secret: bytes) -> WrappedKey:
        nonce = self._randomness.bytes(_NONCE_BYTES)
        return key._replace(kek_id=kek.kek_id, wrapped=kek.wrap(nonce, secret, key.bound_to))

    async def _secret_of(self, key: WrappedKey) -> bytes:
        """Return the data key; raises KeyringRefused, KeyRefused, KeyRootUnavailable."""
        if not key.kek_id.startswith(PREFIX):
            return self._keyring.unwrap(WrappedBytes(key.kek_id, key.wrapped))
        kek = self.keks.opened(key.kek_id) or await self.keks.by_id(key.kek_id)
        try:
            return kek.unwrap(key.wrapped, key.bound_to)
        except (InvalidTag, ValueError) as error:
            raise KeyRefused(f"{key.kek_id} did not wrap {key.key_id.hex()}") from error

    async def _remember(self, wrapped: WrappedKey, mark: bytes, current: bool) -> DataKey:
        secret = await self._secret_of(wrapped)
        key = DataKey(
            key_id=wrapped.key_id,
            org_id=wrapped.org_id,
            user=wrapped.user,
            cipher=AESGCM(secret),
        )
        # When keys were erased since the table was read, this one may be among them.
        if self._file.mark() == mark == self._mark:
            self._cache.add(key, current)
        return key

    def _forget(self) -> None:
        self._mark = self._file.mark()
        self._cache.clear()


def _task_failed(name: str, error: BaseException) -> None:
    log.error("task-failed", f"{name}: {error!r}")
