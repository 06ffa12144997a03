"""Keys on their way between this node's file and PostgreSQL, both ways."""

from collections.abc import Sequence

import asyncpg

from axon.sealing import kek_copy, key_copy
from axon.sealing.errors import KeyGone
from axon.sealing.kek_copy import EVERYBODY, Renewal
from axon.sealing.kek_table import KekTable, OrgErasure, WrappedKek
from axon.sealing.key_table import KeyTable
from axon.sealing.one_thread import OneThread


class Copying:
    """What a key store does with its copy; every method may raise KeyStoreFailed."""

    def __init__(self, keys: KeyTable, keks: KekTable, thread: OneThread) -> None:
        """The tables are used in their thread alone."""
        self._keys = keys
        self._keks = keks
        self._thread = thread

    async def upload(self, connection: asyncpg.Connection) -> int:
        """Send what PostgreSQL is not known to have; return how many data keys were sent."""
        run, count = self._thread.run, key_copy.ROWS_MAX
        keks = await run(self._keks.to_upload, count)
        org_erasures = await run(self._keks.erasures_to_upload, count)
        if keks or org_erasures:
            keks_there = await kek_copy.send_keks(connection, keks)
            orgs_there = await kek_copy.send_org_erasures(connection, org_erasures)
            if keks_there or orgs_there:
                await run(self._keks.uploaded, keks_there, orgs_there)
        keys = await run(self._keys.keys_to_upload, count)
        erasures = await run(self._keys.erasures_to_upload, count)
        if not keys and not erasures:
            return 0
        keys_there = await key_copy.send_keys(connection, keys)
        erasures_there = await key_copy.send_erasures(connection, erasures)
        if keys_there or erasures_there:
            await run(self._keys.uploaded, keys_there, erasures_there)
        return len(keys) - len(keys_there)

    async def upload_rest(self, connection: asyncpg.Connection) -> None:
        """Send all of it, in transactions of its own."""
        while await self._thread.run(self._has_to_upload):
            async with connection.transaction():
                await self.upload(connection)

    async def upload_all(self, connection: asyncpg.Connection) -> None:
        """Send everything to a PostgreSQL that may have lost it."""
        await self._thread.run(self._keys.forget_uploads)
        await self._thread.run(self._keks.forget_uploads)
        await self.upload_rest(connection)

    async def fetch(self, connection: asyncpg.Connection, key_id: bytes) -> None:
        """Copy a data key from PostgreSQL, and what wraps it; raise KeyGone when it was erased."""
        run = self._thread.run
        key = await key_copy.find_key(connection, key_id)
        if key is None:
            raise KeyGone(key_id.hex())
        if await run(self._keks.by_id, key.kek_id) is None:
            kek = await kek_copy.find_kek(connection, key.kek_id)
            if kek is not None:
                await self.keep([kek])
        if not await run(self._keys.keep, key):
            raise KeyGone(key_id.hex())

    async def keep(self, keks: Sequence[WrappedKek]) -> int:
        """Keep keys of organizations that PostgreSQL has; return how many are news."""
        return await self._thread.run(self._keks.keep, keks, True)

    async def destroy(self, org_id: str, now_us: int) -> int:
        """Destroy the keys of an organization and its people; return how many of these."""
        return await self._thread.run(self._keks.destroy, org_id, now_us)

    async def bury_orgs(self, erasures: Sequence[OrgErasure]) -> int:
        """Destroy what other nodes have destroyed; return how many data keys there were."""
        return await self._thread.run(self._keks.bury, erasures)

    async def renew(self, renewals: Sequence[Renewal]) -> int:
        """Have keys seal nothing new; return how many there were."""
        renewed = 0
        for org_id, user, renewed_us in renewals:
            person = None if user == EVERYBODY else user
            renewed += await self._thread.run(self._keys.renew, org_id, person, renewed_us)
        return renewed

    def _has_to_upload(self) -> bool:
        return bool(
            self._keys.has_to_upload()
            or self._keks.to_upload(1)
            or self._keks.erasures_to_upload(1)
        )
