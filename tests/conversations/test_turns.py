"""Begin, commit, abort: order and history, with every source there is."""

import asyncio

import pytest

from axon.app.embedded import EmbeddedServer
from axon.conversations import (
    ConversationBusy,
    ConversationNotFound,
    HistoryUnavailable,
    Owner,
)
from tests.conversations.scene import ORG, WAIT_S, Node, Process, told


async def test_a_turn_is_told_what_was_said_before(process: Process) -> None:
    conversation = await process.conversation("hello")
    await process.say(conversation, "one", "two")
    await process.say(conversation, "three", "four")
    assert await process.heard(conversation) == ["hello", "one", "two", "three", "four"]


async def test_a_chain_begins_without_a_look_up(process: Process) -> None:
    conversation = process.mint.mint("conv", ORG, 7)
    begun = process.conversations.start(process.owner(), conversation)
    assert (begun.sequence, begun.complete, begun.history) == (1, True, ())
    turn_id = await process.end(begun, "one", "two", implicit=True)
    place = await process.conversations.locate_turn(process.owner(), turn_id)
    assert (place.conversation_id, place.sequence) == (conversation, 1)
    assert await process.heard(conversation) == ["one", "two"]


async def test_thirty_two_at_once_get_dense_places(process: Process) -> None:
    conversation = await process.conversation()

    async def turn(number: int) -> int:
        begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
        await process.end(begun, f"ask {number}", f"answer {number}")
        return begun.sequence

    places = await asyncio.gather(*(turn(number) for number in range(32)))
    assert sorted(places) == list(range(2, 34))
    texts = await process.heard(conversation)
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    assert [(ask.split()[1], answer.split()[1]) for ask, answer in pairs] == [
        (str(number), str(number)) for number in range(32)
    ]


async def test_two_processes_take_turns(node: Node, process: Process) -> None:
    other = await node.process("b")
    conversation = await process.conversation("hello")
    await process.project()
    for number in range(4):
        await (process if number % 2 else other).say(conversation, f"{number}", "ok")
    assert len(await process.heard(conversation)) == 9
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    with pytest.raises(ConversationBusy) as busy:
        await other.conversations.begin(other.owner(), conversation, 0.1)
    assert busy.value.retry_after_ms > 0
    await process.conversations.abort(begun)
    await other.say(conversation, "again", "ok")
    await other.close()


async def test_an_aborted_turn_leaves_its_place_to_the_next(process: Process) -> None:
    conversation = await process.conversation("hello")
    first = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    await process.conversations.abort(first)
    await process.conversations.abort(first)
    second = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    assert (second.sequence, told(second)) == (first.sequence, ["hello"])
    assert second.fence > first.fence


async def test_an_abort_after_the_record_does_not_close_the_window(process: Process) -> None:
    conversation = await process.conversation("hello")
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    record, _ = await process.completed(await process.head(begun), "late", "but durable")
    await process.append(record)
    await process.conversations.abort(begun)
    await process.project()
    assert await process.heard(conversation) == ["hello", "late", "but durable"]


async def test_waiting_ends_in_busy(process: Process) -> None:
    conversation = await process.conversation()
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    with pytest.raises(ConversationBusy):
        await process.conversations.begin(process.owner(), conversation, 0.01)
    await process.conversations.abort(begun)
    await process.say(conversation, "free", "again")


async def test_a_cancelled_begin_leaves_nothing_behind(process: Process) -> None:
    conversation = await process.conversation("hello")
    for _ in range(50):
        task = asyncio.ensure_future(
            process.conversations.begin(process.owner(), conversation, WAIT_S)
        )
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            await process.conversations.abort(task.result())
    assert await process.heard(conversation) == ["hello"]


async def test_a_cancelled_waiter_lets_the_next_one_in(process: Process) -> None:
    conversation = await process.conversation()
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    waiting = [
        asyncio.ensure_future(process.say(conversation, f"{number}", "ok")) for number in range(3)
    ]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await process.conversations.abort(begun)
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await process.heard(conversation) == ["1", "ok", "2", "ok"]


async def test_another_persons_conversation_is_not_there(process: Process) -> None:
    conversation = await process.conversation("secret")
    for owner in (Owner(org_id="org_other", user=7), process.owner(user=8)):
        with pytest.raises(ConversationNotFound):
            await process.conversations.begin(owner, conversation, WAIT_S)
        with pytest.raises(ConversationNotFound):
            await process.conversations.looking.read(owner, conversation)


async def test_an_id_that_was_never_used_is_not_there(process: Process) -> None:
    conversation = process.mint.mint("conv", ORG, 7)
    with pytest.raises(ConversationNotFound):
        await process.conversations.begin(process.owner(), conversation, WAIT_S)
    with pytest.raises(ConversationNotFound):
        await process.conversations.begin(process.owner(), "nonsense", WAIT_S)
    process.conversations.start(process.owner(), conversation)


async def test_a_missing_place_is_no_history(node: Node, process: Process) -> None:
    """A record in another journal that PostgreSQL lacks: nobody may guess what it says."""
    other = await node.process("b")
    conversation = await process.conversation("hello")
    await process.project()
    await process.say(conversation, "one", "two")  # in the journal of `process` alone
    await other.say(conversation, "three", "four")  # knows it from the window
    await process.valkey.call("DEL", f"{{{conversation}}}:w", f"{{{conversation}}}:t")
    with pytest.raises(HistoryUnavailable):
        await other.conversations.begin(other.owner(), conversation, WAIT_S)
    await process.project()
    assert await other.heard(conversation) == ["hello", "one", "two", "three", "four"]
    await other.close()


async def test_only_a_turn_that_stands_is_remembered(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    """The place of a turn whose lease was lost may be another's by now: PostgreSQL is asked."""
    conversation = await process.conversation("hello")
    stands = await process.say(conversation, "one", "two")
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    record, turn = await process.completed(await process.head(begun), "three", "four")
    await process.append(record)
    begun.lease.deadline = process.node.clock.monotonic()
    await process.conversations.commit(begun, turn)
    await process.project()
    postgres_server.kill()
    place = await process.conversations.locate_turn(process.owner(), stands)
    assert (place.conversation_id, place.sequence) == (conversation, 2)
    with pytest.raises(HistoryUnavailable):
        await process.conversations.locate_turn(process.owner(), turn.turn_id)
