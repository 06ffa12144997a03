"""A turn that was answered without its history says so whenever its answer is told."""

import asyncio

from axon.app.embedded import EmbeddedServer
from axon.conversations import StoredTurn
from axon.turns import RunningTurn
from tests.conversations.scene import Node, Process, eventually, held
from tests.turns.scene import Taking, request


async def test_a_retry_is_told_what_the_answer_lacks(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    taking = Taking(process)
    conversation = await held(process)
    postgres_server.kill()
    first = asyncio.ensure_future(taking.taken(request(conversation, "three", streamed=True)))
    await taking.answer("four")
    turn_id = await first
    postgres_server.ensure()
    await eventually(lambda: process.postgres.available)
    assert (await process.heard(conversation))[:3] == ["hello", "one", "two"]
    await process.project()
    assert process.conversations.tail.turn(turn_id) is None
    told = await taking.turns.take(request(conversation, "three", streamed=True, attempt=1))
    assert isinstance(told, StoredTurn)
    assert (told.turn_id, told.degraded) == (turn_id, ("history",))


async def test_one_that_runs_again_still_lacks_it(
    node: Node, postgres_server: EmbeddedServer
) -> None:
    first = await node.process()
    taking = Taking(first)
    conversation = await held(first)
    postgres_server.kill()
    running = asyncio.ensure_future(taking.taken(request(conversation, "three", streamed=False)))
    await taking.engine.jobs.get()
    await eventually(taking.left_open)
    await first.close()

    again = await node.process()
    taking = Taking(again)
    [left] = taking.left_open()
    await taking.turns.recover([left])
    await eventually(lambda: len(taking.turns))
    turn = taking.turns.find(left.turn_id)
    assert isinstance(turn, RunningTurn)
    assert turn.degraded == ("history",)
    await taking.answer()
    await taking.tasks.finish(10.0)
    await again.close()
    postgres_server.ensure()
    running.cancel()
    await asyncio.wait([running])
