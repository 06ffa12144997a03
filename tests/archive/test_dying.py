"""Whatever dies while conversations move, each is whole in one place, and once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from axon.archive import ArchiveParts, Cooling, Sweeping, Thawing
from axon.stores import Objects, Postgres
from tests.archive.scene import AFTER_US, GRACE_US, Scene, everything, later

SAID = ["hello", "one", "answer 0"]
STEPS_MAX = 200


class Killed(BaseException):
    """As SIGKILL: nobody catches it, and what a server was asked in a transaction is undone."""


@dataclass
class Life:
    """So many steps are left: each call of a store is one before it and one behind it."""

    left: int

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


class MortalPostgres:
    def __init__(self, postgres: Postgres, life: Life) -> None:
        self._postgres, self._life = postgres, life

    @asynccontextmanager
    async def connection(self, timeout_s: float) -> AsyncIterator[asyncpg.Connection]:
        self._life.step()
        async with self._postgres.connection(timeout_s) as connection:
            yield connection
        self._life.step()


class MortalObjects:
    def __init__(self, objects: Objects, life: Life) -> None:
        self._objects, self._life = objects, life

    async def write(self, path: str, content: bytes) -> None:
        self._life.step()
        await self._objects.write(path, content)
        self._life.step()

    async def read(self, path: str, start: int, length: int) -> bytes:
        self._life.step()
        return await self._objects.read(path, start, length)

    async def delete(self, path: str) -> None:
        self._life.step()
        await self._objects.delete(path)
        self._life.step()


def mortal(parts: ArchiveParts, life: Life) -> ArchiveParts:
    return ArchiveParts(
        postgres=MortalPostgres(parts.postgres, life),  # type: ignore[arg-type]
        objects=MortalObjects(parts.objects, life),  # type: ignore[arg-type]
        clock=parts.clock,
        randomness=parts.randomness,
    )


async def test_killed_at_every_step_nothing_is_lost_or_doubled(scene: Scene) -> None:
    """Each life ends one step later; what it left is what the next one finds."""
    names = [await scene.old("one"), await scene.old("one"), await scene.old("one", user=8)]
    users = [7, 7, 8]
    before = await everything(scene.process.node.database)
    parts = scene.parts_at(later(91))
    deaths = 0
    for step in range(STEPS_MAX):
        life = mortal(parts, Life(step))
        try:
            await Cooling(life, AFTER_US).run()
            for name, user in zip(names, users, strict=True):
                await Thawing(life).thaw(user, name)
            await Sweeping(mortal(scene.parts_at(later(200)), Life(step)), 0, GRACE_US).run()
        except Killed:
            deaths += 1
        else:
            break
        for name in names:
            cold, items = await scene.is_cold(name), await scene.items(name)
            assert (cold, items) in ((True, 0), (False, 3)), f"at step {step}"
        await scene.query("UPDATE conversations.conversations SET warmed_us = 0")
    assert deaths > 20, "it died in every place there is"
    for name, user in zip(names, users, strict=True):
        assert await scene.heard(name, user) == SAID
    assert await everything(scene.process.node.database) == before
    for days in (300, 400):
        await scene.sweep(days=days)
    assert (await scene.query("SELECT count(*) FROM archive.objects")) == [(0,)]
    assert (await scene.holdings()).objects == 0


async def test_one_that_changes_while_it_moves_stays(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading and taking out, a turn is projected, and another conversation is held."""
    changed, held, other = [await scene.old("one") for _ in range(3)]
    write = scene.parts.objects.write

    async def write_late(path: str, content: bytes) -> None:
        await write(path, content)
        await scene.process.say(changed, "two", "answer 1")
        await scene.process.project()
        await scene.query(
            "INSERT INTO audit.holds (hold_id, org_id, user_id, conversation_id, reason, held_us)"
            " VALUES ('hold_1', 'org_test', 7, $1, 'a lawsuit', 1)",
            held,
        )

    monkeypatch.setattr(scene.parts.objects, "write", write_late)
    assert (await scene.cool()).conversations == 1
    monkeypatch.undo()
    assert [await scene.is_cold(name) for name in (changed, held, other)] == [False, False, True]
    assert await scene.heard(changed) == [*SAID, "two", "answer 1"]
    assert (await scene.sweep()).rewritten == 1, "the object has what nobody refers to"
    assert await scene.heard(other) == SAID


async def test_two_at_once_do_it_once(scene: Scene) -> None:
    names = [await scene.old("one") for _ in range(4)]
    done = await asyncio.gather(scene.cool(), scene.cool())
    assert sum(one.conversations for one in done) == len(names)
    heard = await asyncio.gather(*(scene.heard(name) for name in names for _ in range(2)))
    assert heard == [SAID] * (2 * len(names))
