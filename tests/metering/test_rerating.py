"""Charging again appends what changes, once, and every sum follows."""

import asyncpg
import pytest

from axon.base import SystemClock
from axon.metering import PriceBook, Prices, Rates, Rerating, Usage, UsageQuestion, rerate, rerating
from axon.records import Hold, TokenUsage
from axon.stores import Postgres
from tests.metering.scene import (
    DAY_US,
    MODEL,
    ORG,
    OTHER_ORG,
    START_US,
    charged,
    ended,
    many,
    positioned,
    price,
    project,
    tables,
)

FROM = Rerating(from_us=0, to_us=START_US + 100 * DAY_US)


async def cost(usage: Usage, org_id: str) -> dict[str, int]:
    """Return what an organization owes by the sums, by currency."""
    question = UsageQuestion(
        org_id=org_id, start_us=START_US, end_us=START_US + 45 * DAY_US, width="month"
    )
    found: dict[str, int] = {}
    for one in (await usage.ask(question)).sums:
        found[one.currency] = found.get(one.currency, 0) + one.cost_nano
    return found


@pytest.mark.parametrize("page_turns", [7, 2000])
async def test_a_rerating_is_shown_applied_and_then_done(
    monkeypatch: pytest.MonkeyPatch,
    page_turns: int,
    database: str,
    postgres: Postgres,
    prices: Prices,
    usage: Usage,
) -> None:
    monkeypatch.setattr(rerating, "PAGE_TURNS", page_turns)
    records = many(150, 3, PriceBook([price()]))
    await project(database, positioned(records))
    before = await tables(database)
    rates = Rates(input=1_000_000, output=2_000_000_000)
    await prices.set_all([price(price_id="", rates=rates, effective_from_us=START_US)])
    dear = price(price_id="", model="unpriced", effective_from_us=START_US, currency="EUR")
    await prices.set_all([dear])

    clock = SystemClock()
    shown = await rerate(postgres, clock, FROM, apply=False)
    assert await tables(database) == before
    assert {one.org_id for one in shown} == {ORG, OTHER_ORG}
    assert await rerate(postgres, clock, FROM, apply=True) == shown

    again = await rerate(postgres, clock, FROM, apply=True)
    assert [one.turns for one in again] == [0] * len(again)
    after = await tables(database)
    assert after["turns"] == before["turns"]

    book = PriceBook(await prices.list_all())
    for org_id in (ORG, OTHER_ORG):
        mine = [one for one in many(150, 3, book) if one.head.org_id == org_id]
        wanted = {key: value for key, value in charged(mine).items() if value}
        found = {key: value for key, value in (await cost(usage, org_id)).items() if value}
        assert found == wanted
        told = {one.currency: one.after_nano for one in shown if one.org_id == org_id}
        assert {key: value for key, value in told.items() if value} == wanted


async def test_overage_keeps_its_part_of_the_cost(
    database: str, postgres: Postgres, prices: Prices, usage: Usage
) -> None:
    """What went beyond a limit is a fact of the turn; what that costs follows its price."""
    plain = Rates(input=1_000_000, output=1_000_000)
    book = PriceBook([price(rates=plain, per_request=0, tiers=())])
    beyond = Hold("a", "tokens", "month", 1, 9, within=60, overage_percent=50)
    turn = ended(
        "chatcmpl_1",
        book,
        usage=TokenUsage(input_tokens=70, output_tokens=30),
        holds=[beyond],
    )
    assert (turn.charge.cost_nano, turn.charge.overage_nano) == (120, 20)
    await project(database, positioned([turn]))
    for rate, wanted in ((2, (240, 40)), (1, (120, 20)), (7, (840, 140))):
        rates = Rates(input=rate * 1_000_000, output=rate * 1_000_000)
        dearer = price(price_id="", effective_from_us=1, rates=rates, per_request=0, tiers=())
        await prices.set_all([dearer])
        await rerate(postgres, SystemClock(), FROM, apply=True)
        question = UsageQuestion(org_id=ORG, start_us=START_US, end_us=START_US + 1, width="month")
        (found,) = (await usage.ask(question)).sums
        assert (found.cost_nano, found.overage_nano) == wanted
        (again,) = await rerate(postgres, SystemClock(), FROM, apply=True)
        assert (again.turns, again.after_nano) == (0, wanted[0])


async def test_only_what_was_asked_for_is_charged_again(
    database: str, postgres: Postgres, prices: Prices
) -> None:
    book = PriceBook([price(), price(price_id="price_2", model="large")])
    records = many(100, 4, book)
    await project(database, positioned(records))
    middle_us = START_US + 20 * DAY_US
    what = Rerating(
        from_us=middle_us, to_us=START_US + 100 * DAY_US, model=MODEL, org_id=ORG
    )  # there is no price in the database: everything is free
    await rerate(postgres, SystemClock(), what, apply=True)
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        "SELECT turn_id, sum(cost_nano) AS cost FROM metering.corrections GROUP BY turn_id"
    )
    await connection.close()
    mine = {
        one.head.turn_id: -one.charge.cost_nano
        for one in records
        if one.head.org_id == ORG and one.head.model == MODEL
        and one.head.accepted_us >= middle_us and one.charge.cost_nano
    }  # fmt: skip
    assert mine and {row["turn_id"]: row["cost"] for row in rows} == mine


@pytest.mark.parametrize("currencies", [("USD", "EUR", "USD")])
async def test_a_change_of_currency_and_back_leaves_the_first_cost(
    database: str, postgres: Postgres, prices: Prices, usage: Usage, currencies: tuple[str, ...]
) -> None:
    records = many(30, 9, PriceBook([price()]))
    await project(database, positioned(records))
    mine = [one for one in records if one.head.org_id == ORG]
    for currency in currencies:
        await prices.set_all([price(price_id="", effective_from_us=1, currency=currency)])
        await rerate(postgres, SystemClock(), FROM, apply=True)
        found = {key: value for key, value in (await cost(usage, ORG)).items() if value}
        assert found == {currency: charged(mine)["USD"]}
