"""Two processes and one budget: flushed and restarted in turn, exact to the token."""

from random import Random

import pytest

from tests.conversations.scene import Node
from tests.limits.scene import Admitting, Running, all_done, tokens_a_month
from tests.limits.test_rebuilding import replayed

ROUNDS = 6
"""Fifty take three quarters of a minute, and end the same."""

EACH = 100


def _used(both: list[Admitting]) -> int:
    """Return what the journals say that is held back and used."""
    return sum(sum(replayed(one.journaled())) for one in both)


@pytest.mark.failure("valkey", "wiped")
async def test_what_is_admitted_is_what_the_budget_is_worth(node: Node) -> None:
    random = Random(3)
    node.processes = 2
    both = [await Admitting.started(node, "a"), await Admitting.started(node, "b")]
    for number in range(ROUNDS):
        worth = random.randrange(5, 60)
        await both[0].rule(tokens_a_month(_used(both) + worth * EACH + 7))
        await both[1].limits.refresh()
        if number % 3 == 0:
            await both[0].process.valkey.call("FLUSHALL")
        came = await all_done(*[one.begin(EACH) for one in both for _ in range(32)])
        running = [one for one in came if isinstance(one, Running)]
        assert len(running) == worth
        mine = [
            [one for one in half if isinstance(one, Running)] for half in (came[:32], came[32:])
        ]
        for process, turns in zip(both, mine, strict=True):
            for turn in turns[::2]:
                await process.end(turn, random.randrange(EACH + 1))
        dying = number % 2
        if number % 4 == 0:
            await both[dying].project()
        await both[dying].close()  # as one that dies: nothing is given back
        both[dying] = Admitting(await node.process("ab"[dying]))
        for process in both:
            await process.limits.renew()
        assert await both[0].used("budget") == await both[1].used("budget") == _used(both)
        for process, turns in zip(both, mine, strict=True):
            for turn in turns[1::2]:
                await process.end(turn, random.randrange(EACH + 1))
    for process in both:
        await process.close()
