"""Turns taken without their history get their place in it: the right one, in order, once."""

import asyncio

import msgspec
import pytest

from axon.app.embedded import EmbeddedServer
from axon.conversations import (
    ConversationNotFound,
    HistoryAway,
    HistoryUnavailable,
    Owner,
    TurnNotFound,
)
from axon.records import TurnCompleted
from axon.sealing import item_context, seal
from tests.conversations.scene import (
    ORG,
    RANDOMNESS,
    WAIT_S,
    Node,
    Process,
    apply,
    eventually,
    forgotten,
    held,
    query,
    text_of,
    told,
)

HELD = ["hello", "one", "two"]
ALONE = ["three", "four", "five", "six"]
PLACES = "SELECT sequence, origin_id FROM conversations.places ORDER BY sequence"


async def unattended(process: Process) -> None:
    """Let nothing be done in the background any more."""
    await process.conversations._tasks.cancel()


async def back(process: Process, postgres_server: EmbeddedServer) -> None:
    postgres_server.ensure()
    await eventually(lambda: process.postgres.available)


async def items(process: Process, conversation: str, limit: int = 100) -> list[str]:
    page = await process.conversations.looking.list_items(
        process.owner(), conversation, after=None, limit=limit, order="asc"
    )
    return [text_of(item.content) for item in page.items]


async def two_alone(process: Process, conversation: str) -> list[str]:
    """Take two turns while PostgreSQL is away."""
    with pytest.raises(HistoryAway):
        await process.conversations.begin(process.owner(), conversation, WAIT_S)
    first = await process.say_alone(conversation, "three", "four")
    begun = await process.conversations.begin_without_history(process.owner(), conversation, WAIT_S)
    assert (begun.sequence, begun.degraded, told(begun)) == (0, ("history",), ["three", "four"])
    return [first, await process.end(begun, "five", "six")]


