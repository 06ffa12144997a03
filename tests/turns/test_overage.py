"""What a turn costs more beyond a limit that lets it: decided when it is accepted."""

import asyncio

import msgspec
import pytest

from axon.limits import LimitsAdmin, Rule, UnusableRule
from axon.records import TurnCompleted, TurnInterrupted, decode
from tests.conversations.scene import ORG, Process
from tests.turns.scene import Taking, request, say
from tests.turns.test_money_limits import PRICE, a_turn, accepted, budget, most_a_turn_costs

PERCENT = 30
TOKENS = Rule(
    rule_id="included",
    measure="tokens",
    period="month",
    amount=10**9,
    kind="overage",
    overage_percent=PERCENT,
    org_id=ORG,
)


async def included(process: Process, tokens: int) -> None:
    """Say how many tokens of a month cost no more than their price."""
    rule = msgspec.structs.replace(TOKENS, amount=tokens)
    await LimitsAdmin(process.postgres).set_rule(rule)
    await process.limits.refresh()


async def a_whole_turn(taking: Taking) -> None:
    running = asyncio.ensure_future(taking.taken(a_turn()))
    await taking.answer("two")
    await running


def ends(process: Process) -> list[TurnCompleted | TurnInterrupted]:
    found = [decode(entry.kind, entry.payload) for entry in process.journal.read(0)]
    return [one for one in found if isinstance(one, TurnCompleted | TurnInterrupted)]


def plain(one: TurnCompleted | TurnInterrupted) -> int:
    """Return what a turn costs by its price."""
    return 3 * one.usage.input_tokens + 5 * one.usage.output_tokens + 11


def tokens(one: TurnCompleted | TurnInterrupted) -> int:
    return one.usage.input_tokens + one.usage.output_tokens


async def test_what_goes_beyond_costs_more(process: Process) -> None:
    taking = Taking(process)
    taking.prices.put([PRICE])
    await included(process, 10**9)
    await a_whole_turn(taking)
    each = tokens(ends(process)[0])
    beyond = each // 3
    await included(process, 3 * each - beyond)
    for _ in range(3):
        await a_whole_turn(taking)
    first, second, third, fourth = ends(process)
    assert [tokens(one) for one in (second, third, fourth)] == [each] * 3
    for within in (first, second):
        assert (within.charge.cost_nano, within.charge.overage_nano) == (plain(within), 0)
    more = (plain(third) * PERCENT * beyond * 2 + 100 * each) // (200 * each)
    assert third.charge.overage_nano == more > 0
    assert third.charge.cost_nano == plain(third) + more
    assert fourth.charge.overage_nano == (plain(fourth) * PERCENT + 50) // 100


async def test_nobody_pays_for_what_others_only_hold_back(process: Process) -> None:
    """Of turns that run at once each may use what the ended ones left."""
    taking = Taking(process)
    taking.prices.put([PRICE])
    await included(process, 10**9)
    await a_whole_turn(taking)
    await included(process, 3 * tokens(ends(process)[0]))
    running = [asyncio.ensure_future(taking.taken(a_turn())) for _ in range(2)]
    jobs = [await taking.engine.jobs.get() for _ in running]
    for job in jobs:
        taking.engine.jobs.put_nowait(job)
        await taking.answer("two")
    await asyncio.gather(*running)
    assert [one.charge.overage_nano for one in ends(process)] == [0, 0, 0]


async def test_a_budget_holds_the_dearest_overage_back(process: Process) -> None:
    taking = Taking(process)
    taking.prices.put([PRICE])
    await budget(process, 10**12)
    each = await most_a_turn_costs(taking)
    await included(process, 0)
    await a_whole_turn(taking)
    held = accepted(process)[-1]
    most = each + -(-each * PERCENT // 100)
    assert held.cost_reserved_nano == most
    assert next(one for one in held.head.holds if one.measure == "money").amount == most
    assert plain(ends(process)[-1]) < ends(process)[-1].charge.cost_nano < most


async def test_a_turn_that_a_crash_cut_short_costs_what_its_acceptance_said(
    process: Process,
) -> None:
    """A rule that was changed meanwhile changes nothing."""
    first = Taking(process)
    first.prices.put([PRICE])
    await included(process, 0)
    streamed = msgspec.structs.replace(request("", "one", streamed=True), conversation_id=None)
    running = asyncio.ensure_future(first.taken(streamed))
    _, writer = await first.engine.jobs.get()
    say(writer, "some words")
    while not (left_open := first.left_open()):
        await asyncio.sleep(0.01)
    await included(process, 10**9)
    second = Taking(process)
    second.prices.put([PRICE])
    await second.turns.recover(left_open)
    (cut,) = ends(process)
    assert cut.charge.overage_nano == (plain(cut) * PERCENT + 50) // 100 > 0
    running.cancel()
    await first.tasks.cancel()
    await second.tasks.cancel()


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "hard"},
        {"kind": "soft"},
        {"measure": "concurrent", "period": ""},
        {"overage_percent": -1},
        {"overage_percent": 1001},
    ],
)
async def test_only_overage_has_a_price(process: Process, changes: dict[str, object]) -> None:
    with pytest.raises(UnusableRule):
        await LimitsAdmin(process.postgres).set_rule(msgspec.structs.replace(TOKENS, **changes))
