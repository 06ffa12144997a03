"""Reading and changing conversations: PostgreSQL and the tail as one."""

import asyncio

import msgspec
import pytest

from axon.app.embedded import EmbeddedServer
from axon.conversations import (
    ConversationNotFound,
    ItemNotFound,
    Owner,
    TurnNotFound,
    Update,
)
from axon.conversations.overlay import View
from axon.conversations.reading import _is_base
from axon.conversations.store import ItemRow, StateRow
from tests.conversations.scene import KEY, ORG, WAIT_S, Process, message, text_of


async def page(
    process: Process, conversation: str, limit: int, order: str, after: str | None = None
) -> tuple[list[str], str | None, bool]:
    found = await process.conversations.looking.list_items(
        process.owner(),
        conversation,
        after=after,
        limit=limit,
        order=order,  # type: ignore[arg-type]
    )
    last = found.items[-1].item_id if found.items else None
    return [text_of(item.content) for item in found.items], last, found.has_more


async def all_pages(process: Process, conversation: str, limit: int, order: str) -> list[str]:
    texts: list[str] = []
    after, more = None, True
    while more:
        found, after, more = await page(process, conversation, limit, order, after)
        texts += found
    return texts


async def forgotten(process: Process, turn_id: str) -> bool:
    try:
        turn = await process.conversations.find_turn(ORG, turn_id)
    except TurnNotFound:
        return True
    return not turn.stored and turn.answer == b"" and turn.output == ()


@pytest.mark.parametrize("projected", [0, 1, 3, 6])
@pytest.mark.parametrize("limit", [1, 3])
async def test_pages_in_both_orders(process: Process, projected: int, limit: int) -> None:
    conversation = await process.conversation("0", "1")
    texts = ["0", "1"]
    for number in range(1, 6):
        if number == projected:
            await process.project()
        await process.say(conversation, f"ask {number}", f"answer {number}")
        texts += [f"ask {number}", f"answer {number}"]
    if projected == 6:
        await process.project()
    assert await all_pages(process, conversation, limit, "asc") == texts
    assert await all_pages(process, conversation, limit, "desc") == texts[::-1]


async def test_a_page_needs_an_item_to_follow(process: Process) -> None:
    conversation = await process.conversation("hello")
    other = await process.conversation("there")
    _, item, _ = await page(process, other, 1, "asc")
    for _ in range(2):
        with pytest.raises(ItemNotFound):
            await page(process, conversation, 1, "asc", item)
        await process.project()


async def test_items_are_added_and_read(process: Process) -> None:
    conversation = await process.conversation()
    added = await process.conversations.changing.append_items(
        process.owner(), KEY, conversation, [message("user", "a"), message("developer", "b")]
    )
    assert [item.item_id.startswith("msg_") for item in added] == [True, True]
    for _ in range(2):
        read = await process.conversations.looking.read_item(
            process.owner(), conversation, added[1].item_id
        )
        assert read == added[1]
        assert read.content == b'{"id":"%b","text":"b"}' % read.item_id.encode()
        await process.project()
    assert await process.heard(conversation) == ["a", "b"]


@pytest.mark.parametrize("projected", [True, False])
async def test_a_deleted_item_is_gone_everywhere(process: Process, projected: bool) -> None:
    conversation = await process.conversation("a", "b")
    turn_id = await process.say(conversation, "c", "d")
    if projected:
        await process.project()
    turn = await process.conversations.find_turn(ORG, turn_id)
    gone = turn.output[0].item_id
    changed = await process.conversations.changing.delete_item(
        process.owner(), KEY, conversation, gone
    )
    assert changed.head_sequence == 3
    for _ in range(2):
        assert await all_pages(process, conversation, 1, "asc") == ["a", "b", "c"]
        assert await all_pages(process, conversation, 2, "desc") == ["c", "b", "a"]
        assert await process.heard(conversation) == ["a", "b", "c"]
        assert (await process.conversations.find_turn(ORG, turn_id)).output == ()
        for call in (
            process.conversations.looking.read_item(process.owner(), conversation, gone),
            process.conversations.changing.delete_item(process.owner(), KEY, conversation, gone),
        ):
            with pytest.raises(ItemNotFound):
                await call
        await process.project()
        await process.valkey.call("FLUSHALL")
    await process.say(conversation, "e", "f")
    assert await process.heard(conversation) == ["a", "b", "c", "e", "f"]


