"""An export holds what is in the archive, which stays there."""

import json
import zipfile

import pytest

from axon.conversations import Opener
from axon.feedback import FeedbackParts, FeedbackRoom
from axon.subjects import Exporting, ExportingParts, SubjectsUnavailable
from tests.archive.scene import Scene
from tests.conversations.scene import RANDOMNESS


def exporting(scene: Scene) -> Exporting:
    process, node = scene.process, scene.process.node
    opener = Opener(process.keys, process.postgres)
    feedback = FeedbackRoom(
        FeedbackParts(
            postgres=process.postgres, journal=process.journal, keys=process.keys, opener=opener,
            mint=process.mint, clock=node.clock, randomness=RANDOMNESS,
        )
    )  # fmt: skip
    return Exporting(
        ExportingParts(
            postgres=process.postgres, opener=opener, feedback=feedback, archive=scene.thawing()
        )
    )


async def exported(scene: Scene) -> list[tuple[str, str]]:
    async with exporting(scene).export(scene.process.owner()) as archive:
        with zipfile.ZipFile(archive.file) as opened:
            lines = opened.read("items.jsonl").splitlines()
    items = [json.loads(line) for line in lines]
    return [(one["conversation_id"], one["content"]["text"]) for one in items]


async def test_cold_and_warm_are_exported_alike_and_once(scene: Scene) -> None:
    cold, both, other = await scene.old("one"), await scene.old("two"), await scene.old(user=8)
    await scene.heard(both)
    await scene.cool()
    await scene.process.say(both, "three", "answer 1")
    warm = await scene.old("four")
    found = await exported(scene)
    wanted = {
        cold: ["hello", "one", "answer 0"],
        both: ["hello", "two", "answer 0", "three", "answer 1"],
        warm: ["hello", "four", "answer 0"],
    }
    assert {name: [text for of, text in found if of == name] for name in wanted} == wanted
    assert other not in dict(found)
    assert await scene.is_cold(cold), "nobody touched it"


async def test_one_conversation_is_read_where_it_lies(scene: Scene) -> None:
    user, thawing = scene.process.owner().user, scene.thawing()
    cold = await scene.old("one")
    await scene.cool()
    warm = await scene.old("two")
    found = await thawing.content(user, cold)
    assert found is not None and len(found.items) == 3
    assert await scene.is_cold(cold), "nobody touched it"
    assert await thawing.content(user, warm) is None
    assert await thawing.content(user + 1, cold) is None


async def test_without_the_object_store_it_is_to_be_repeated(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.old("one")
    await scene.cool()
    monkeypatch.setattr(scene.parts.objects._breaker, "allow", lambda: False)
    with pytest.raises(SubjectsUnavailable):
        await exported(scene)
