"""Everybody's data keys: made when first needed, durable before they are used, erasable."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from axon.base import Clock, Randomness, TaskOwner
from axon.sealing.copying import Copying
from axon.sealing.errors import (
    KeyGone,
)
from axon.sealing.kek_copy import Renewal
from axon.sealing.kek_table import KekTable, OrgErasure, WrappedKek
from axon.sealing.keks import Keks, KeksParts
from axon.sealing.key_cache import KeyCache
from axon.sealing.key_file import BUSY_TIMEOUT_S, KeyFile
from axon.sealing.key_table import Erasure, KeyTable, WrappedKey
from axon.sealing.keyring import Keyring
from axon.sealing.local_root import LocalRoot
from axon.sealing.newcomers import Newcomers, NewcomersParts
from axon.sealing.one_thread import OneThread
from axon.sealing.root import Roots
from axon.sealing.seal import DataKey
from axon.sealing.wrapping import Wrapping
from axon.telemetry import log

KEYS_IN_MEMORY_MAX = 50_000
"""People whose keys are kept unwrapped, at less than a kilobyte each."""

OUTAGE_MAX_S = 86_400.0
"""How long a key of an organization is used that its root could not be asked for again."""


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
        self._clock = clock
        self._file = KeyFile(path, randomness)
        self._table = KeyTable(self._file)
        self._thread = OneThread()
        self._cache = KeyCache(KEYS_IN_MEMORY_MAX)
        self._mark = self._file.mark()
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
        self._wrapping = Wrapping(keyring, self.keks, randomness)
        self._newcomers = Newcomers(
            NewcomersParts(
                table=self._table,
                thread=self._thread,
                keks=self.keks,
                wrapping=self._wrapping,
                clock=clock,
                tasks=self._tasks,
                mark=self._file.mark,
                remember=self._remember,
            )
        )

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
        return self.cached(org_id, user) or await self._newcomers.welcome(org_id, user)

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
        return [await self._wrapping.anew(key) for key in keys]

    async def _remember(self, wrapped: WrappedKey, mark: bytes, current: bool = True) -> DataKey:
        secret = await self._wrapping.secret_of(wrapped)
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
