"""Following a conversation: nothing missed, nothing twice, whatever is projected when."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from random import Random

import pytest

from axon.app.embedded import EmbeddedServer
from axon.conversations import (
    ConversationEvent,
    ConversationNotFound,
    CursorExpired,
    Followed,
    NotACursor,
    TooManySubscribers,
    Update,
    hub,
    replaying,
)
from tests.conversations.scene import KEY, ORG, WAIT_S, Process, message, query, text_of

TICK_S = 20.0


async def take(followed: Followed, count: int) -> list[ConversationEvent]:
    """Return the next `count` events, then stop following."""
    found: list[ConversationEvent] = []
    async with aclosing(followed.events(TICK_S)) as events:
        while len(found) < count:
            event = await anext(events)
            assert event is not None
            found.append(event)
    followed.close()
    return found


async def rest(followed: Followed) -> list[ConversationEvent]:
    return [event async for event in followed.events(TICK_S) if event is not None]


async def follow(process: Process, conversation: str, last: str | None = None) -> Followed:
    return await process.conversations.looking.follow(process.owner(), conversation, last)


def told(events: Sequence[ConversationEvent]) -> list[str]:
    return [
        f"{event.kind} {text_of(event.item.content)}" if event.item else event.kind
        for event in events
    ]


async def change_something(process: Process, conversation: str, random: Random) -> None:
    owner = process.owner()
    page = await process.conversations.looking.list_items(
        owner, conversation, after=None, limit=100, order="asc"
    )
    choice = random.randrange(6)
    if choice == 0:
        await process.say(conversation, f"ask {random.random()}", "answer")
    elif choice == 1:
        items = [message("user", f"{random.random()}") for _ in range(random.randint(1, 4))]
        await process.conversations.changing.append_items(owner, KEY, conversation, items)
    elif choice == 2 and page.items:
        gone = random.choice(page.items).item_id
        await process.conversations.changing.delete_item(owner, KEY, conversation, gone)
    elif choice == 3:
        update = Update(title=f"{random.random()}", archived=random.random() < 0.5, metadata={})
        await process.conversations.changing.update(owner, KEY, conversation, update)
    elif choice == 4:
        await process.project()


def remember(view: list[str], events: Sequence[ConversationEvent]) -> None:
    """Bring a device's list of items up to date; raises when something comes twice."""
    for event in events:
        if event.item is not None:
            assert event.item.item_id not in view
            view.append(event.item.item_id)
        elif event.kind == "item_deleted" and event.item_id in view:
            view.remove(event.item_id)


@pytest.mark.parametrize("seed", range(4))
async def test_random_reconnects_miss_nothing_and_repeat_nothing(
    process: Process, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "REPLAY_PAGE", 5)
    random = Random(seed)
    conversation = await process.conversation("first")
    watching = await follow(process, conversation)
    every = asyncio.ensure_future(rest(watching))
    items = await process.conversations.looking.list_items(
        process.owner(), conversation, after=None, limit=1, order="asc"
    )
    first = items.items[0].item_id
    seen: list[ConversationEvent] = []
    view, last = [first], watching.start_id
    for _ in range(50):
        for _ in range(random.randrange(4)):
            await change_something(process, conversation, random)
        device = await follow(process, conversation, last)
        assert device.start_id == last
        most = random.randint(1, 12)
        async with aclosing(device.events(0.0)) as events:
            async for event in events:
                if event is None:
                    break
                if event.event_id:
                    last = event.event_id
                    seen.append(event)
                    most -= 1
                if not most:
                    break
        device.close()
    async with aclosing((await follow(process, conversation, last)).events(0.0)) as events:
        async for event in events:
            if event is None:
                break
            seen.append(event)
    watching.close()
    named = [event for event in await every if event.event_id]
    ids = [event.event_id for event in seen]
    assert len(ids) == len(set(ids))
    missed = {event.event_id for event in named} - set(ids)
    page = await process.conversations.looking.list_items(
        process.owner(), conversation, after=None, limit=100, order="asc"
    )
    remember(view, seen)
    assert [one for one in view if one != first] == [
        item.item_id for item in page.items if item.item_id != first
    ]
    # What it never saw is an item that was gone before it looked.
    for event in named:
        if event.event_id in missed:
            assert event.item is not None and event.item.item_id not in view