async def test_metadata_is_replaced(process: Process) -> None:
    owner = process.owner()
    made = await process.conversations.changing.create(owner, KEY, {"a": "1"}, [])
    name = made.conversation_id
    for metadata in ({"b": "2"}, {}):
        for projected in (False, True):
            if projected:
                await process.project()
            update = Update(metadata=metadata)
            changed = await process.conversations.changing.update(owner, KEY, name, update)
            assert dict(changed.metadata) == metadata
            assert (await process.conversations.looking.read(owner, name)).metadata == metadata
        await process.project()
        assert (await process.conversations.looking.read(owner, name)).metadata == metadata
    assert (await process.conversations.looking.read(owner, name)).created_us == made.created_us


@pytest.mark.parametrize("projected", [True, False])
@pytest.mark.parametrize("with_items", [True, False])
async def test_a_deleted_conversation_is_gone(
    process: Process, projected: bool, with_items: bool
) -> None:
    """As OpenAI means it, its responses stay; with its items, nothing does."""
    conversation = await process.conversation("a")
    turn_id = await process.say(conversation, "b", "c")
    if projected:
        await process.project()
    owner = process.owner()
    await process.conversations.changing.delete(owner, KEY, conversation, with_items=with_items)
    for _ in range(2):
        for call in (
            process.conversations.looking.read(owner, conversation),
            process.conversations.begin(owner, conversation, WAIT_S),
            process.conversations.changing.delete(owner, KEY, conversation),
            process.conversations.looking.list_items(
                owner, conversation, after=None, limit=1, order="asc"
            ),
        ):
            with pytest.raises(ConversationNotFound):
                await call
        assert await forgotten(process, turn_id) is with_items
        if not with_items:
            turn = await process.conversations.find_turn(ORG, turn_id)
            assert [text_of(item.content) for item in turn.output] == ["c"]
        await process.project()


@pytest.mark.parametrize("projected", [True, False])
async def test_a_turn_of_a_deleted_conversation_can_be_forgotten(
    process: Process, projected: bool
) -> None:
    conversation = await process.conversation("a")
    turn_id = await process.say(conversation, "b", "c")
    await process.conversations.changing.delete(process.owner(), KEY, conversation)
    if projected:
        await process.project()
    await process.conversations.changing.forget_turn(process.owner(), KEY, turn_id)
    for _ in range(2):
        with pytest.raises(TurnNotFound):
            await process.conversations.locate_turn(process.owner(), turn_id)
        await process.project()
    assert not (await process.conversations.find_turn(ORG, turn_id)).stored


async def test_a_turn_is_found_running_and_ended(process: Process) -> None:
    conversation = await process.conversation("a")
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    head = await process.head(begun)
    await process.append(await process.accepted(head))
    for _ in range(2):
        running = await process.conversations.find_turn(ORG, head.turn_id)
        assert (running.status, running.answer, running.output) == ("in_progress", b"", ())
        place = await process.conversations.locate_turn(process.owner(), head.turn_id)
        assert (place.conversation_id, place.sequence) == (conversation, 2)
        await process.project()
    record, turn = await process.completed(head, "b", "c")
    await process.append(record)
    await process.conversations.commit(begun, turn)
    for _ in range(2):
        ended = await process.conversations.find_turn(ORG, head.turn_id)
        assert (ended.status, ended.answer, ended.usage.input_tokens) == (
            "completed",
            b'{"answer": 1}',
            3,
        )
        assert [text_of(item.content) for item in ended.input] == ["b"]
        assert [text_of(item.content) for item in ended.output] == ["c"]
        await process.project()


async def test_a_turn_outside_any_conversation(process: Process) -> None:
    begun = process.conversations.start(process.owner(), process.mint.mint("conv", ORG, 7))
    await process.conversations.abort(begun)
    head = await process.head(begun)
    head = type(head)(
        **{
            **{name: getattr(head, name) for name in head.__struct_fields__},
            "conversation_id": "",
            "sequence": 0,
            "fence": 0,
        }
    )
    record, _ = await process.completed(head, "a", "b")
    await process.append(record)
    for _ in range(2):
        found = await process.conversations.find_turn(ORG, head.turn_id)
        assert (found.answer, found.input, found.conversation_id) == (b'{"answer": 1}', (), "")
        with pytest.raises(TurnNotFound):  # there is nothing to continue
            await process.conversations.locate_turn(process.owner(), head.turn_id)
        await process.project()
    await process.conversations.changing.forget_turn(process.owner(), KEY, head.turn_id)
    with pytest.raises(TurnNotFound):
        await process.conversations.find_turn(ORG, head.turn_id)
    await process.project()
    assert not (await process.conversations.find_turn(ORG, head.turn_id)).stored


