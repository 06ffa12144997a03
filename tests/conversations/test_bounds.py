"""The bounds of the line, of the tail and of what is held in memory."""

import asyncio
import tracemalloc

import msgspec
import pytest

from axon.conversations import ConversationBusy, Conversations, HistoryItem, HistoryTurn, TailFull
from axon.conversations.history import EMPTY_WINDOW, OpenedWindow, opened_bytes
from axon.conversations.line import Line
from axon.conversations.opened import OpenedWindows
from tests.conversations.scene import ORG, WAIT_S, Process

WEIGHED = 500
"""Windows: so many that what is weighed beside them is nothing."""


async def test_a_line_has_an_end() -> None:
    line = Line(waiters_max=2)
    await line.enter("c", 1.0)
    waiting = [asyncio.ensure_future(line.enter("c", 60.0)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ConversationBusy):
        await line.enter("c", 60.0)
    await line.enter("another", 1.0)
    for waiter in waiting:
        line.leave("c")
        await waiter
    line.leave("c")
    assert "c" not in line


async def test_who_is_let_in_while_being_cancelled_lets_the_next_one_in() -> None:
    line = Line()
    await line.enter("c", 1.0)
    first, second = (asyncio.ensure_future(line.enter("c", 60.0)) for _ in range(2))
    await asyncio.sleep(0)
    line.leave("c")
    first.cancel()
    await second
    assert first.cancelled()
    line.leave("c")
    assert "c" not in line


async def test_a_full_tail_takes_no_more_turns(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await process.conversation("hello")
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    monkeypatch.setattr(process.conversations.tail, "_entries_max", 1)
    for begin in (_begin, _start):
        with pytest.raises(TailFull):
            await begin(process.conversations, process, conversation)
    await process.end(begun, "accepted before", "is still remembered")
    await process.project()
    assert (await process.heard(conversation))[-1] == "is still remembered"


async def _begin(conversations: Conversations, process: Process, conversation: str) -> None:
    await conversations.begin(process.owner(), conversation, WAIT_S)


async def _start(conversations: Conversations, process: Process, _: str) -> None:
    conversations.start(process.owner(), process.mint.mint("conv", ORG, 7))


async def test_the_tail_forgets_what_is_projected(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    tail = process.conversations.tail
    conversation = await process.conversation("hello")
    turn_id = await process.say(conversation, "one", "two")
    monkeypatch.setattr(tail, "_entries_max", 1)
    assert tail.head(conversation) == 2
    entry = tail.turn(turn_id)
    assert entry is not None
    [record] = await tail.read([entry])
    tail.prune(1)
    assert [one.sequence for one in tail.places(conversation)] == [2]
    with pytest.raises(TailFull):
        tail.admit()
    tail.prune(2)
    tail.admit()
    assert (tail.head(conversation), tail.turn(turn_id)) == (0, None)
    tail.note(record, entry.location)  # told late of what is projected already
    tail.admit()


def test_opened_windows_are_bounded_in_bytes() -> None:
    item = HistoryItem("i", "message", "user", 1, b"x" * 1000)
    turn = HistoryTurn.of("t", 1, [item])
    window = EMPTY_WINDOW.followed_by(turn, 1, [])
    opened = OpenedWindows(bytes_max=5 * window.opened_bytes)
    for number in range(9):
        opened.put(str(number), window)
        assert opened.get("0") is (window if number < 9 else None)
    assert len(opened) == 5
    assert opened.get("0") is window  # used all the time
    assert opened.get("1") is None
    opened.put("0", window)
    opened.drop("0")
    assert len(opened) == 4


async def test_the_tails_head_is_its_highest_place(process: Process) -> None:
    """A recovered turn is noted after turns that stand behind it."""
    conversation = await process.conversation("hello")
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    left_open = await process.head(begun)
    await process.end(begun, "one", "two")
    await process.say(conversation, "three", "four")
    recovered, _ = await process.completed(
        msgspec.structs.replace(left_open, fence=left_open.fence - 1), "lost", "to another"
    )
    await process.append(recovered)
    assert process.conversations.tail.head(conversation) == 3
    process.conversations.tail.prune(4)
    assert process.conversations.tail.head(conversation) == 0


@pytest.mark.parametrize("content_bytes", [60, 4_000])
def test_opened_windows_weigh_no_more_than_is_counted(content_bytes: int) -> None:
    opened = OpenedWindows()
    tracemalloc.start()
    try:
        for number in range(WEIGHED):
            items = [an_item(number, place, content_bytes) for place in range(2)]
            turn = HistoryTurn.of(f"resp_{number:048}", 1, items)
            window = OpenedWindow(
                1, 1, (turn,), True, frozenset([b"%016d" % number]), 0, opened_bytes([turn])
            )
            opened.put(f"conv_{number:048}", window)
        weight, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    counted = sum(window.opened_bytes for window in opened._windows.values())
    assert counted / 2 < weight < 1.1 * counted


def an_item(number: int, place: int, content_bytes: int) -> HistoryItem:
    content = b'{"text":"%b"}' % (b"x" * content_bytes)
    item_id = f"msg_{number:046}{place}"
    return HistoryItem(item_id, "message", "user", 10, content, [bytes(bytearray(content))])
