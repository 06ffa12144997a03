"""What nothing refers to any more leaves the object store: thawed, deleted, erased and unfinished.

An object is written again without what is to go, and the old one is kept for a while: a backup of
PostgreSQL that is restored refers to it.
"""

from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import asyncpg

from axon.archive.errors import FrameBroken
from axon.archive.frames import checksum
from axon.archive.parts import ArchiveParts
from axon.archive.store import (
    Holdings,
    drop_object,
    forget_object,
    frames_in,
    give_up_unfinished,
    keep_object,
    list_dropped,
    list_expired,
    list_frayed,
    move_frame,
    read_holdings,
)
from axon.archive.writing import QUERY_TIMEOUT_S, write_object
from axon.audit import exclude_erasing
from axon.base import MICROS_PER_SECOND
from axon.conversations import ColdFrame, forget_cold
from axon.stores import ObjectMissing
from axon.telemetry import gauge, log

UNFINISHED_FOR_US = 3600 * MICROS_PER_SECOND
"""After so long who was writing an object is not there any more."""

OBJECTS_AT_ONCE = 64
"""Written again, or deleted, by one run: a bucket is asked for no more at a time."""

EXPIRED_AT_ONCE = 1000

_conversations = gauge("axon_archive_conversations", "Conversations in the archive.")
_bytes = gauge("axon_archive_bytes", "Bytes of the archive's objects.")


class Swept(NamedTuple):
    """What a run did."""

    expired: int
    """Conversations whose time was over."""
    rewritten: int
    deleted: int
    """Objects."""


class Sweeping:
    """Keeps the object store to what is referred to; two of them at once do no harm."""

    def __init__(self, parts: ArchiveParts, retention_us: int, grace_us: int) -> None:
        """Cold conversations go for good `retention_us` after they were last touched; 0: never.

        An object stays `grace_us` after nothing refers to it any more.
        """
        self._parts = parts
        self._retention_us = retention_us
        self._grace_us = grace_us

    async def run(self) -> Swept:
        """Sweep once, in bounded pieces; raises ObjectsAway and PostgresAway."""
        now_us = self._parts.clock.now_us()
        expired = await self._expire(now_us) if self._retention_us else 0
        async with self._connected() as connection:
            await give_up_unfinished(connection, now_us - UNFINISHED_FOR_US, now_us)
            frayed = await list_frayed(connection, OBJECTS_AT_ONCE)
        rewritten = 0
        for path in frayed:
            rewritten += await self._rewrite(path)
        deleted = await self._delete(now_us - self._grace_us)
        await self.holdings()
        return Swept(expired, rewritten, deleted)

    async def holdings(self) -> Holdings:
        """Return what the archive holds, and tell the gauges."""
        async with self._connected() as connection:
            held = await read_holdings(connection)
        _conversations.set(held.conversations)
        _bytes.set(held.object_bytes)
        return held

    async def _expire(self, now_us: int) -> int:
        async with self._connected() as connection:
            old = await list_expired(connection, now_us - self._retention_us, EXPIRED_AT_ONCE)
        count = 0
        for frame in old:
            async with self._connected() as connection, connection.transaction():
                await exclude_erasing(connection, frame.user)
                count += await forget_cold(connection, frame, now_us)
        return count

    async def _rewrite(self, path: str) -> bool:
        """Write what is still referred to into a new object, and let go of the old one."""
        async with self._connected() as connection:
            frames = await frames_in(connection, path)
            if not frames:
                return await drop_object(connection, path, self._parts.clock.now_us())
        try:
            pieces = [await self._read(frame) for frame in frames]
        except (ObjectMissing, FrameBroken) as error:
            log.error(
                "archive.broken",
                "An object of the archive is damaged.",
                axon__object=path,
                error__message=str(error),
            )
            return False  # what can be read of it stays where it is
        region = path.split("/")[-2]
        new = await write_object(self._parts, region, pieces)
        now_us, start = self._parts.clock.now_us(), 0
        async with self._connected() as connection, connection.transaction():
            if not await keep_object(connection, new, now_us):
                return False
            for frame, piece in zip(frames, pieces, strict=True):
                await move_frame(connection, frame, new, start)
                start += len(piece)
            return await drop_object(connection, path, now_us)

    async def _read(self, frame: ColdFrame) -> bytes:
        found = await self._parts.objects.read(frame.object, frame.start_byte, frame.length)
        if checksum(found) != frame.sha256:
            raise FrameBroken(frame.conversation_id)
        return found

    async def _delete(self, before_us: int) -> int:
        async with self._connected() as connection:
            paths = await list_dropped(connection, before_us, OBJECTS_AT_ONCE)
        for path in paths:
            await self._parts.objects.delete(path)
            async with self._connected() as connection:
                await forget_object(connection, path)
        return len(paths)

    def _connected(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        return self._parts.postgres.connection(QUERY_TIMEOUT_S)