@pytest.mark.parametrize("page", [3, 4, 5, 100])
async def test_a_record_is_replayed_whole_wherever_the_page_ends(
    process: Process, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    conversation = await process.conversation("a")
    for number in range(4):
        update = Update(title=f"{number}", archived=True, metadata={})
        await process.conversations.changing.update(process.owner(), KEY, conversation, update)
    await process.project()
    monkeypatch.setattr(replaying, "REPLAY_PAGE", page + 1)
    events = await take(await follow(process, conversation, "1"), 12)
    expected = [f"{n}{part}" for n in range(2, 6) for part in (".1", ".2", "")]
    assert [event.event_id for event in events] == expected
    assert [event.change for event in events] == ["metadata", "renamed", "archived"] * 4


@pytest.mark.parametrize("projected", [True, False])
async def test_a_half_seen_record_goes_on_though_its_first_item_is_gone(
    process: Process, projected: bool
) -> None:
    conversation = await process.conversation()
    start = (await follow(process, conversation)).start_id
    added = await process.conversations.changing.append_items(
        process.owner(), KEY, conversation, [message("user", text) for text in "abc"]
    )
    if projected:
        await process.project()
    [one] = await take(await follow(process, conversation, start), 1)
    assert (told([one]), one.event_id) == (["item_created a"], "2.1")
    gone = added[0].item_id
    await process.conversations.changing.delete_item(process.owner(), KEY, conversation, gone)
    if projected:
        await process.project()
    more = await take(await follow(process, conversation, one.event_id), 3)
    assert told(more) == ["item_created b", "item_created c", "item_deleted"]
    assert [event.event_id for event in more] == ["2.2", "2", "3"]


async def test_what_the_tail_has_needs_no_postgresql(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    conversation = await process.conversation("a")
    start = (await follow(process, conversation)).start_id
    postgres_server.kill()
    await process.say(conversation, "b", "c")
    later = await follow(process, conversation, start)
    assert told(await take(later, 2)) == ["item_created b", "item_created c"]


async def test_a_turn_is_shown_while_it_runs(process: Process) -> None:
    conversation = await process.conversation("a")
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    head = await process.head(begun)
    early = asyncio.ensure_future(take(await follow(process, conversation), 4))
    await process.append(await process.accepted(head))
    late = asyncio.ensure_future(take(await follow(process, conversation), 4))
    record, turn = await process.completed(head, "b", "c")
    await process.append(record)
    await process.conversations.commit(begun, turn)
    expected = ["turn_started", "item_created b", "item_created c", "turn_ended"]
    for events in (await early, await late):
        assert told(events) == expected
        assert {event.turn_id for event in events} == {head.turn_id}
        assert events[-1].status == "completed"


async def test_the_hub_can_be_told_by_hand(process: Process) -> None:
    conversation = await process.conversation("a")
    followed = await follow(process, conversation)
    process.conversations.hub.started(conversation, "resp_1")
    process.conversations.hub.started(conversation, "resp_1")
    process.conversations.hub.ended(conversation, "resp_1", "failed")
    process.conversations.hub.ended(conversation, "resp_1", "failed")
    process.conversations.hub.close()
    events = await rest(followed)
    assert [(event.kind, event.status) for event in events] == [
        ("turn_started", ""),
        ("turn_ended", "failed"),
    ]


@pytest.mark.parametrize(("bound", "most"), [("WAITING_MAX", 2), ("WAITING_BYTES_MAX", 200)])
async def test_a_slow_reader_is_cut_and_told_to_begin_anew(
    process: Process, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(hub, bound, most)
    conversation = await process.conversation("a")
    slow = await follow(process, conversation)
    for number in range(3):
        await process.say(conversation, f"{number}", "ok")
    assert told(await rest(slow)) == ["resync"]
    assert len(process.conversations.hub) == 0
    monkeypatch.undo()
    again = await take(await follow(process, conversation, slow.start_id), 6)
    assert told(again)[::2] == [f"item_created {number}" for number in range(3)]


async def test_a_single_record_may_be_larger_than_what_may_wait(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "WAITING_BYTES_MAX", 1)
    conversation = await process.conversation("a")
    followed = await follow(process, conversation)
    await process.say(conversation, "b", "c")
    assert told(await take(followed, 2)) == ["item_created b", "item_created c"]


async def test_readers_are_bounded_and_a_draining_process_takes_none(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "SUBSCRIBERS_MAX", 1)
    conversation = await process.conversation("a")
    first = await follow(process, conversation)
    with pytest.raises(TooManySubscribers):
        await follow(process, conversation)
    first.close()
    first.close()
    second = await follow(process, conversation)
    process.conversations.hub.close()
    assert await rest(second) == []
    with pytest.raises(TooManySubscribers):
        await follow(process, conversation)


async def test_quiet_streams_tick(process: Process) -> None:
    conversation = await process.conversation("a")
    followed = await follow(process, conversation)
    async with aclosing(followed.events(0.0)) as events:
        assert [await anext(events) for _ in range(3)] == [None] * 3
    followed.close()


async def test_a_deletion_ends_the_stream(process: Process) -> None:
    conversation = await process.conversation("a")
    followed = await follow(process, conversation)
    await process.conversations.changing.delete(process.owner(), KEY, conversation, with_items=True)
    assert told(await rest(followed)) == ["deleted"]
    followed.close()
    with pytest.raises(ConversationNotFound):
        await follow(process, conversation)
    assert len(process.conversations.hub) == 0


@pytest.mark.parametrize("last", ["", "-1", "1.", "x", "1.2.3", "9" * 10])
async def test_nonsense_is_no_event(process: Process, last: str) -> None:
    conversation = await process.conversation("a")
    with pytest.raises(NotACursor):
        await follow(process, conversation, last)


async def test_an_event_too_long_ago_is_refused(process: Process) -> None:
    conversation = await process.conversation("a")
    await process.say(conversation, "b", "c")
    await process.project()
    await query(process.node.database, "UPDATE conversations.places SET at_us = 1")
    for last in ("1", "1.1", "3"):
        with pytest.raises(CursorExpired):
            await follow(process, conversation, last)
    assert (await follow(process, conversation, "2")).start_id == "2"


async def test_a_chain_of_responses_is_not_followed(process: Process) -> None:
    chain = process.mint.mint("conv", ORG, 7)
    begun = process.conversations.start(process.owner(), chain)
    head = await process.head(begun, implicit=True)
    await process.append(await process.accepted(head))
    record, turn = await process.completed(head, "a", "b")
    await process.append(record)
    await process.conversations.commit(begun, turn)
    with pytest.raises(ConversationNotFound):
        await follow(process, chain)
