"""Items found by their ids alone: also the newest, and none that was deleted a moment ago."""

import asyncio

import pytest

from axon.app.embedded import EmbeddedServer
from axon.conversations import HistoryUnavailable
from tests.conversations.scene import KEY, Process, text_of


async def ids(process: Process, conversation_id: str) -> list[str]:
    page = await process.conversations.looking.list_items(
        process.owner(), conversation_id, after=None, limit=100, order="asc"
    )
    return [item.item_id for item in page.items]


async def found(process: Process, item_ids: list[str], newest_us: int = 0) -> list[str]:
    items = await process.conversations.referring.items(process.owner(), item_ids, newest_us)
    return [text_of(items[name].content) for name in item_ids if name in items]


async def test_items_of_several_conversations_are_found(process: Process) -> None:
    first, second = await process.conversation("a", "b"), await process.conversation("c")
    await process.project()
    wanted = [*await ids(process, first), *await ids(process, second)]
    assert await found(process, wanted) == ["a", "b", "c"]
    other = await process.conversations.referring.items(process.owner(8), wanted, 0)
    assert other == {}


async def test_a_new_item_is_waited_for(process: Process) -> None:
    wanted = await ids(process, await process.conversation("new"))
    assert await found(process, wanted) == [], "an old one would have been projected"
    looking = asyncio.create_task(found(process, wanted, process.node.clock.now_us()))
    await process.project()
    assert await looking == ["new"]


@pytest.mark.parametrize("with_items", [False, True])
async def test_what_was_deleted_is_gone_before_and_after_the_projection(
    process: Process, with_items: bool
) -> None:
    kept, gone = await process.conversation("a", "b"), await process.conversation("c")
    await process.project()
    wanted = [*await ids(process, kept), *await ids(process, gone)]
    await process.conversations.changing.delete_item(process.owner(), KEY, kept, wanted[0])
    await process.conversations.changing.delete(process.owner(), KEY, gone, with_items=with_items)
    for _ in range(2):
        assert await found(process, wanted) == ["b"]
        await process.project()


async def test_without_postgres_nothing_can_be_said(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    postgres_server.stop()
    with pytest.raises(HistoryUnavailable):
        await found(process, ["msg_1"])
