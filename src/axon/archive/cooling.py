"""START HERE: moving conversations nobody touches to the object store.

The order loses nothing: the object is written and read back, then one transaction for each
conversation takes its content out of the tables and notes where it is now. Whatever dies in
between leaves the conversation in one of the two places, and at worst an object that is swept.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from axon.archive.errors import ArchiveError
from axon.archive.frames import checksum, encode_frame
from axon.archive.parts import ArchiveParts
from axon.archive.store import Due, count_untouched, is_held, keep_object, list_due
from axon.archive.writing import QUERY_TIMEOUT_S, write_object
from axon.audit import exclude_erasing
from axon.base import MIB
from axon.conversations import ColdContent, ColdFrame, Seen, cool, read_content
from axon.telemetry import counter, log

OBJECT_BYTES = 8 * MIB
"""An object is closed once it has so many: large enough that a bucket has few, small enough to be
written again when some of it is to go."""

FRAMES_MAX = 500
"""Of one object."""

PAGE = 500
"""Conversations listed at once."""

CONVERSATIONS_MAX = 100_000
"""Of one run: the rest is for the next."""

_FIRST = (0, 0, "")

_cooled = counter("axon_archive_cooled_total", "Conversations that were moved to the archive.")

Told = Callable[[int, int], None]
"""Told how many conversations were looked at, and how many there may be."""


class Cooled(NamedTuple):
    """What a run did."""

    conversations: int
    objects: int
    bytes: int


class _Packed(NamedTuple):
    """A conversation ready to leave."""

    due: Due
    content: ColdContent
    frame: bytes


def quiet(_: int, __: int) -> None:
    """Tell nobody how far it is."""


class Cooling:
    """Moves what is due; two of them at once do everything once."""

    def __init__(self, parts: ArchiveParts, after_us: int) -> None:
        """A conversation is due `after_us` microseconds after it was last touched."""
        self._parts = parts
        self._after_us = after_us

    async def run(self, told: Told = quiet) -> Cooled:
        """Move everything that is due, up to CONVERSATIONS_MAX; return how much that was.

        Raises ObjectsAway, ObjectNotKept and PostgresAway: what was moved before stays moved.
        """
        before_us = self._parts.clock.now_us() - self._after_us
        async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
            untouched = await count_untouched(connection, before_us)
        open_objects: dict[str, list[_Packed]] = {}
        done = Cooled(0, 0, 0)
        looked_at = 0
        async for due in self._due(before_us):
            packed = await self._pack(due)
            waiting = open_objects.setdefault(due.region, [])
            waiting.append(packed)
            full = sum(len(one.frame) for one in waiting) >= OBJECT_BYTES
            if full or len(waiting) >= FRAMES_MAX:
                done = await self._close(due.region, open_objects.pop(due.region), done)
            looked_at += 1
            told(looked_at, max(untouched, looked_at))
        for region, waiting in open_objects.items():
            done = await self._close(region, waiting, done)
        if done.conversations:
            log.info(
                "archive.cooled",
                "Conversations went to the archive.",
                axon__conversations=done.conversations,
                axon__objects=done.objects,
            )
        return done

    async def _due(self, before_us: int) -> AsyncIterator[Due]:
        after = _FIRST
        for _ in range(CONVERSATIONS_MAX // PAGE):
            async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
                page = await list_due(connection, before_us, after, PAGE)
            for due in page:
                yield due
            if len(page) < PAGE:
                return
            after = page[-1].point

    async def _pack(self, due: Due) -> _Packed:
        place = (due.user, due.conversation_id)
        async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
            content = await read_content(connection, place)
        frame = await asyncio.to_thread(encode_frame, *place, content)
        return _Packed(due, content, frame)

    async def _close(self, region: str, waiting: list[_Packed], done: Cooled) -> Cooled:
        """Write an object, then let its conversations go; return what was done by now."""
        path = await write_object(self._parts, region, [one.frame for one in waiting])
        start, moved = 0, 0
        for one in waiting:
            moved += await self._let_go(path, start, one)
            start += len(one.frame)
        _cooled.inc(moved)
        return Cooled(done.conversations + moved, done.objects + 1, done.bytes + start)

    async def _let_go(self, path: str, start: int, packed: _Packed) -> bool:
        """Take a conversation out of the tables, unless it changed or is held by now."""
        due, content, now_us = packed.due, packed.content, self._parts.clock.now_us()
        seen = Seen(due.user, due.conversation_id, due.head_sequence, due.updated_us)
        frame = ColdFrame(
            user=due.user,
            conversation_id=due.conversation_id,
            object=path,
            start_byte=start,
            length=len(packed.frame),
            sha256=checksum(packed.frame),
            items=len(content.items),
            newest_us=content.newest_us,
            cooled_us=now_us,
        )
        async with (
            self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection,
            connection.transaction(),
        ):
            await exclude_erasing(connection, due.user)
            if await is_held(connection, (due.user, due.conversation_id)):
                return False
            if not await cool(connection, seen, content, frame):
                return False
            if not await keep_object(connection, path, now_us):
                raise ArchiveError(f"{path} was given up while it was being filled")
        return True
