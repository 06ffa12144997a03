"""Forks: a copy up to an item, one record, sealed for its new place."""

import msgspec
import pytest

from axon.conversations import (
    Conversation,
    ConversationNotFound,
    ForkCutsCall,
    ForkOrigin,
    ForkTooLarge,
    ItemNotFound,
    NewItem,
    Update,
    fit_window,
    forking,
)
from tests.conversations.scene import KEY, ORG, WAIT_S, Process, message, text_of


async def items_of(process: Process, conversation: str) -> list[str]:
    """Return the ids of the items."""
    page = await process.conversations.looking.list_items(
        process.owner(), conversation, after=None, limit=100, order="asc"
    )
    return [item.item_id for item in page.items]


async def texts_of(process: Process, conversation: str) -> list[str]:
    page = await process.conversations.looking.list_items(
        process.owner(), conversation, after=None, limit=100, order="asc"
    )
    return [text_of(item.content) for item in page.items]


async def fork(
    process: Process, conversation: str, item_id: str | None = None, **options: dict[str, str]
) -> Conversation:
    return await process.conversations.changing.fork(
        process.owner(), KEY, conversation, item_id, options.get("metadata")
    )


async def talk(process: Process) -> str:
    conversation = await process.conversation("a")
    await process.say(conversation, "b", "c")
    await process.say(conversation, "d", "e")
    return conversation


@pytest.mark.parametrize("projected", [0, 1, 2])
async def test_a_fork_goes_on_by_itself(process: Process, projected: int) -> None:
    conversation = await talk(process)
    if projected == 1:
        await process.project()
    ids = await items_of(process, conversation)
    for place, last in enumerate(ids, start=1):
        made = await fork(process, conversation, last)
        if projected == 2:
            await process.project()
        expected = list("abcde")[:place]
        name = made.conversation_id
        assert await texts_of(process, name) == expected
        assert not set(await items_of(process, name)) & set(ids)
        assert await process.heard(name) == expected
        await process.valkey.call("FLUSHALL")
        assert await process.heard(name) == expected
        await process.say(name, "x", "y")
        assert await process.heard(name) == [*expected, "x", "y"]
        assert made.forked_from == ForkOrigin(conversation_id=conversation, item_id=last)
        read = await process.conversations.looking.read(process.owner(), name)
        assert (read.forked_from, read.head_sequence) == (made.forked_from, 2)
    assert await texts_of(process, conversation) == list("abcde")


async def test_a_whole_copy_needs_no_item(process: Process) -> None:
    conversation = await talk(process)
    last = (await items_of(process, conversation))[-1]
    made = await fork(process, conversation)
    assert await texts_of(process, made.conversation_id) == list("abcde")
    assert made.forked_from == ForkOrigin(conversation_id=conversation, item_id=last)
    empty = await fork(process, await process.conversation())
    assert await texts_of(process, empty.conversation_id) == []
    assert empty.forked_from is not None and empty.forked_from.item_id is None


async def test_a_fork_has_the_title_and_the_metadata(process: Process) -> None:
    conversation = await talk(process)
    update = Update(title="t", metadata={"k": "v"}, archived=True)
    await process.conversations.changing.update(process.owner(), KEY, conversation, update)
    made = await fork(process, conversation)
    other = await fork(process, conversation, metadata={"own": "pair"})
    for _ in range(2):
        for one, pairs in ((made, {"k": "v"}), (other, {"own": "pair"})):
            read = await process.conversations.looking.read(process.owner(), one.conversation_id)
            assert read == one
            assert (read.title, read.metadata, read.archived) == ("t", pairs, False)
        await process.project()


async def test_a_fork_outlives_the_original(process: Process) -> None:
    conversation = await talk(process)
    made = await fork(process, conversation)
    again = await fork(process, made.conversation_id)
    await process.conversations.changing.delete(process.owner(), KEY, conversation, with_items=True)
    await process.conversations.changing.delete(process.owner(), KEY, made.conversation_id)
    await process.project()
    assert await texts_of(process, again.conversation_id) == list("abcde")
    assert await process.heard(again.conversation_id) == list("abcde")


