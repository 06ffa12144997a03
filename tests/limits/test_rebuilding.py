"""What is used and held back is set again from PostgreSQL and the journal, never added."""

import asyncio
from random import Random

import asyncpg
import pytest

from axon.limits import Limits, LimitsError, LimitsParts, LimitsProjector
from axon.projection import Positioned
from axon.records import Record, TurnAccepted, TurnCompleted
from axon.stores import ValkeyAway
from tests.conversations.scene import ORG, RANDOMNESS, Node
from tests.limits.scene import Admitting, Running, all_done, ended_turn, tokens_a_month

BUDGET = 1000
EACH = 100

SLICE_PART = 8
"""What part of the rest is this process's own while Valkey is away."""

ROUNDS = 6
"""Fifty were run once, with the same outcome."""


async def flush(admitting: Admitting) -> None:
    await admitting.process.valkey.call("FLUSHALL")


@pytest.mark.failure("valkey", "wiped")
async def test_a_flush_loses_nothing(admitting: Admitting) -> None:
    await admitting.rule(tokens_a_month(BUDGET))
    done = await admitting.begin(EACH)
    await admitting.end(done, 30)
    await admitting.project()
    unprojected = await admitting.begin(EACH)
    await admitting.end(unprojected, 50)
    running = await admitting.begin(EACH)
    for _ in range(3):
        await flush(admitting)
        assert await admitting.used("budget") == 30 + 50 + EACH
    await flush(admitting)
    await admitting.end(running, 60)
    assert await admitting.used("budget") == 30 + 50 + 60


async def test_a_counter_that_was_evicted_alone_is_told_again(admitting: Admitting) -> None:
    await admitting.rule(tokens_a_month(BUDGET))
    await admitting.begin(EACH)
    keys = await admitting.process.valkey.call("KEYS", "axon:limits:*:budget:*")
    assert isinstance(keys, list)
    assert len(keys) == 1
    assert isinstance(keys[0], bytes)
    await admitting.process.valkey.call("DEL", keys[0])
    await admitting.limits.renew()
    assert await admitting.process.valkey.call("EXISTS", keys[0]) == 1
    assert await admitting.used("budget") == EACH


@pytest.mark.failure("valkey", "wiped")
async def test_after_a_flush_nobody_is_admitted_before_all_have_told(node: Node) -> None:
    """What the other process's turns hold back and used is in no store but its own journal."""
    node.processes = 2
    both = await Admitting.started(node, "a"), await Admitting.started(node, "b")
    for one in both:
        await one.rule(tokens_a_month(BUDGET))
    for one in both:
        await one.limits.refresh()
        await one.end(await one.begin(EACH), EACH)
        await one.begin(EACH)
    await flush(both[0])
    came = await all_done(*[both[0].begin(EACH) for _ in range(10)])
    assert len([one for one in came if isinstance(one, Running)]) == BUDGET // EACH - 4
    assert await both[1].used("budget") == BUDGET
    for one in both:
        await one.close()


async def test_a_restart_loses_nothing_and_adds_nothing(admitting: Admitting, node: Node) -> None:
    await admitting.rule(tokens_a_month(BUDGET))
    done, running = await admitting.begin(EACH), await admitting.begin(EACH)
    await admitting.end(done, 30)
    await admitting.limits.admit(admitting.asked(EACH))  # dies before it is accepted
    assert await admitting.used("budget") == 30 + EACH + EACH
    for _ in range(3):
        await admitting.close()
        admitting.__init__(await node.process())  # type: ignore[misc]
        assert await admitting.used("budget") == 30 + EACH
    await admitting.project()
    await admitting.close()
    admitting.__init__(await node.process())  # type: ignore[misc]
    assert await admitting.used("budget") == 30 + EACH
    await admitting.end(running, 40)
    assert await admitting.used("budget") == 30 + 40


