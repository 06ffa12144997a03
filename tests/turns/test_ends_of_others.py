"""The end of a turn that a dead process left open stands in its conversation for good."""

import asyncio

import pytest

from axon.journal import JournalFull
from axon.records import TurnCompleted
from axon.records import encode as encode_record
from axon.turns import TurnOptions, ending, interrupting
from tests.conversations.scene import Node, eventually
from tests.turns.scene import Taking, end, request, say

OFTEN = TurnOptions(progress_every_s=0.0)


async def test_what_was_shown_of_a_turn_that_could_not_be_ended_is_not_written_over(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its window was closed without it: nobody knew then that it would take its place after all."""
    first = await node.process()
    taking = Taking(first, OFTEN)
    conversation = await first.conversation("hello")
    turn = asyncio.ensure_future(taking.taken(request(conversation, "one", streamed=True)))
    delivery, writer = await taking.engine.jobs.get()
    say(writer, "two")
    await eventually(lambda: taking.left_open() and taking.left_open()[0].progress is not None)

    def full(record: object) -> tuple[int, bytes]:
        if isinstance(record, TurnCompleted):
            raise JournalFull("too many entries wait")
        return encode_record(record)  # type: ignore[arg-type]

    monkeypatch.setattr(ending, "encode", full)
    end(delivery, writer)
    turn_id = await turn
    await eventually(lambda: not len(taking.turns))
    assert await first.heard(conversation) == ["hello"]
    await first.close()

    again = await node.process()
    taking = Taking(again, OFTEN)
    left_open = taking.left_open()
    assert [left.turn_id for left in left_open] == [turn_id]
    await taking.turns.recover(left_open)
    await again.project()
    begun = await again.conversations.begin(again.owner(), conversation, 1.0)
    assert (begun.sequence, len(begun.history)) == (3, 2)
    assert begun.history[-1].turn_id == turn_id
    await again.close()


async def test_a_turn_that_cannot_even_be_ended_holds_nobody_up(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await node.process()
    taking = Taking(first)
    conversation = await first.conversation("hello")
    turn = asyncio.ensure_future(taking.taken(request(conversation, "one", streamed=False)))
    await taking.engine.jobs.get()
    await eventually(taking.left_open)
    await first.close()

    again = await node.process()
    taking = Taking(again)
    left_open = taking.left_open()
    await again.say(conversation, "three", "four")  # and so it cannot run again

    def full(record: object) -> tuple[int, bytes]:
        raise JournalFull("too many entries wait")

    with monkeypatch.context() as patched:
        patched.setattr(interrupting, "encode", full)
        await taking.turns.recover(left_open)
        await taking.tasks.finish(10.0)
    assert taking.problems == []
    assert taking.left_open() == left_open
    assert await again.heard(conversation) == ["hello", "three", "four"]
    await again.close()
    turn.cancel()
    await asyncio.wait([turn])
