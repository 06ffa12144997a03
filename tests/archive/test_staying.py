"""What must not go to the archive stays, and what must not stay there goes."""

import asyncio
from pathlib import Path

import pytest

from axon.archive import FrameBroken, UnknownConversation, frames
from axon.conversations import ConversationNotFound
from axon.projection import Positioned
from axon.records import SubjectErased
from axon.sealing import item_context, open_sealed
from tests.archive.scene import Scene
from tests.conversations.scene import apply, text_of

SAID = ["hello", "one", "answer 0"]


def objects_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.zst"))


async def test_held_running_and_parked_ones_stay(scene: Scene) -> None:
    held, persons, running, leased, parked, free = [
        await scene.old("one", user=user) for user in (7, 8, 7, 7, 7, 7)
    ]
    hold = "INSERT INTO audit.holds (hold_id, org_id, user_id, conversation_id, reason, held_us)"
    await scene.query(f"{hold} VALUES ('a', 'o', 7, $1, 'r', 1), ('b', 'o', 8, '', 'r', 1)", held)
    await scene.query(
        "UPDATE conversations.turns SET status = 'in_progress' WHERE conversation_id = $1", running
    )
    await scene.query(
        "INSERT INTO conversations.leases VALUES (7, $1, 'a', 1, now() + interval '1 day', 0)",
        leased,
    )
    await scene.query(
        "INSERT INTO projection.parked (room, instance, sequence, conversation_id, kind, payload,"
        " state, error) VALUES ('conversations', 'a', 1, $1, 3, '', 'failed', '')",
        parked,
    )
    assert (await scene.cool()).conversations == 1
    for name in (held, persons, running, leased, parked):
        assert not await scene.is_cold(name)
    assert await scene.is_cold(free)


async def test_a_turn_that_runs_meanwhile_ends_as_any_other(scene: Scene) -> None:
    name = await scene.old("one")
    begun = await scene.process.conversations.begin(scene.process.owner(), name, 20.0)
    assert (await scene.cool()).conversations == 1, "PostgreSQL knows of no turn yet"
    await scene.process.end(begun, "two", "answer 1")
    await scene.process.project()
    assert await scene.heard(name) == [*SAID, "two", "answer 1"]