async def test_after_every_record_what_is_outstanding_is_what_the_journal_says(
    admitting: Admitting, node: Node
) -> None:
    await admitting.rule(tokens_a_month(BUDGET))
    for number in range(4):
        running = await admitting.begin(EACH + number)
        if number % 2:
            await admitting.end(running, 10 * number)
    records = admitting.records()
    for length in range(len(records) + 1):
        limits = Limits(
            LimitsParts(
                postgres=admitting.process.postgres,
                valkey=admitting.process.valkey,
                clock=node.clock,
                randomness=RANDOMNESS,
                instance="a",
                projected=lambda: 0,
                snapshot=node.folder / "limits.json",
            )
        )
        for sequence, record in records[:length]:
            limits.note(record, sequence)
        await limits.start()
        states = await limits.states(admitting.asked(0))
        held, spent = replayed([record for _, record in records[:length]])
        assert sum(limits.outstanding(ORG).values()) == held
        assert states[0].used == held + spent
        await limits.stop()


def replayed(records: list[Record]) -> tuple[int, int]:
    """Return what is held back and what was used, by nothing but the records."""
    held: dict[str, int] = {}
    spent = 0
    for record in records:
        if isinstance(record, TurnAccepted):
            held[record.head.turn_id] = sum(hold.amount for hold in record.head.holds)
        elif isinstance(record, TurnCompleted):
            del held[record.head.turn_id]
            spent += record.usage.output_tokens
    return sum(held.values()), spent


async def test_a_record_that_comes_again_is_counted_once(admitting: Admitting) -> None:
    await admitting.rule(tokens_a_month(BUDGET))
    done = await admitting.begin(EACH)
    await admitting.end(done, 30)
    for _ in range(3):
        await admitting.project()
    connection = await asyncpg.connect(admitting.process.node.database)
    twice = Positioned(instance="a", sequence=99, record=ended_turn(done.head, 31))
    await LimitsProjector().apply(connection, [twice, twice])
    assert await connection.fetchval("SELECT sum(used) FROM limits.counts") == 30
    await connection.close()


@pytest.mark.parametrize("with_valkey", [True, False])
async def test_never_above_the_budget_whatever_dies(
    admitting: Admitting, node: Node, *, with_valkey: bool
) -> None:
    """64 at once against a budget worth some of them, the process killed in between."""
    random = Random(7)
    await admitting.rule(tokens_a_month(2 * EACH))
    await admitting.begin(EACH)
    for round_number in range(ROUNDS):
        worth = random.randrange(16, 64)
        left = worth * EACH + random.randrange(EACH)
        budget = sum(replayed(admitting.journaled())) + left
        await admitting.rule(tokens_a_month(budget))
        await admitting.used("budget")
        await admitting.limits.renew()  # a slice for when Valkey is away
        if not with_valkey:
            _take_away(admitting)
        came = await all_done(*[admitting.begin(EACH) for _ in range(64)])
        assert all(not isinstance(one, Exception) or isinstance(one, LimitsError) for one in came)
        running = [one for one in came if isinstance(one, Running)]
        assert len(running) == (worth if with_valkey else left // SLICE_PART // EACH)
        random.shuffle(running)
        for one in running[: len(running) // 2]:
            await admitting.end(one, random.randrange(EACH + 1))
        if round_number % 2:
            await admitting.project()
        await admitting.limits.admit(admitting.asked(0))  # dies before it is accepted
        await admitting.close()  # as one that dies: nothing is given back
        admitting.__init__(await node.process())  # type: ignore[misc]
        used = sum(replayed(admitting.journaled()))
        assert used <= budget
        assert await admitting.used("budget") == used
        for one in running[len(running) // 2 :]:  # as recovery ends them
            await admitting.end(one, EACH)
        used = sum(replayed(admitting.journaled()))
        assert await admitting.used("budget") == used <= budget


def _take_away(admitting: Admitting) -> None:
    """Let every call to Valkey fail at once, as without a connection."""

    def call(*_: object) -> "asyncio.Future[object]":
        raise ValkeyAway("taken away")

    admitting.process.valkey.call = call  # type: ignore[method-assign,assignment]
