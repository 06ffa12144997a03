"""People at their first visit: each gets a data key, many of them in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from axon.base import Clock, TaskOwner
from axon.sealing.errors import KeyRootUnavailable, KeyStoreBusy, SealingError
from axon.sealing.keks import Keks
from axon.sealing.key_table import KeyTable, WrappedKey
from axon.sealing.one_thread import OneThread
from axon.sealing.open_keks import OpenKek
from axon.sealing.seal import DataKey
from axon.sealing.wrapping import Wrapping

NEWCOMERS_MAX = 10_000
"""People who may wait for their key at once: a few seconds of work for a slow disk."""

_AT_ONCE = 256
"""Keys made in one transaction: they share its fsync."""

_Person = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewcomersParts:
    """What the key store lends."""

    table: KeyTable
    thread: OneThread
    keks: Keks
    wrapping: Wrapping
    clock: Clock
    tasks: TaskOwner
    mark: Callable[[], bytes]
    """Returns what changes whenever keys are erased."""
    remember: Callable[[WrappedKey, bytes], Awaitable[DataKey]]
    """Opens a person's present key, and keeps it unless the mark has changed since."""


class Newcomers:
    """Those who wait for a key; whoever asks for the same person waits for the same one."""

    def __init__(self, parts: NewcomersParts) -> None:
        """Nobody waits yet."""
        self._parts = parts
        self._waiting: dict[_Person, asyncio.Future[DataKey]] = {}
        self._introduced: dict[_Person, OpenKek] = {}
        self._welcoming = False

    async def welcome(self, org_id: str, user: int) -> DataKey:
        """Return the person's key once it is durable: the one there is, or a new one.

        Raises KeyStoreBusy when too many wait, KeyStoreFailed when the disk fails,
        KeyRootUnavailable when the organization's key is not at hand and its root is away.
        """
        person = (org_id, user)
        future = self._waiting.get(person)
        if future is None:
            if len(self._waiting) >= NEWCOMERS_MAX:
                raise KeyStoreBusy
            future = asyncio.get_running_loop().create_future()
            self._waiting[person] = future
            kek = self._parts.keks.at_hand(org_id)
            if kek is None:
                self._parts.tasks.start(self._introduce(person), "find an organization's key")
            else:
                self._queue(person, kek)
        return await asyncio.shield(future)

    async def _introduce(self, person: _Person) -> None:
        """Find the key that wraps for the person's organization, then let them be welcomed."""
        parts, (org_id, user) = self._parts, person
        try:
            try:
                kek = await parts.keks.for_new(org_id)
            except KeyRootUnavailable:
                # Who is known already may have a key that another one opens.
                mark = parts.mark()
                found = await parts.thread.run(parts.table.found, org_id, user)
                if found is None:
                    raise
                key = await parts.remember(found, mark)
                self._waiting.pop(person).set_result(key)
            else:
                self._queue(person, kek)
        except SealingError as error:
            self._refuse([person], error)
        except BaseException:
            self._waiting.pop(person).cancel()  # none may wait for ever
            raise

    def _queue(self, person: _Person, kek: OpenKek) -> None:
        self._introduced[person] = kek
        if not self._welcoming:
            self._welcoming = True
            self._parts.tasks.start(self._welcome_all(), "make data keys")

    async def _welcome_all(self) -> None:
        try:
            while self._introduced:
                some = dict(islice(self._introduced.items(), _AT_ONCE))
                for person in some:
                    del self._introduced[person]
                await self._welcome(some)
        finally:
            self._welcoming = False
            for person in self._introduced:
                self._waiting.pop(person).cancel()  # only when this task was cancelled
            self._introduced.clear()

    async def _welcome(self, people: dict[_Person, OpenKek]) -> None:
        mark = self._parts.mark()
        try:
            found = await self._parts.thread.run(self._make, people)
        except SealingError as error:
            self._refuse(list(people), error)
            return
        except BaseException:
            for person in people:
                self._waiting.pop(person).cancel()
            raise
        for person, wrapped in zip(people, found, strict=True):
            settling = self._settle(person, wrapped, mark)
            if self._parts.wrapping.must_ask(wrapped):  # nobody else waits for that
                self._parts.tasks.start(settling, "open a data key")
            else:
                await settling

    def _make(self, people: dict[_Person, OpenKek]) -> list[WrappedKey]:
        now_us = self._parts.clock.now_us()
        fresh = self._parts.wrapping.fresh
        return self._parts.table.current(
            [fresh(org_id, user, kek, now_us) for (org_id, user), kek in people.items()]
        )

    async def _settle(self, person: _Person, wrapped: WrappedKey, mark: bytes) -> None:
        try:
            key = await self._parts.remember(wrapped, mark)
        except SealingError as error:
            self._refuse([person], error)
        except BaseException:
            self._waiting.pop(person).cancel()
            raise
        else:
            self._waiting.pop(person).set_result(key)

    def _refuse(self, people: Sequence[_Person], error: SealingError) -> None:
        for person in people:
            future = self._waiting.pop(person)
            future.set_exception(error)
            future.exception()  # the callers may all have gone: not asyncio's to report
