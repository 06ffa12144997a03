"""The object store fails in every way there is: cold conversations wait, all others go on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.archive import ObjectNotKept
from axon.conversations import ColdAway, ColdBroken
from axon.gateway.problems import problem_of
from axon.sealing import Keyring
from axon.stores import ObjectMissing, Objects, ObjectsAway, ObjectsRefused
from tests.archive.faulty import TIMEOUT_S, FaultyS3, faulty_s3
from tests.archive.scene import Scene
from tests.conversations.scene import Node

SAID = ["hello", "one", "answer 0"]


@pytest.fixture
async def server() -> AsyncIterator[FaultyS3]:
    async with faulty_s3() as server:
        yield server


@pytest.fixture
async def scene(
    tmp_path: Path, keyring: Keyring, database: str, valkey_url: str, server: FaultyS3
) -> AsyncIterator[Scene]:
    node = Node(tmp_path, keyring, database, valkey_url)
    node.objects = Objects(server.address, timeout_s=TIMEOUT_S)
    process = await node.process()
    yield Scene(process)
    await process.close()


async def demand_others_go_on(scene: Scene, cold: str) -> None:
    """Take turns elsewhere, and look at what needs no content of the cold one."""
    conversations, owner = scene.process.conversations, scene.process.owner()
    other = await scene.process.conversation("hi")
    await scene.process.say(other, "and", "on")
    assert await scene.heard(other) == ["hi", "and", "on"]
    assert (await conversations.looking.read(owner, cold)).head_sequence == 2


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("", marks=pytest.mark.failure("archive", "down")),
        pytest.param("frozen", marks=pytest.mark.failure("archive", "frozen")),
        pytest.param("503", marks=pytest.mark.failure("archive", "refusing")),
        pytest.param("403", marks=pytest.mark.failure("archive", "wrong-password")),
    ],
)
async def test_a_cold_one_is_a_503_and_comes_back_with_the_store(
    scene: Scene, server: FaultyS3, fault: str
) -> None:
    name = await scene.old("one")
    await scene.cool()
    server.fault = fault
    if not fault:
        await server.stop()
    with pytest.raises(ColdAway) as refused:
        await scene.heard(name)
    problem = problem_of(refused.value)
    assert (problem.status, problem.code) == (503, "archive_unavailable")
    assert (b"retry-after", b"1") in problem.headers()
    await demand_others_go_on(scene, name)
    server.fault = ""
    if not fault:
        await server.start()
    server.thawed.set()
    assert await scene.heard(name) == SAID


@pytest.mark.failure("archive", "at-start")
async def test_it_may_be_away_when_a_process_starts(scene: Scene, server: FaultyS3) -> None:
    name = await scene.old("one")
    await scene.cool()
    await server.stop()
    node = scene.process.node
    node.objects = Objects(server.address, timeout_s=TIMEOUT_S)
    process = await node.process("b")
    with pytest.raises(ColdAway):
        await process.heard(name)
    await server.start()
    assert await process.heard(name) == SAID
    await process.close()


async def test_who_waits_for_too_long_is_told_and_finds_it_later(
    scene: Scene, server: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, other = await scene.old("one"), await scene.old("two")
    await scene.cool()
    server.fault = "slow"
    monkeypatch.setattr("axon.archive.thawing.WAIT_S", 0.001)
    monkeypatch.setattr("axon.archive.thawing.WAITING_MAX", 1)
    with pytest.raises(ColdAway, match="still"):
        await scene.heard(name)
    with pytest.raises(ColdAway, match="too many"):
        await scene.heard(other)
    while await scene.is_cold(name):
        await asyncio.sleep(0.01)
    assert await scene.heard(name) == SAID


@pytest.mark.failure("archive", "slow")
async def test_a_slow_one_is_waited_for_and_others_are_not(scene: Scene, server: FaultyS3) -> None:
    name = await scene.old("one")
    server.fault = "slow"
    assert (await scene.cool()).conversations == 1
    await demand_others_go_on(scene, name)
    assert await scene.heard(name) == SAID


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param("507", ObjectsAway, marks=pytest.mark.failure("archive", "full")),
        pytest.param("lying", ObjectMissing, marks=pytest.mark.failure("archive", "lying")),
        pytest.param("corrupt", ObjectNotKept, marks=pytest.mark.failure("archive", "corrupt")),
        pytest.param("403", ObjectsRefused, marks=pytest.mark.failure("archive", "wrong-password")),
        pytest.param("503", ObjectsAway, marks=pytest.mark.failure("archive", "refusing")),
        pytest.param("frozen", ObjectsAway, marks=pytest.mark.failure("archive", "frozen")),
    ],
)
async def test_nothing_leaves_postgresql_that_is_not_kept_there(
    scene: Scene, server: FaultyS3, fault: str, error: type[Exception]
) -> None:
    name = await scene.old("one")
    server.fault = fault
    with pytest.raises(error):
        await scene.cool()
    assert not await scene.is_cold(name) and await scene.items(name) == 3
    server.fault = ""
    server.thawed.set()
    assert (await scene.cool()).conversations == 1
    assert await scene.heard(name) == SAID
    await scene.sweep(days=92)
    assert (await scene.holdings()).objects == 0, "what had been begun is swept"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("corrupt", marks=pytest.mark.failure("archive", "corrupt")),
        pytest.param("404", marks=pytest.mark.failure("archive", "wiped")),
    ],
)
async def test_a_broken_object_is_said_to_be_and_kept(
    scene: Scene, server: FaultyS3, fault: str
) -> None:
    """Neither a wrong history nor an empty one: and what can be mended still can be."""
    name, other = await scene.old("one"), await scene.old("two")
    await scene.cool()
    server.fault = fault
    with pytest.raises(ColdBroken):
        await scene.heard(name)
    assert await scene.is_cold(name)
    await demand_others_go_on(scene, name)
    server.fault = ""
    await scene.heard(other)
    server.fault = fault
    assert (await scene.sweep()).rewritten == 0, "what cannot be read is not written again"
    server.fault = ""
    assert await scene.heard(name) == SAID