async def test_a_forgotten_turn_leaves_its_items(process: Process) -> None:
    conversation = await process.conversation("a")
    turn_id = await process.say(conversation, "b", "c")
    await process.conversations.changing.forget_turn(process.owner(), KEY, turn_id)
    for _ in range(2):
        with pytest.raises(TurnNotFound):
            await process.conversations.locate_turn(process.owner(), turn_id)
        await process.project()
    assert not (await process.conversations.find_turn(ORG, turn_id)).stored
    assert await process.heard(conversation) == ["a", "b", "c"]


async def test_other_peoples_turns_are_not_there(process: Process) -> None:
    conversation = await process.conversation("a")
    turn_id = await process.say(conversation, "b", "c")
    with pytest.raises(TurnNotFound):
        await process.conversations.find_turn("org_other", turn_id)
    for owner in (Owner(org_id="org_other", user=7), process.owner(user=8)):
        with pytest.raises(TurnNotFound):
            await process.conversations.locate_turn(owner, turn_id)
    unknown = process.mint.mint("resp", ORG, 7)
    with pytest.raises(TurnNotFound):
        await process.conversations.find_turn(ORG, unknown)


async def test_a_change_is_made_though_its_caller_goes_away(process: Process) -> None:
    conversation = await process.conversation("a")
    calls = [
        asyncio.ensure_future(
            process.conversations.changing.append_items(
                process.owner(), KEY, conversation, [message("user", f"{number}")]
            )
        )
        for number in range(20)
    ]
    for number, call in enumerate(calls):
        for _ in range(number % 5):
            await asyncio.sleep(0)
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await process.say(conversation, "last", "word")
    heard = await process.heard(conversation)
    records = [
        text_of(item.content)
        for item in (
            await process.conversations.looking.list_items(
                process.owner(), conversation, after=None, limit=100, order="asc"
            )
        ).items
    ]
    assert heard == records
    assert heard[0] == "a"
    assert heard[-1] == "word"


async def test_what_was_projected_after_the_view_is_not_shown_twice() -> None:
    state = StateRow(1, 1, 3, 1, {}, None, None, False, False, False)
    view = View(state=state, base_head=2, replaced={1}, deleted_items={"gone"})

    def shown(sequence: int, item_id: str) -> bool:
        return _is_base(view, ItemRow(sequence, 0, "t", item_id, "", "", "", b""))

    assert [shown(1, "a"), shown(2, "a"), shown(2, "gone"), shown(3, "a")] == [
        False,
        True,
        False,
        False,
    ]


async def test_a_turn_that_is_not_stored_cannot_be_continued(process: Process) -> None:
    conversation = await process.conversation("a")
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    head = msgspec.structs.replace(await process.head(begun), stored=False)
    record, turn = await process.completed(head, "b", "c")

    async def commit() -> None:
        await process.conversations.commit(begun, turn)

    accepted = await process.accepted(head)
    for step in (process.append(accepted), process.append(record), commit(), process.project()):
        await step
        with pytest.raises(TurnNotFound):
            await process.conversations.locate_turn(process.owner(), head.turn_id)
    assert not (await process.conversations.find_turn(ORG, head.turn_id)).stored


async def test_a_turn_that_is_being_forgotten_cannot_be_continued(process: Process) -> None:
    """Its caller went away after the record was journaled."""
    conversation = await process.conversation("a")
    turn_id = await process.say(conversation, "b", "c")
    durable = process.journal.durable_through
    call = asyncio.ensure_future(
        process.conversations.changing.forget_turn(process.owner(), KEY, turn_id)
    )
    while process.journal.durable_through == durable:
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert call.cancelled()
    for _ in range(2):
        assert await process.heard(conversation) == ["a", "b", "c"]
        with pytest.raises(TurnNotFound):
            await process.conversations.locate_turn(process.owner(), turn_id)
        await process.project()


@pytest.mark.parametrize("nonsense", ["\0", "msg_\0", "\n", "n\u00e9", "\udcff", "m" * 129])
async def test_what_cannot_be_an_items_id_costs_no_sql(
    process: Process, postgres_server: EmbeddedServer, nonsense: str
) -> None:
    conversation = await process.conversation("a")
    await process.project()
    postgres_server.kill()
    owner = process.owner()
    for call in (
        process.conversations.looking.read_item(owner, conversation, nonsense),
        process.conversations.changing.delete_item(owner, KEY, conversation, nonsense),
        process.conversations.looking.list_items(
            owner, conversation, after=nonsense, limit=1, order="asc"
        ),
    ):
        with pytest.raises(ItemNotFound):
            await call
