"""Conversations leave PostgreSQL and come back as they were."""

import pytest

from axon.conversations import ConversationNotFound, ItemNotFound, Wanted
from tests.archive.scene import Scene, everything

SAID = ["hello", "one", "answer 0", "two", "answer 1"]


async def test_what_nobody_touches_goes_and_comes_back_as_it_was(scene: Scene) -> None:
    name = await scene.old("one", "two")
    before = await everything(scene.process.node.database)
    assert (await scene.cool(days=89)).conversations == 0, "not yet"
    assert (await scene.cool()).conversations == 1
    assert await scene.is_cold(name)
    assert await everything(scene.process.node.database) != before
    assert await scene.items(name) == 0
    assert await scene.heard(name) == SAID
    assert await everything(scene.process.node.database) == before
    assert not await scene.is_cold(name)
    assert (await scene.cool(days=89)).conversations == 0, "it was touched"


async def test_the_stub_of_a_cold_one_is_listed_read_and_renamed(scene: Scene) -> None:
    name = await scene.old("one")
    await scene.cool()
    process, owner = scene.process, scene.process.owner()
    [listed] = (await process.conversations.listing.page(owner, Wanted(limit=10))).conversations
    assert listed.conversation_id == name
    found = await process.conversations.looking.read(owner, name)
    assert found.head_sequence == 2
    assert await scene.is_cold(name), "neither needs what was said"


async def test_a_new_turn_has_the_whole_history_and_stands_behind_it(scene: Scene) -> None:
    name = await scene.old("one", "two")
    await scene.cool()
    turn_id = await scene.process.say(name, "three", "answer 2")
    await scene.process.project()
    assert await scene.heard(name) == [*SAID, "three", "answer 2"]
    found = await scene.process.conversations.find_turn("org_test", turn_id)
    assert found.sequence == 4


async def test_a_turn_whose_history_valkey_has_does_not_touch_the_archive(scene: Scene) -> None:
    """Newer items may stand in the tables of a cold conversation; later all are together."""
    name = await scene.old("one")
    await scene.heard(name)  # fills the window again
    await scene.cool()
    await scene.process.say(name, "two", "answer 1")
    await scene.process.project()
    assert await scene.is_cold(name)
    assert await scene.items(name) == 2
    page = await scene.process.conversations.looking.list_items(
        scene.process.owner(), name, after=None, limit=10, order="asc"
    )
    assert len(page.items) == 5
    assert await scene.items(name) == 5


async def test_every_way_to_the_content_brings_it_back(scene: Scene) -> None:
    conversations, owner = scene.process.conversations, scene.process.owner()
    name = await scene.old("one")
    [(turn_id,)] = await scene.query("SELECT id FROM conversations.turns")
    [(first,)] = await scene.query("SELECT item_id FROM conversations.items WHERE sequence = 1")
    await scene.cool()
    found = await conversations.find_turn("org_test", str(turn_id))
    assert (len(found.input), len(found.output), found.answer) == (1, 1, b'{"answer": 1}')
    assert not await scene.is_cold(name)
    await scene.cool()
    item = await conversations.looking.read_item(owner, name, str(first))
    assert item.item_id == first
    await scene.cool()
    referred = await conversations.referring.items(owner, [str(first)], 0)
    assert list(referred) == [first]
    await scene.cool()
    fork = await conversations.changing.fork(owner, "key_test", name, None)
    assert fork.forked_from is not None


async def test_what_was_deleted_while_it_was_away_stays_away(scene: Scene) -> None:
    """Deletions bring the conversation back first; one that is only projected now does not."""
    conversations, owner = scene.process.conversations, scene.process.owner()
    name = await scene.old("one")
    [(first,)] = await scene.query("SELECT item_id FROM conversations.items WHERE sequence = 1")
    await conversations.changing.delete_item(owner, "key_test", name, str(first))
    await scene.query("UPDATE conversations.conversations SET updated_us = updated_us")
    await scene.cool()
    await scene.process.project()
    with pytest.raises(ItemNotFound):
        await conversations.looking.read_item(owner, name, str(first))
    assert await scene.heard(name) == ["one", "answer 0"]


async def test_one_deleted_with_its_items_leaves_the_archive(scene: Scene) -> None:
    conversations, owner = scene.process.conversations, scene.process.owner()
    name, other = await scene.old("one"), await scene.old("two")
    await scene.cool()
    await conversations.changing.delete(owner, "key_test", name, with_items=True)
    await scene.process.project()
    with pytest.raises(ConversationNotFound):
        await scene.heard(name)
    assert (await scene.holdings()).conversations == 1
    assert (await scene.sweep()).rewritten == 1
    assert await scene.heard(other) == ["hello", "two", "answer 0"]
