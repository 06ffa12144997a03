"""Budgets of money: what a turn can cost at most is held back, and what it did cost is counted."""

import asyncio

import msgspec
import pytest

from axon.limits import Asked as AskedOf
from axon.limits import LimitReached, LimitsAdmin, Rule, RuleState
from axon.metering import Price, Rates
from axon.records import (
    TurnAccepted,
    TurnCompleted,
    TurnInterrupted,
    decode,
)
from axon.turns import RunningTurn, TurnRequest
from tests.conversations.scene import KEY, ORG, Node, Process
from tests.turns.scene import MODEL, USER, Taking, end, request, say

PRICE = Price(
    price_id="price_1",
    model=MODEL,
    effective_from_us=1,
    currency="USD",
    rates=Rates(input=3_000_000, output=5_000_000),
    per_request=11,
)
OUTPUT_TOKENS_MAX = 1000
"""Of the scene's model."""

WORTH = 3
AT_ONCE = 64


def a_turn() -> TurnRequest:
    """Return a request that begins a conversation; all of them can cost the same."""
    return msgspec.structs.replace(request("", "one", streamed=False), conversation_id=None)


async def budget(process: Process, amount: int, currency: str = "USD") -> None:
    """Define how much money a month has, known here at once."""
    rule = Rule(
        rule_id=f"budget-{currency.lower()}",
        measure="money",
        period="month",
        currency=currency,
        amount=amount,
        org_id=ORG,
    )
    await LimitsAdmin(process.postgres).set_rule(rule)
    await process.limits.refresh()


async def standing(process: Process) -> RuleState:
    """Return how the only rule stands."""
    at_us = process.node.clock.now_us()
    asked = AskedOf(org_id=ORG, tier="", user=USER, credential_id=KEY, model=MODEL, at_us=at_us)
    (state,) = await process.limits.states(asked)
    return state


def accepted(process: Process) -> list[TurnAccepted]:
    found = [decode(entry.kind, entry.payload) for entry in process.journal.read(0)]
    return [one for one in found if isinstance(one, TurnAccepted)]


def charged(process: Process) -> int:
    """Return what the journal says that all turns cost."""
    found = [decode(entry.kind, entry.payload) for entry in process.journal.read(0)]
    return sum(
        one.charge.cost_nano for one in found if isinstance(one, TurnCompleted | TurnInterrupted)
    )


async def most_a_turn_costs(taking: Taking) -> int:
    """Take a turn and return what was held back for it."""
    running = asyncio.ensure_future(taking.taken(a_turn()))
    await taking.answer("two")
    await running
    one = accepted(taking.process)[-1]
    assert one.output_tokens_reserved == OUTPUT_TOKENS_MAX
    assert one.cost_reserved_nano == 3 * one.input_tokens_reserved + 5 * OUTPUT_TOKENS_MAX + 11
    assert [hold.amount for hold in one.head.holds] == [one.cost_reserved_nano]
    return one.cost_reserved_nano


async def test_a_budget_admits_as_many_turns_as_it_is_worth(process: Process) -> None:
    taking = Taking(process)
    taking.prices.put([PRICE])
    await budget(process, 10**12)
    each = await most_a_turn_costs(taking)
    before = charged(process)
    assert 0 < before < each
    amount = before + WORTH * each
    await budget(process, amount)
    for _ in range(2):
        left = amount - charged(process)
        running = [asyncio.ensure_future(taking.taken(a_turn())) for _ in range(AT_ONCE)]
        for _ in range(left // each):
            await taking.answer("two")
        came = await asyncio.gather(*running, return_exceptions=True)
        refused = [one for one in came if isinstance(one, BaseException)]
        assert {type(one) for one in refused} == {LimitReached}
        assert len(came) - len(refused) == left // each
        assert taking.engine.jobs.empty()
        assert (await standing(process)).used == charged(process) <= amount
    assert len(accepted(process)) > 1 + WORTH  # what was held back for nothing came back


async def test_what_is_charged_is_never_more_than_what_was_held_back(process: Process) -> None:
    """Of an engine that says much in one piece and never how much."""
    taking = Taking(process)
    taking.prices.put([PRICE])
    await budget(process, 10**12)
    running = asyncio.ensure_future(taking.taken(a_turn()))
    delivery, writer = await taking.engine.jobs.get()
    say(writer, "words " * (2 * OUTPUT_TOKENS_MAX))
    end(delivery, writer)
    await running
    (one,) = accepted(process)
    assert charged(process) == one.cost_reserved_nano
    assert (await standing(process)).used == charged(process)


async def test_a_turn_that_a_crash_cut_short_gives_the_rest_back(
    node: Node, process: Process
) -> None:
    first = Taking(process)
    first.prices.put([PRICE])
    await budget(process, 10**12)
    streamed = msgspec.structs.replace(request("", "one", streamed=True), conversation_id=None)
    running = asyncio.ensure_future(first.taken(streamed))
    _, writer = await first.engine.jobs.get()
    say(writer, "some words")
    while not (left_open := first.left_open()):
        await asyncio.sleep(0.01)
    assert (await standing(process)).used == left_open[0].accepted.cost_reserved_nano
    second = Taking(process)
    second.prices.put([PRICE])
    await second.turns.recover(left_open)
    assert 0 < charged(process) < left_open[0].accepted.cost_reserved_nano
    assert (await standing(process)).used == charged(process)
    running.cancel()
    await first.tasks.cancel()
    await second.tasks.cancel()


@pytest.mark.parametrize("price", [None, msgspec.structs.replace(PRICE, currency="EUR")])
async def test_a_budget_is_about_turns_of_its_currency(
    process: Process, price: Price | None
) -> None:
    """Neither a model without a price nor one that is paid in another currency is held to it."""
    taking = Taking(process)
    taking.prices.put([price] if price is not None else [])
    await budget(process, 0)
    taken, _ = await asyncio.gather(taking.turns.take(a_turn()), taking.answer("two"))
    assert isinstance(taken, RunningTurn)
    assert taken.admission is None
    assert accepted(process)[0].head.holds == []
    assert (await standing(process)).used == 0
    if price is not None:
        assert charged(process) > 0
        taking.prices.put([msgspec.structs.replace(price, currency="USD", version=1)])
        with pytest.raises(LimitReached):
            await taking.turns.take(a_turn())


async def test_a_rule_in_another_currency_counts_anew(process: Process) -> None:
    """What was counted in dollars is no part of what may be spent in euros, by the same rule."""
    taking = Taking(process)
    taking.prices.put([PRICE])
    await budget(process, 10**12)
    await most_a_turn_costs(taking)
    admin = LimitsAdmin(process.postgres)
    (rule,) = [one for one in await admin.rules() if one.rule_id == "budget-usd"]
    await admin.set_rule(msgspec.structs.replace(rule, currency="EUR"))
    await process.limits.refresh()
    assert (await standing(process)).used == 0
    assert charged(process) > 0
