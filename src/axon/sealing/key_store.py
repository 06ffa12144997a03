"""Everybody's data keys: made when first needed, durable before they are used, erasable."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import ParamSpec, TypeVar

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from axon.base import Clock, Randomness, TaskOwner
from axon.sealing import key_copy
from axon.sealing.errors import KeyGone, KeyStoreBusy, SealingError
from axon.sealing.key_cache import KeyCache
from axon.sealing.key_table import BUSY_TIMEOUT_S, Erasure, KeyTable, WrappedKey
from axon.sealing.keyring import Keyring, WrappedBytes
from axon.sealing.seal import KEY_ID_BYTES, DataKey
from axon.telemetry import log

KEYS_IN_MEMORY_MAX = 50_000
"""People whose keys are kept unwrapped, at less than a kilobyte each."""

NEWCOMERS_MAX = 10_000
"""People who may wait for their key at once: a few seconds of work for a slow disk."""

_NEWCOMERS_AT_ONCE = 256
"""Keys made in one transaction: they share its fsync."""

_DATA_KEY_BYTES = 32

_P = ParamSpec("_P")
_R = TypeVar("_R")


class KeyStore:
    """The keys of one node, for one event loop; several processes may share the file."""

    def __init__(self, path: Path, keyring: Keyring, clock: Clock, randomness: Randomness) -> None:
        """Open or create the file (0600); blocks. Raises KeyringRefused or KeyStoreFailed."""
        self._keyring = keyring
        self._clock = clock
        self._randomness = randomness
        self._table = KeyTable(path, randomness)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keys")
        self._cache = KeyCache(KEYS_IN_MEMORY_MAX)
        self._mark = self._table.mark()
        self._newcomers: dict[tuple[str, int], asyncio.Future[DataKey]] = {}
        self._tasks = TaskOwner(_task_failed)

    async def close(self) -> None:
        """Finish what is being written and close the file."""
        await self._tasks.finish(BUSY_TIMEOUT_S)
        await self._in_thread(self._table.close)
        self._thread.shutdown()

    def cached(self, org_id: str, user: int) -> DataKey | None:
        """Return the person's current key if it is in memory; the hot path, blocks never."""
        if self._table.mark() != self._mark:
            self._forget()
        return self._cache.current((org_id, user))

    def cached_by_id(self, key_id: bytes) -> DataKey | None:
        """Return the key if it is in memory; blocks never."""
        if self._table.mark() != self._mark:
            self._forget()
        return self._cache.by_id(key_id)

    async def current(self, org_id: str, user: int) -> DataKey:
        """Return the key to seal this person's content with, making it at their first visit.

        It is durable on return, and all who ask at once, also in other processes, get the same.
        Raises KeyStoreBusy when too many newcomers wait, KeyStoreFailed when the disk fails.
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
            if len(self._newcomers) == 1:
                self._tasks.start(self._welcome_all(), "make data keys")
        return await asyncio.shield(future)

    async def by_id(self, key_id: bytes) -> DataKey:
        """Return a key of this node; raise KeyGone when it has none (then `fetch` may help)."""
        key = self.cached_by_id(key_id)
        if key is not None:
            return key
        mark = self._mark
        wrapped = await self._in_thread(self._table.by_id, key_id)
        if wrapped is None:
            raise KeyGone(key_id.hex())
        return self._remember(wrapped, mark, current=False)

    async def erase(self, org_id: str, user: int) -> int:
        """Destroy this person's keys for ever, in all processes of the node; return how many.

        What they sealed cannot be read again. `upload` carries the erasure to PostgreSQL.
        """
        erased = await self._in_thread(self._table.erase, org_id, user, self._clock.now_us())
        self._forget()
        return erased

    async def bury(self, erasures: Sequence[Erasure]) -> int:
        """Destroy the keys of people that another node erased; return how many there were.

        What each process of this node has of them in memory goes too. May be repeated.
        """
        return await self._in_thread(self._table.bury, erasures)

    async def erased_us(self, org_id: str, user: int) -> int:
        """Return when this person was last erased on this node; 0 for never."""
        return await self._in_thread(self._table.erased_us, org_id, user)

    async def upload(self, connection: asyncpg.Connection) -> int:
        """Copy new keys and erasures to PostgreSQL; return how many keys were sent.

        Call it once in a transaction: what the next call finds there is known to be committed, and
        only then counted as copied.
        """
        keys = await self._in_thread(self._table.keys_to_upload, key_copy.ROWS_MAX)
        erasures = await self._in_thread(self._table.erasures_to_upload, key_copy.ROWS_MAX)
        if not keys and not erasures:
            return 0
        keys_there = await key_copy.send_keys(connection, keys)
        erasures_there = await key_copy.send_erasures(connection, erasures)
        if keys_there or erasures_there:
            await self._in_thread(self._table.uploaded, keys_there, erasures_there)
        return len(keys) - len(keys_there)

    async def upload_rest(self, connection: asyncpg.Connection) -> None:
        """Copy everything PostgreSQL is not known to have, in transactions of its own.

        Keys that are made meanwhile may be among it.
        """
        while await self._in_thread(self._table.has_to_upload):
            async with connection.transaction():
                await self.upload(connection)

    async def upload_all(self, connection: asyncpg.Connection) -> None:
        """Copy all keys and erasures of this node to a PostgreSQL that may have lost them."""
        await self._in_thread(self._table.forget_uploads)
        await self.upload_rest(connection)

    async def fetch(self, connection: asyncpg.Connection, key_id: bytes) -> None:
        """Copy a key of another node from PostgreSQL here; raise KeyGone when it was erased."""
        key = await key_copy.find_key(connection, key_id)
        if key is None or not await self._in_thread(self._table.keep, key):
            raise KeyGone(key_id.hex())

    async def _welcome_all(self) -> None:
        try:
            while self._newcomers:
                await self._welcome(list(islice(self._newcomers, _NEWCOMERS_AT_ONCE)))
        finally:
            for future in self._newcomers.values():
                future.cancel()  # only when this task was cancelled: none may wait for ever
            self._newcomers.clear()

    async def _welcome(self, people: list[tuple[str, int]]) -> None:
        mark = self._table.mark()
        try:
            found = await self._in_thread(self._make, people)
            keys = [self._remember(wrapped, mark, current=True) for wrapped in found]
        except SealingError as error:
            for person in people:
                future = self._newcomers.pop(person)
                future.set_exception(error)
                future.exception()  # the callers may all have gone: not asyncio's to report
        else:
            for person, key in zip(people, keys, strict=True):
                self._newcomers.pop(person).set_result(key)

    def _make(self, people: list[tuple[str, int]]) -> list[WrappedKey]:
        now_us = self._clock.now_us()
        fresh = []
        for org_id, user in people:
            key_id = self._randomness.bytes(KEY_ID_BYTES)
            wrapped = self._keyring.wrap(self._randomness.bytes(_DATA_KEY_BYTES))
            fresh.append(WrappedKey(key_id, org_id, user, wrapped.kek_id, wrapped.data, now_us))
        return self._table.current(fresh)

    def _remember(self, wrapped: WrappedKey, mark: bytes, current: bool) -> DataKey:
        secret = self._keyring.unwrap(WrappedBytes(wrapped.kek_id, wrapped.wrapped))
        key = DataKey(
            key_id=wrapped.key_id,
            org_id=wrapped.org_id,
            user=wrapped.user,
            cipher=AESGCM(secret),
        )
        # When keys were erased since the table was read, this one may be among them.
        if self._table.mark() == mark == self._mark:
            self._cache.add(key, current)
        return key

    def _forget(self) -> None:
        self._mark = self._table.mark()
        self._cache.clear()

    async def _in_thread(self, work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(*args, **kwargs))


def _task_failed(name: str, error: BaseException) -> None:
    log.error("task-failed", f"{name}: {error!r}")