async def test_what_is_too_large_for_a_frame_stays(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, small = await scene.old("x" * 1500), await scene.old("one")
    monkeypatch.setattr("axon.archive.store.CONTENT_BYTES_MAX", 1000)
    assert (await scene.cool()).conversations == 1
    assert not await scene.is_cold(name) and await scene.is_cold(small)


async def test_objects_lie_by_date_and_region_and_one_read_is_one_conversation(
    scene: Scene, folder: Path
) -> None:
    await scene.query("INSERT INTO accounts.orgs VALUES ('org_test', 'o', 't', 'eu-west', 0)")
    names = [await scene.old("one"), await scene.old("two")]
    await scene.cool()
    [path] = objects_in(folder)
    year, month, day, region, _ = path.split("/")
    assert (len(year), len(month), len(day), region) == (4, 2, 2, "eu-west")
    whole = (folder / path).read_bytes()
    rows = await scene.query("SELECT * FROM conversations.cold ORDER BY start_byte")
    assert sum(int(str(row[4])) for row in rows) == len(whole)
    for row in rows:
        start, length, sha256 = int(str(row[3])), int(str(row[4])), row[5]
        assert isinstance(sha256, bytes)
        frame = whole[start : start + length]
        content = frames.decode_frame(frame, sha256, (7, str(row[1])))
        assert str(row[1]) in names and len(content.items) == 3
        item = content.items[0]
        key = await scene.process.keys.current("org_test", 7)
        place = item_context("org_test", 7, str(row[1]), item.turn_id, item.item_id)
        assert text_of(open_sealed(key, place, item.blob)) == "hello", "sealed as it was"
        with pytest.raises(FrameBroken):
            frames.decode_frame(frame, sha256, (8, str(row[1])))
        with pytest.raises(FrameBroken):
            frames.decode_frame(frame + b"x", frames.checksum(frame + b"x"), (7, str(row[1])))


async def test_an_old_object_stays_for_backups_and_then_goes(scene: Scene, folder: Path) -> None:
    name, other = await scene.old("one"), await scene.old("two")
    await scene.cool()
    [first] = objects_in(folder)
    await scene.heard(name)
    assert (await scene.sweep(days=91)).rewritten == 1
    assert len(objects_in(folder)) == 2 and first in objects_in(folder)
    assert (await scene.sweep(days=120)).deleted == 0, "a backup may still refer to it"
    assert (await scene.sweep(days=122)).deleted == 1
    [second] = objects_in(folder)
    assert second != first
    assert await scene.heard(other) == ["hello", "two", "answer 0"]


async def test_after_its_retention_it_is_gone_as_if_deleted(scene: Scene) -> None:
    name, held = await scene.old("one"), await scene.old("two", user=8)
    await scene.query(
        "INSERT INTO audit.holds (hold_id, org_id, user_id, conversation_id, reason, held_us)"
        " VALUES ('a', 'o', 8, '', 'r', 1)"
    )
    await scene.cool()
    await scene.query("UPDATE audit.holds SET released_us = 1")
    await scene.cool()
    await scene.query("UPDATE audit.holds SET released_us = 0")
    assert (await scene.sweep(days=364, retention_days=365)).expired == 0
    assert (await scene.sweep(days=366, retention_days=365)).expired == 1
    with pytest.raises(ConversationNotFound):
        await scene.heard(name)
    assert await scene.query("SELECT count(*) FROM conversations.turns WHERE user_id = 7") == [(0,)]
    [(kind,)] = await scene.query("SELECT kind FROM conversations.changes WHERE user_id = 7")
    assert kind == "deleted", "and who follows the feed is told"
    assert await scene.heard(held, 8) == ["hello", "two", "answer 0"]


async def test_old_changes_leave_the_feed_with_their_items(scene: Scene) -> None:
    """Else a device would be told of items that are not there, and take them for deleted."""
    name = await scene.old("one")
    assert await scene.query("SELECT count(*) > 0 FROM conversations.changes") == [(True,)]
    await scene.cool()
    [(left,)] = await scene.query("SELECT count(*) FROM conversations.changes")
    [(position, expired)] = await scene.query(
        "SELECT position, expired_through FROM conversations.feeds"
    )
    assert left == 0 and position == expired
    await scene.process.say(name, "two", "answer 1")
    await scene.process.project()
    assert await scene.heard(name) == [*SAID, "two", "answer 1"]


async def test_an_erased_persons_frames_are_referred_to_no_more(scene: Scene, folder: Path) -> None:
    mine, theirs = await scene.old("one"), await scene.old("two", user=8)
    await scene.cool()
    [first] = objects_in(folder)
    process = scene.process
    await process.keys.erase("org_test", 7)
    erased = SubjectErased(
        change_id="chg_1", org_id="org_test", user=7, credential_id="k",
        at_us=process.node.clock.now_us(), reason="asked",
    )  # fmt: skip
    await apply(process.node.database, [Positioned(instance="a", sequence=99, record=erased)])
    assert await scene.heard(mine) == []
    await scene.sweep()
    await scene.sweep(days=130)
    assert first not in objects_in(folder)
    assert await scene.heard(theirs, 8) == ["hello", "two", "answer 0"]


async def test_callers_of_one_moment_share_a_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await scene.old("one")
    await scene.cool()
    reads, read = 0, scene.parts.objects.read

    async def counted(path: str, start: int, length: int) -> bytes:
        nonlocal reads
        reads += 1
        return await read(path, start, length)

    monkeypatch.setattr(scene.parts.objects, "read", counted)
    looking, owner = scene.process.conversations.looking, scene.process.owner()
    pages = [
        looking.list_items(owner, name, after=None, limit=limit, order="asc")
        for limit in range(1, 9)
    ]
    assert {len(page.items) for page in await asyncio.gather(*pages)} == {1, 2, 3}
    assert reads == 1


async def test_an_operator_names_one_that_is_there(scene: Scene) -> None:
    name = await scene.old("one")
    await scene.cool()
    assert (await scene.thawing().thaw_by_id(name)).items == 3
    with pytest.raises(UnknownConversation):
        await scene.thawing().thaw_by_id(name)