async def test_a_turn_that_begins_places_those_before_it(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    conversation = await held(process)
    postgres_server.kill()
    turns = await two_alone(process, conversation)
    await back(process, postgres_server)
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    assert told(begun) == [*HELD, *ALONE]
    assert begun.sequence == 5
    last = await process.end(begun, "seven", "eight")
    await process.project()
    rows = await query(process.node.database, PLACES)
    assert [row[1] for row in rows[1:]] == [rows[1][1], *turns, last]
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
    await forgotten(process)
    assert await process.heard(conversation) == [*HELD, *ALONE, "seven", "eight"]


async def test_a_look_places_them(process: Process, postgres_server: EmbeddedServer) -> None:
    conversation = await held(process)
    postgres_server.kill()
    await two_alone(process, conversation)
    with pytest.raises(HistoryUnavailable):
        await items(process, conversation)
    await back(process, postgres_server)
    assert await items(process, conversation) == [*HELD, *ALONE]
    read = await process.conversations.looking.read(process.owner(), conversation)
    assert read.head_sequence == 4


async def test_they_are_placed_when_nobody_comes(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    conversation = await held(process)
    postgres_server.kill()
    await two_alone(process, conversation)
    assert process.conversations.tail.unplaced.oldest is not None
    await process.conversations._placing.place_now()  # in vain, and nothing comes of it
    assert process.conversations.tail.unplaced.count == 2
    await back(process, postgres_server)
    await eventually(lambda: process.conversations.tail.unplaced.count == 0)
    assert process.conversations.unplaced_from is None
    assert await items(process, conversation) == [*HELD, *ALONE]


async def test_the_turn_can_be_fetched_at_any_time(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    """Also when PostgreSQL has read the journal and the turn still has no place."""
    conversation = await held(process)
    postgres_server.kill()
    turn_id, _ = await two_alone(process, conversation)

    async def answered() -> list[str]:
        turn = await process.conversations.find_turn(ORG, turn_id)
        assert (turn.status, turn.answer) == ("completed", b'{"answer": 1}')
        assert turn.degraded == ("history",)
        return [text_of(item.content) for item in (*turn.input, *turn.output)]

    assert await answered() == ["three", "four"]
    await unattended(process)
    postgres_server.ensure()
    await process.project()
    assert await answered() == ["three", "four"]
    await items_when_back(process, conversation)
    await process.project()
    assert process.conversations.tail.turn(turn_id) is None
    assert await answered() == ["three", "four"]


async def items_when_back(process: Process, conversation: str) -> None:
    await eventually(lambda: process.postgres.available)
    assert await items(process, conversation) == [*HELD, *ALONE]


@pytest.mark.parametrize("projected", [False, True])
async def test_a_process_that_dies_before_leaves_them_to_the_next(
    node: Node, postgres_server: EmbeddedServer, projected: bool
) -> None:
    process = await node.process()
    conversation = await held(process)
    postgres_server.kill()
    turns = await two_alone(process, conversation)
    await unattended(process)
    postgres_server.ensure()
    if projected:
        await process.project()
    await process.close()
    process = await node.process()
    assert await process.heard(conversation) == [*HELD, *ALONE]
    await process.close()
    process = await node.process()  # it reads both of each turn's ends
    assert process.conversations.tail.unplaced.count == 0
    process.projected = 0
    await process.project()
    rows = await query(node.database, PLACES)
    assert [row[1] for row in rows[-2:]] == turns
    assert len(rows) == 4
    await apply(node.database, await process.records())
    assert await query(node.database, PLACES) == rows
    assert await items(process, conversation) == [*HELD, *ALONE]
    await process.close()


async def test_another_process_goes_on_meanwhile(
    node: Node, process: Process, postgres_server: EmbeddedServer
) -> None:
    """It takes the next place; those that waited take the ones behind it."""
    conversation = await held(process)
    postgres_server.kill()
    await process.say_alone(conversation, "three", "four")
    await unattended(process)
    postgres_server.ensure()
    other = await node.process("b")
    await other.say(conversation, "x", "y")
    await other.project()
    await eventually(lambda: process.postgres.available)
    assert await process.heard(conversation) == [*HELD, "x", "y", "three", "four"]
    await process.project()
    await other.close()


@pytest.mark.parametrize("with_items", [True, False])
async def test_a_deleted_conversation_leaves_the_response(
    process: Process, postgres_server: EmbeddedServer, with_items: bool
) -> None:
    conversation = await held(process)
    await process.conversations.changing.delete(
        process.owner(), "key", conversation, with_items=with_items
    )
    await process.project()
    postgres_server.kill()
    begun = await process.conversations.begin_without_history(process.owner(), conversation, WAIT_S)
    head = await process.head(begun)
    await process.append(await process.accepted(head))
    record, turn = await process.completed(head, "three", "four")
    key = await process.keys.current(ORG, 7)
    context = item_context(ORG, 7, conversation, head.turn_id, "events")
    events = seal(key, context, b"event: x", RANDOMNESS)
    await process.append(msgspec.structs.replace(record, events=events))
    await process.conversations.commit(begun, turn)
    await unattended(process)
    await back(process, postgres_server)
    await process.project()  # it was accepted in the conversation, says PostgreSQL now
    await process.conversations._placing.place_now()
    for _ in range(2):
        found = await process.conversations.find_turn(ORG, head.turn_id)
        assert found.conversation_id != conversation
        assert [text_of(item.content) for item in found.output] == ["four"]
        assert found.answer == b'{"answer": 1}'
        assert await process.conversations.turn_events.read(found) == b"event: x"
        await process.project()
    with pytest.raises(ConversationNotFound):
        await process.conversations.looking.read(process.owner(), conversation)
    place = await process.conversations.locate_turn(process.owner(), head.turn_id)
    assert place.sequence == 1
    assert await process.heard(place.conversation_id) == ["three", "four"]


async def chain(process: Process, *pairs: tuple[str, str]) -> list[str]:
    """Return the ids of a chain of responses that only PostgreSQL has."""
    name = process.mint.mint("conv", ORG, 7)
    begun = process.conversations.start(process.owner(), name)
    turns = [await process.end(begun, *pairs[0], implicit=True)]
    for pair in pairs[1:]:
        begun = await process.conversations.begin(process.owner(), name, WAIT_S)
        turns.append(await process.end(begun, *pair, implicit=True))
    await process.project()
    await forgotten(process)
    process.conversations._finding._places.clear()
    return turns


async def continued(process: Process, turn_id: str) -> list[str]:
    """Return what a turn that continues this response would be told."""
    place = await process.conversations.locate_turn(process.owner(), turn_id)
    begun = await process.conversations.begin(process.owner(), place.conversation_id, WAIT_S)
    await process.conversations.abort(begun)
    assert begun.sequence == place.sequence + 1
    return told(begun)


async def test_a_chain_goes_on_where_it_ended(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    [_, last] = await chain(process, ("a", "b"), ("c", "d"))
    postgres_server.kill()
    with pytest.raises(HistoryAway):
        await process.conversations.locate_turn(process.owner(), last)
    first = await process.answer_alone(last, "e", "f")
    begun = await process.conversations.begin_behind(process.owner(), first, WAIT_S)
    assert told(begun) == ["e", "f"]
    second = await process.end(begun, "g", "h", implicit=True)
    await back(process, postgres_server)
    assert await continued(process, second) == list("abcdefgh")
    await process.project()
    assert await continued(process, second) == list("abcdefgh")


async def test_a_chain_that_went_on_otherwise_is_branched(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    [first, last] = await chain(process, ("a", "b"), ("c", "d"))
    postgres_server.kill()
    branch = await process.answer_alone(first, "e", "f")
    straight = await process.answer_alone(last, "g", "h")
    after_branch = await process.answer_alone(branch, "i", "j")
    await back(process, postgres_server)
    assert await continued(process, after_branch) == list("abefij")
    assert await continued(process, straight) == list("abcdgh")
    turn = await process.conversations.find_turn(ORG, branch)
    assert [text_of(item.content) for item in turn.output] == ["f"]


async def test_what_follows_nothing_begins_anew(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    postgres_server.kill()
    turn_id = await process.answer_alone(process.mint.mint("resp", ORG, 7), "a", "b")
    await back(process, postgres_server)
    assert await continued(process, turn_id) == ["a", "b"]


async def test_a_turn_is_forgotten_though_it_has_no_place(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    conversation = await held(process)
    postgres_server.kill()
    turn_id = await process.say_alone(conversation, "three", "four")
    with pytest.raises(HistoryUnavailable):
        await process.conversations.changing.forget_turn(process.owner(), "key", turn_id)
    await back(process, postgres_server)
    await process.conversations.changing.forget_turn(process.owner(), "key", turn_id)
    with pytest.raises(TurnNotFound):
        await process.conversations.find_turn(ORG, turn_id)
    assert await items(process, conversation) == [*HELD, "three", "four"]


async def test_whoever_places_may_go_away(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    """From the append on the place is taken, and taken once, whoever waits for it."""
    conversation = await held(process)
    postgres_server.kill()
    await two_alone(process, conversation)
    await unattended(process)
    await back(process, postgres_server)
    settling = process.conversations._placing._settling
    for _ in range(2):
        begins = asyncio.ensure_future(process.heard(conversation))
        while not settling:
            await asyncio.sleep(0)
        begins.cancel()
        await asyncio.wait([begins])
    assert await process.heard(conversation) == [*HELD, *ALONE]
    ends = [one.record for one in await process.records() if isinstance(one.record, TurnCompleted)]
    assert [end.head.sequence for end in ends] == [2, 0, 0, 3, 4]


async def test_followers_are_told_once_and_in_order(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    conversation = await held(process)
    followed = await process.conversations.looking.follow(process.owner(), conversation, None)
    postgres_server.kill()
    await two_alone(process, conversation)
    await back(process, postgres_server)
    await process.say(conversation, "seven", "eight")
    seen = []
    async for event in followed.events(5.0):
        assert event is not None
        if event.item is not None:
            seen.append((event.event_id, text_of(event.item.content)))
        if len(seen) == 6:
            followed.close()
    texts = [*ALONE, "seven", "eight"]
    assert seen == list(zip(["3.1", "3", "4.1", "4", "5.1", "5"], texts, strict=True))


async def test_a_stranger_is_refused_without_any_store(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    conversation = await held(process)
    postgres_server.kill()
    turn_id = await process.say_alone(conversation, "three", "four")
    for owner in (process.owner(user=8), Owner(org_id="org_other", user=7)):
        with pytest.raises(ConversationNotFound):
            await process.conversations.begin_without_history(owner, conversation, WAIT_S)
        with pytest.raises(TurnNotFound):
            await process.conversations.begin_behind(owner, turn_id, WAIT_S)
        with pytest.raises(TurnNotFound):
            await process.conversations.locate_turn(owner, turn_id)
