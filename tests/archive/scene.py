"""A process of conversations and its archive, and short ways to age and to move them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from axon.archive import ArchiveParts, Cooled, Cooling, Holdings, Sweeping, Swept, Thawing
from axon.base import MICROS_PER_SECOND, Clock, SystemClock
from axon.conversations import Begun
from tests.conversations.scene import Process, forgotten, query, told

DAY_US = 86_400 * MICROS_PER_SECOND
AFTER_US = 90 * DAY_US
GRACE_US = 30 * DAY_US


class LaterClock(SystemClock):
    """The machine's clock, days ahead."""

    days = 0.0

    def now_us(self) -> int:
        return super().now_us() + int(self.days * DAY_US)


@dataclass
class Scene:
    """What is moved to the archive and back."""

    process: Process

    @property
    def parts(self) -> ArchiveParts:
        assert self.process.archive is not None
        return self.process.archive

    def parts_at(self, clock: Clock) -> ArchiveParts:
        parts = self.parts
        return ArchiveParts(
            postgres=parts.postgres,
            objects=parts.objects,
            clock=clock,
            randomness=parts.randomness,
        )

    async def old(self, *texts: str, user: int = 7) -> str:
        """Return a conversation of some turns that only PostgreSQL knows."""
        name = await self.process.conversation("hello", user=user)
        for number, text in enumerate(texts):
            await self.process.say(name, text, f"answer {number}", user=user)
        await self.process.project()
        await forgotten(self.process)
        return name

    async def cool(self, days: float = 91) -> Cooled:
        return await Cooling(self.parts_at(later(days)), AFTER_US).run()

    async def sweep(self, days: float = 91, retention_days: float = 0) -> Swept:
        retention_us = int(retention_days * DAY_US)
        return await Sweeping(self.parts_at(later(days)), retention_us, GRACE_US).run()

    async def holdings(self) -> Holdings:
        return await Sweeping(self.parts, 0, GRACE_US).holdings()

    def thawing(self) -> Thawing:
        return Thawing(self.parts)

    async def heard(self, name: str, user: int = 7) -> list[str]:
        """Return what the next turn would be told."""
        return await self.process.heard(name, user)

    async def items(self, name: str) -> int:
        """Return how many items of the conversation PostgreSQL has."""
        [(count,)] = await self.query(
            "SELECT count(*) FROM conversations.items WHERE conversation_id = $1", name
        )
        assert isinstance(count, int)
        return count

    async def is_cold(self, name: str) -> bool:
        [(cold, placed)] = await self.query(
            "SELECT cold, EXISTS (SELECT FROM conversations.cold WHERE conversation_id = $1)"
            " FROM conversations.conversations WHERE id = $1",
            name,
        )
        assert cold is placed
        return bool(cold)

    async def query(self, sql: str, *arguments: object) -> list[tuple[object, ...]]:
        return await query(self.process.node.database, sql, *arguments)

    @asynccontextmanager
    async def begun(self, name: str, user: int = 7) -> AsyncIterator[Begun]:
        """A turn that runs."""
        conversations = self.process.conversations
        begun = await conversations.begin(self.process.owner(user), name, 20.0)
        try:
            yield begun
        finally:
            await conversations.abort(begun)


def later(days: float) -> LaterClock:
    clock = LaterClock()
    clock.days = days
    return clock


async def everything(database: str) -> dict[str, list[tuple[object, ...]]]:
    """Return every row that conversations consist of, so that before and after can be compared."""
    tables = {
        "items": "SELECT * FROM conversations.items ORDER BY 1, 2, 3, 4",
        "answers": "SELECT user_id, id, answer FROM conversations.turns ORDER BY 1, 2",
        "events": "SELECT * FROM conversations.turn_events ORDER BY 1, 2",
    }
    connection = await asyncpg.connect(database, timeout=10)
    try:
        return {
            name: [tuple(row) for row in await connection.fetch(sql)]
            for name, sql in tables.items()
        }
    finally:
        await connection.close()


__all__ = ["told"]
