"""What is on its way to the disk goes on when its caller leaves: nothing stays half done."""

import asyncio
from types import ModuleType

import pytest

from axon.conversations import StoredTurn
from axon.records import Record, TurnAccepted, TurnCompleted, TurnInterrupted
from axon.records import encode as encode_record
from axon.turns import accepting, ending
from tests.conversations.scene import ORG, Process
from tests.turns.scene import Taking, request


def leaves_at(
    monkeypatch: pytest.MonkeyPatch, room: ModuleType, kinds: tuple[type[Record], ...]
) -> list["asyncio.Task[str]"]:
    """Cancel the first of these callers when such a record is about to be journaled."""
    callers: list[asyncio.Task[str]] = []

    def encode(record: Record) -> tuple[int, bytes]:
        if isinstance(record, kinds) and callers:
            callers.pop(0).cancel()
        return encode_record(record)

    monkeypatch.setattr(room, "encode", encode)
    return callers


async def test_a_turn_whose_caller_left_while_it_was_accepted_is_answered(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking = Taking(process)
    conversation = await process.conversation("hello")
    callers = leaves_at(monkeypatch, accepting, (TurnAccepted,))
    first = asyncio.ensure_future(taking.taken(request(conversation, "one", streamed=True)))
    callers.append(first)
    assert await first == ""
    assert len(taking.turns) == 1
    again = request(conversation, "one", streamed=True, attempt=1)
    retried = asyncio.ensure_future(taking.taken(again))
    await taking.answer("two")
    turn = await process.conversations.find_turn(ORG, await retried)
    assert turn.status == "completed"
    assert taking.left_open() == []
    assert taking.engine.jobs.empty()
    assert len((await process.conversations.begin(process.owner(), conversation, 1.0)).history) == 2
    assert taking.problems == []


async def test_a_turn_that_its_caller_waited_for_ends_with_it(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking = Taking(process)
    conversation = await process.conversation("hello")
    callers = leaves_at(monkeypatch, accepting, (TurnAccepted,))
    first = asyncio.ensure_future(taking.taken(request(conversation, "one", streamed=False)))
    callers.append(first)
    turn = await process.conversations.find_turn(ORG, await first)
    assert (turn.status, turn.reason) == ("failed", "server_error")
    assert taking.left_open() == []
    assert len(taking.turns) == 0
    assert await process.heard(conversation) == ["hello"]


async def test_a_turn_whose_caller_left_while_it_ended_has_ended(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking = Taking(process)
    conversation = await process.conversation("hello")
    callers = leaves_at(monkeypatch, ending, (TurnCompleted, TurnInterrupted))
    first = asyncio.ensure_future(taking.taken(request(conversation, "one", streamed=False)))
    callers.append(first)
    await taking.answer("two")
    await asyncio.wait([first])
    assert taking.left_open() == []
    begun = await process.conversations.begin(process.owner(), conversation, 1.0)
    assert begun.sequence == 3
    await process.conversations.abort(begun)
    again = request(conversation, "one", streamed=False, attempt=1)
    turn = await taking.turns.take(again)
    assert isinstance(turn, StoredTurn)
    assert turn.status == "completed"
