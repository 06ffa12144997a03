"""Whatever comes, in whatever order, each turn is on one final invoice and the sums agree."""

import random

import asyncpg
import pytest

from axon.base import SystemClock
from axon.billing import Billing, Invoice, Invoices
from axon.metering import Prices, Rates, Rerating, rerate
from axon.records import Hold
from axon.stores import Postgres
from tests.billing.scene import Journal, SetClock, followed, set_zone, us
from tests.metering.scene import MODEL, ORG, price

MONTHS = [
    *(f"2026-{month:02d}" for month in range(8, 13)),
    *(f"2027-{month:02d}" for month in range(1, 13)),
]
"""The last ones come after every turn, for what is late."""

MONTHS_OF_TURNS = 5
ZONES = ("UTC", "Europe/Madrid", "Pacific/Kiritimati", "Etc/GMT+12", "America/Sao_Paulo")
FIRST_US, LAST_US = us("2026-08-03"), us("2026-12-30")
STEPS = 60
EUR = "in-euro"


class Life:
    """An organization's half year, one random step after the other."""

    def __init__(self, seed: int, database: str, postgres: Postgres, parts: "Parts") -> None:
        self.draw = random.Random(seed)
        self.database, self.postgres = database, postgres
        self.billing, self.invoices, self.prices = parts
        self.journals: list[Journal] = []
        self.closed: list[str] = []

    async def begin(self) -> None:
        await self.prices.set_all([price(effective_from_us=1)])
        await self.prices.set_all([price(model=EUR, currency="EUR", effective_from_us=1)])
        known = await self.prices.list_all()
        self.journals = [Journal(self.database, known, name) for name in ("one", "two")]
        self.journals[0].turn(FIRST_US)
        await self.journals[0].project()

    async def step(self) -> None:
        steps = [self.turns] * 4 + [self.project] * 3 + [self.close] * 2
        await self.draw.choice([*steps, self.rerate, self.void, self.zone, self.replay])()

    async def turns(self) -> None:
        for _ in range(self.draw.randrange(1, 12)):
            at_us = self.draw.randrange(FIRST_US, LAST_US)
            model = self.draw.choice((MODEL, MODEL, EUR))
            self.draw.choice(self.journals).turn(at_us, model=model, holds=self.holds())

    def holds(self) -> list[Hold]:
        """Return limits of which some are passed, each dearer beyond than it is within."""
        within, percent = self.draw.randrange(200), self.draw.randrange(1, 300)
        tokens = Hold("a", "tokens", "month", 1, 9, within=within, overage_percent=percent)
        requests = Hold("b", "requests", "day", 1, 1, within=within % 2, overage_percent=1)
        return [tokens, requests][: self.draw.randrange(3)]

    async def project(self) -> None:
        journal = self.draw.choice(self.journals)
        ahead = range(max(1, len(journal.ends) - 5), len(journal.ends) + 1)
        await journal.project(park=[one for one in ahead if self.draw.random() < 0.1])

    async def replay(self) -> None:
        for journal in self.journals:
            await journal.replay_parked()

    async def close(self) -> None:
        if len(self.closed) < len(MONTHS) - 1:
            month = MONTHS[len(self.closed)]
            for _ in range(2):  # the second changes nothing
                (done,) = await self.billing.close(month)
                assert done.outcome in ("closed", "already closed"), done.reason
            self.closed.append(month)

    async def rerate(self) -> None:
        rates = Rates(
            input=self.draw.randrange(10**10), output=self.draw.randrange(10**10), reasoning=3
        )
        begins_us = self.draw.randrange(FIRST_US, LAST_US)
        await self.prices.set_all([price(price_id="", rates=rates, effective_from_us=begins_us)])
        known = await self.prices.list_all()
        for journal in self.journals:
            journal.book.put(known)
        what = Rerating(from_us=0, to_us=us("2027-06-01"))
        await rerate(self.postgres, SystemClock(), what, apply=True)

    async def void(self) -> None:
        issued = await self.invoices.list_all(states=("final",))
        newest = [one for one in issued if self.closed and one.month == self.closed[-1]]
        if newest:
            await self.billing.void(newest[0].name, "to be done again")
            self.closed.pop()

    async def zone(self) -> None:
        await set_zone(self.database, ORG, self.draw.choice(ZONES))

    async def end(self) -> list[Invoice]:
        """Bring everything in, close every month, and return the final invoices."""
        for journal in self.journals:
            await journal.project()
        await self.replay()
        while len(self.closed) < MONTHS_OF_TURNS:
            await self.close()
        await self.billing.close(MONTHS[len(self.closed)])  # what came late for the others
        listed = await self.invoices.list_all(states=("final",))
        return [await self.invoices.read(one.invoice_id) for one in listed]


Parts = tuple[Billing, Invoices, Prices]


@pytest.mark.parametrize("seed", range(10))
async def test_every_turn_is_billed_once(
    seed: int, database: str, postgres: Postgres, billing: Billing, invoices: Invoices,
    prices: Prices, clock: SetClock,
) -> None:  # fmt: skip
    clock.set("2028-03-01")
    life = Life(seed, database, postgres, (billing, invoices, prices))
    await life.begin()
    for _ in range(STEPS):
        await life.step()
    final = await life.end()

    billed: dict[str, int] = {}
    overage: dict[str, int] = {}
    turns: list[str] = []
    for invoice in final:
        billed[invoice.currency] = billed.get(invoice.currency, 0) + invoice.amount_nano
        found = await followed(invoices, invoice)
        for line in invoice.lines:
            turns += found[line.line] if line.kind == "request" else []
            if line.kind == "overage":
                of_line = overage.get(invoice.currency, 0) + line.amount_nano
                overage[invoice.currency] = of_line
    written = [end.head.turn_id for journal in life.journals for end in journal.ends]
    assert sorted(turns) == sorted(written)
    charges = [end.charge for journal in life.journals for end in journal.ends]
    assert overage == {
        currency: sum(one.overage_nano for one in charges if one.currency == currency)
        for currency in ("USD", "EUR")
    }

    connection = await asyncpg.connect(database)
    metered = await connection.fetch(
        "SELECT currency, sum(cost_nano)::bigint AS cost_nano FROM (SELECT currency, cost_nano"
        " FROM metering.turns UNION ALL SELECT currency, cost_nano FROM metering.corrections)"
        " AS charged GROUP BY currency"
    )
    numbers = await connection.fetch("SELECT number FROM billing.invoices ORDER BY number")
    await connection.close()
    assert billed == {row["currency"]: row["cost_nano"] for row in metered}
    assert [row["number"] for row in numbers] == list(range(1, len(numbers) + 1))
