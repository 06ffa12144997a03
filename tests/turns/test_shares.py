"""The job of a turn waits where its organization's tier says."""

import asyncio

import msgspec

from axon.limits import LimitsAdmin, Tier
from tests.conversations.scene import Node
from tests.turns.scene import Taking, request


async def test_a_job_waits_in_the_row_of_its_tier(node: Node) -> None:
    process = await node.process("a")
    await LimitsAdmin(process.postgres).set_tier(Tier(name="pro", share=30))
    await process.limits.refresh()
    taking = Taking(process)
    rows = {}
    for tier in ("free", "enterprise", "pro"):
        asked = msgspec.structs.replace(request("", "one", streamed=False), conversation_id=None)
        turn = asyncio.create_task(taking.taken(msgspec.structs.replace(asked, tier=tier)))
        delivery, writer = await taking.engine.jobs.get()
        rows[tier] = (delivery.job.row, delivery.job.weight)
        taking.engine.jobs.put_nowait((delivery, writer))
        await taking.answer("yes")
        await turn
    assert rows == {"free": (0, 20), "enterprise": (1, 50), "pro": (2, 30)}
    await process.close()
