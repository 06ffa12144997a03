"""A turn whose end the disk did not take for certain: the next process may find it."""

import asyncio

from axon.turns import RunningTurn
from tests.conversations.scene import WAIT_S, Node, held
from tests.journal.disks import FailingDisk
from tests.turns.scene import Taking, request


async def test_an_end_that_is_found_later_keeps_its_place(node: Node) -> None:
    disk = node.disk = FailingDisk()
    first = await node.process()
    taking = Taking(first)
    conversation = await held(first)
    running = asyncio.ensure_future(
        taking.turns.take(request(conversation, "three", streamed=True))
    )
    turn = await running
    assert isinstance(turn, RunningTurn)
    disk.fail_sync = True
    await taking.answer("four")
    await turn.stream.over()
    assert turn.end is not None and turn.end.failure is not None
    await first.close()

    disk.fail_sync = False
    again = await node.process()
    await again.project()
    begun = await again.conversations.begin(again.owner(), conversation, WAIT_S)
    assert begun.sequence == turn.head.sequence + 1
    await again.conversations.abort(begun)
    await again.close()
