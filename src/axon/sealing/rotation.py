"""Rotating keys while they are used: nothing becomes unreadable, and what was cut short goes on.

A new key of an organization wraps what comes, and its people's keys are wrapped by it one batch
after another; the older one stays, for what another node or a backup still has under it.
"""

from collections.abc import Callable
from typing import NamedTuple

import asyncpg

from axon.base import Clock
from axon.sealing import kek_copy
from axon.sealing.errors import KeyRefused, KeyringRefused
from axon.sealing.kek_copy import EVERYBODY, Renewal
from axon.sealing.key_store import KeyStore
from axon.telemetry import log

AT_ONCE = 256
"""Data keys of this node wrapped anew in one transaction: some ten milliseconds of it."""

PAGE = 1000
"""PostgreSQL's data keys that are looked at, and wrapped anew if they lag, at a time."""

KEKS = "keks"
ROOT = "root"

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is in all."""


class Rotated(NamedTuple):
    """What a rotation has done; of one that went on, what was left of it."""

    keks: int
    """Keys of organizations that were made, or wrapped anew."""
    data_keys: int
    """People's keys that were wrapped anew, in PostgreSQL and on this node."""
    resumed: bool
    """Whether it went on with one that was cut short."""
    left: int
    """Keys that could not be opened, and stay as they were."""


class Rotation:
    """Rotates with the key store of one node, and PostgreSQL's copy; the other nodes follow."""

    def __init__(
        self, store: KeyStore, connection: asyncpg.Connection, clock: Clock, progress: Progress
    ) -> None:
        """Nothing is rotated yet."""
        self._store = store
        self._connection = connection
        self._clock = clock
        self._progress = progress

    async def rotate_keks(self, org_id: str = "") -> Rotated:
        """Give an organization, or ('') each, a new key, and wrap its people's keys by it.

        One that was cut short is brought to its end instead. Raises KeyRootUnavailable,
        KeyStoreFailed; repeat it then.
        """
        connection = self._connection
        await self._meet()
        began_us = await kek_copy.unfinished(connection, KEKS, org_id)
        resumed = began_us is not None
        if began_us is None:
            began_us = self._clock.now_us()
            await kek_copy.note_begun(connection, KEKS, org_id, began_us)
        orgs = [org_id] if org_id else await kek_copy.orgs_with_keys(connection)
        made = 0
        for number, org in enumerate(orgs):
            self._progress("keys of organizations", number, len(orgs))
            if await self._store.keks.newest_us(org) < began_us:
                await self._store.keks.create(org)
                made += 1
        self._progress("keys of organizations", len(orgs), len(orgs))
        await self._store.upload_rest(connection)  # before PostgreSQL has anything under them
        there, left = await rewrap_there(self._store, connection, org_id, self._progress)
        here = await self._rewrap_here()
        await kek_copy.note_ended(connection, KEKS, org_id, self._clock.now_us())
        return Rotated(made, there + here, resumed, left)

    async def rotate_data_keys(self, org_id: str, user: int | None) -> int:
        """Have an organization's people, or one, get new keys for new content; return how many.

        Each is made at the next visit, on other nodes within seconds. What the present ones have
        sealed stays readable.
        """
        person = EVERYBODY if user is None else user
        renewal = Renewal(org_id, person, self._clock.now_us())
        await kek_copy.add_renewal(self._connection, renewal)
        return await self._store.renew([renewal])

    async def rotate_root(self, new_version: bool = True) -> Rotated:
        """Wrap the keys of all organizations by a new version of the root; raises as the others.

        Without `new_version` by the newest there is: after the root was changed, or has made a
        version by itself.
        """
        store, connection = self._store, self._connection
        await self._meet()
        began_us = await kek_copy.unfinished(connection, ROOT, "")
        resumed = began_us is not None
        if began_us is None:
            if new_version:
                await store.roots.wrapping.rotate()
            began_us = self._clock.now_us()
            await kek_copy.note_begun(connection, ROOT, "", began_us)
        moved = left = done = 0
        after, total = "", await store.keks.count()
        while some := await store.keks.some(after, AT_ONCE):
            after = some[-1].kek_id
            for kek in some:
                self._progress("keys of organizations", done, total)
                done += 1
                try:
                    moved += await store.keks.move(kek, began_us)
                except (KeyRefused, KeyringRefused) as error:
                    left += 1
                    log.error("keys.not-moved", "A key cannot be opened.",
                              error__message=str(error), axon__kek=kek.kek_id)  # fmt: skip
            await store.upload_rest(connection)
        self._progress("keys of organizations", total, total)
        await kek_copy.note_ended(connection, ROOT, "", self._clock.now_us())
        return Rotated(moved, 0, resumed, left)

    async def _meet(self) -> None:
        """Let this node and PostgreSQL have the same keys."""
        await self._store.upload_rest(self._connection)
        await self._store.keep(await kek_copy.read_keks(self._connection, 0))

    async def _rewrap_here(self) -> int:
        total = await self._store.count_lagging()
        after, done = b"", 0
        while True:
            self._progress("this node", done, total)
            count, after = await self._store.rewrap_some(after, AT_ONCE)
            if not count:
                return done
            done += count


async def rewrap_there(
    store: KeyStore, connection: asyncpg.Connection, org_id: str, progress: Progress
) -> tuple[int, int]:
    """Wrap PostgreSQL's data keys by their organizations' newest keys, of one or ('') all.

    Returns how many, and how many could not be opened. Raises KeyRootUnavailable.
    """
    await store.keks.forget_changed()
    scope = (store.region, org_id)
    total = await kek_copy.count_lagging(connection, scope)
    after, done, left = b"", 0, 0
    while (end := await kek_copy.end_of_page(connection, after, PAGE)) is not None:
        progress("PostgreSQL", done, total)
        some = await kek_copy.read_lagging(connection, (after, end), scope)
        rewrapped = await store.rewrapped(some)
        if some:
            await kek_copy.put_rewrapped(connection, some, rewrapped)
        left += sum(old is new for old, new in zip(some, rewrapped, strict=True))
        after, done = end, done + len(some)
    progress("PostgreSQL", total, total)
    return done - left, left