@pytest.mark.parametrize("projected", [True, False])
async def test_deleted_items_are_not_copied(process: Process, projected: bool) -> None:
    conversation = await talk(process)
    ids = await items_of(process, conversation)
    if projected:
        await process.project()
    await process.conversations.changing.delete_item(process.owner(), KEY, conversation, ids[1])
    made = await fork(process, conversation, ids[3])
    assert await texts_of(process, made.conversation_id) == list("acd")
    with pytest.raises(ItemNotFound):
        await fork(process, conversation, ids[1])


def call(name: str) -> NewItem:
    content = {"type": "function_call", "call_id": name, "name": "f", "arguments": "{}"}
    return NewItem(kind="function_call", author="assistant", content=msgspec.json.encode(content))


def output(name: str) -> NewItem:
    content = {"type": "function_call_output", "call_id": name, "output": "1"}
    return NewItem(kind="function_call_output", author="tool", content=msgspec.json.encode(content))


@pytest.mark.parametrize("projected", [True, False])
async def test_a_call_is_not_cut_from_its_output(process: Process, projected: bool) -> None:
    conversation = await process.conversation("a")
    items = [call("1"), call("never"), message("user", "b"), output("1"), message("user", "c")]
    added = await process.conversations.changing.append_items(
        process.owner(), KEY, conversation, items
    )
    if projected:
        await process.project()
    for cut in added[:3]:
        with pytest.raises(ForkCutsCall):
            await fork(process, conversation, cut.item_id)
    for whole in added[3:]:
        await fork(process, conversation, whole.item_id)
    await fork(process, conversation)


@pytest.mark.parametrize("projected", [True, False])
@pytest.mark.parametrize(("bound", "most"), [("FORK_ITEMS_MAX", 4), ("FORK_BYTES_MAX", 60)])
async def test_a_fork_is_bounded(
    process: Process, monkeypatch: pytest.MonkeyPatch, projected: bool, bound: str, most: int
) -> None:
    conversation = await talk(process)
    ids = await items_of(process, conversation)
    if projected:
        await process.project()
    monkeypatch.setattr(forking, bound, most)
    for last in (None, ids[-1]):
        with pytest.raises(ForkTooLarge):
            await fork(process, conversation, last)
    if bound == "FORK_ITEMS_MAX":
        await fork(process, conversation, ids[3])


async def test_a_large_fork_is_loaded_rather_than_cached(process: Process) -> None:
    conversation = await process.conversation()
    text = process.mint.mint("x", ORG, 7) * 20_000  # ids do not compress away
    for _ in range(3):
        items = [message("user", text)]
        await process.conversations.changing.append_items(process.owner(), KEY, conversation, items)
    made = await fork(process, conversation)
    assert await process.heard(made.conversation_id) == [text] * 3


async def test_only_a_persons_own_conversations_can_be_forked(process: Process) -> None:
    conversation = await talk(process)
    with pytest.raises(ConversationNotFound):
        await process.conversations.changing.fork(process.owner(8), KEY, conversation, None)
    chain = process.mint.mint("conv", ORG, 7)
    begun = process.conversations.start(process.owner(), chain)
    record, turn = await process.completed(await process.head(begun, implicit=True), "a", "b")
    await process.append(record)
    await process.conversations.commit(begun, turn)
    with pytest.raises(ConversationNotFound):
        await fork(process, chain)


async def test_of_a_fork_that_outgrows_the_model_the_newest_is_shown(process: Process) -> None:
    """It is one turn, but as many exchanges as there were."""
    made = await fork(process, await talk(process))
    begun = await process.conversations.begin(process.owner(), made.conversation_id, WAIT_S)
    await process.conversations.abort(begun)
    [turn] = begun.history
    assert turn.model_tokens == 5
    fitted = fit_window(begun.history, 3)
    assert [text_of(item.content) for item in fitted.items] == ["d", "e"]
    assert fitted.dropped_turns == 1
