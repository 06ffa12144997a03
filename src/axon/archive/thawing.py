"""Bringing a conversation back from the archive when somebody touches it, or reading it there."""

import asyncio
from collections.abc import AsyncIterator

from axon.archive.errors import FrameBroken, UnknownConversation
from axon.archive.frames import decode_frame
from axon.archive.parts import ArchiveParts
from axon.archive.store import find_frame
from axon.archive.writing import QUERY_TIMEOUT_S
from axon.audit import exclude_erasing
from axon.base import TaskOwner
from axon.conversations import (
    ColdAway,
    ColdBroken,
    ColdContent,
    ColdFrame,
    HistoryAway,
    mark_warm,
    read_frame,
    read_frames,
    warm,
)
from axon.stores import Health, ObjectMissing, ObjectsAway, PostgresAway
from axon.telemetry import counter, log

THAWS_AT_ONCE = 8
"""Of one process: each holds a conversation in memory."""

WAITING_MAX = 256
"""Conversations that may wait for that; who asks for one more is told to come back."""

WAIT_S = 8.0
"""How long a caller waits; then the conversation comes back without them, and their next try finds
it. A turn that begins has a lease by then, which lasts for 15 s."""

_PAGE = 100

_thawed = counter("axon_archive_thawed_total", "Conversations that came back from the archive.")
_failed = counter("axon_archive_read_failures_total", "Reads of the archive that failed.", ("why",))


class Thawing:
    """One for each process that reads conversations."""

    def __init__(self, parts: ArchiveParts) -> None:
        """Nothing is read yet."""
        self._parts = parts
        self._free = asyncio.Semaphore(THAWS_AT_ONCE)
        self._tasks = TaskOwner(lambda name, error: None)  # whoever waits is told of it
        self._running: dict[str, asyncio.Task[None]] = {}

    @property
    def health(self) -> Health:
        """Return how the object store is."""
        return self._parts.objects.health

    def start(self) -> None:
        """Begin to look for an object store that is away; `stop` ends it."""
        self._tasks.start(self._parts.objects.keep_looking(), "look for the archive")

    async def thaw(self, user: int, conversation_id: str) -> None:
        """Return once everything the conversation says is in PostgreSQL, whoever brought it.

        Callers of the same moment share one read, which goes on without those who go away. Raises
        ColdAway while the archive cannot be read, and after WAIT_S; ColdBroken; HistoryAway while
        PostgreSQL is away.
        """
        running = self._running.get(conversation_id)
        if running is None:
            if len(self._running) >= WAITING_MAX:
                raise ColdAway("too many conversations are being brought back")
            running = self._tasks.start(self._take_turns(user, conversation_id), "thaw")
            self._running[conversation_id] = running
            running.add_done_callback(lambda _: self._running.pop(conversation_id, None))
        await asyncio.wait({running}, timeout=WAIT_S)
        if not running.done() or running.cancelled():
            raise ColdAway("it is still being brought back")
        running.result()

    async def stop(self) -> None:
        """Give up what is under way: it stays in the archive."""
        await self._tasks.cancel()

    async def _take_turns(self, user: int, conversation_id: str) -> None:
        async with self._free:
            try:
                await self._bring_back((user, conversation_id))
            except PostgresAway as away:
                raise HistoryAway(away.detail) from away

    async def thaw_by_id(self, conversation_id: str) -> ColdFrame:
        """Bring back a conversation of anybody's and return where it was; for an operator.

        Raises UnknownConversation, and as `thaw` does.
        """
        async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
            frame = await find_frame(connection, conversation_id)
        if frame is None:
            raise UnknownConversation(conversation_id[:100])
        await self._take_turns(frame.user, conversation_id)
        return frame

    async def contents(self, user: int) -> AsyncIterator[tuple[str, ColdContent]]:
        """Yield what a person's cold conversations say, without bringing them back.

        Items that were deleted meanwhile are left out. Raises as `thaw` does, and PostgresAway.
        """
        after = ""
        while True:
            async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
                frames = await read_frames(connection, user, after, _PAGE)
            for frame in frames:
                yield frame.conversation_id, _kept(frame, await self.read(frame))
            if len(frames) < _PAGE:
                return
            after = frames[-1].conversation_id

    async def content(self, user: int, conversation_id: str) -> ColdContent | None:
        """Return what one cold conversation says, without bringing it back; None where it is not.

        Raises as `contents` does.
        """
        async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
            frame = await read_frame(connection, (user, conversation_id))
        return None if frame is None else _kept(frame, await self.read(frame))

    async def read(self, frame: ColdFrame) -> ColdContent:
        """Return a cold conversation's content: one ranged read. Raises ColdAway, ColdBroken."""
        place = (frame.user, frame.conversation_id)
        try:
            found = await self._parts.objects.read(frame.object, frame.start_byte, frame.length)
            return await asyncio.to_thread(decode_frame, found, frame.sha256, place)
        except ObjectsAway as away:
            _failed.labels("away").inc()
            raise ColdAway(away.detail) from away
        except (ObjectMissing, FrameBroken) as error:
            _failed.labels("broken").inc()
            log.error(
                "archive.broken",
                "A conversation cannot be read from the archive.",
                axon__conversation=frame.conversation_id,
                axon__object=frame.object,
                error__message=str(error),
            )
            raise ColdBroken(frame.conversation_id) from error

    async def _bring_back(self, place: tuple[int, str]) -> None:
        async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
            frame = await read_frame(connection, place)
            if frame is None:  # somebody was faster, or it was erased
                async with connection.transaction():
                    await mark_warm(connection, place, self._parts.clock.now_us())
                return
        content = await self.read(frame)
        async with (
            self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection,
            connection.transaction(),
        ):
            await exclude_erasing(connection, place[0])
            came = await warm(connection, frame, content, self._parts.clock.now_us())
        if came:
            _thawed.inc()


def _kept(frame: ColdFrame, content: ColdContent) -> ColdContent:
    """Return the content without what was deleted since."""
    items = tuple(one for one in content.items if one.item_id not in frame.gone)
    return ColdContent(items, content.answers, content.events)
