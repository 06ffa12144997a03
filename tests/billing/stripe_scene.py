"""An organization whose closed months become invoices at the stand-in for Stripe."""

from collections.abc import Iterator

import pytest

from axon.billing import (
    Billing,
    Invoice,
    Linking,
    RejectedEvents,
    StripeApi,
    StripeBills,
    StripeInvoicing,
    StripeSync,
    Terms,
)
from axon.records import TokenUsage
from axon.stores import Postgres
from tests.billing.fake_stripe import KEY, FakeStripe, running
from tests.billing.scene import PRICE, Journal, SetClock
from tests.metering.scene import ORG, price

MONTH = "2026-11"


class AtStripe:
    """What makes a month into an invoice at Stripe."""

    def __init__(
        self, database: str, postgres: Postgres, clock: SetClock, fake: FakeStripe
    ) -> None:
        self.fake = fake
        self.clock = clock
        self.postgres = postgres
        self.sync = StripeSync(postgres, clock, StripeApi(KEY, fake.url))
        self.invoicing = self.another()
        self.rejected = RejectedEvents(postgres)
        prices = [PRICE, price(price_id="price_2", model="big"), price(price_id="p3", model="odd")]
        self.journal = Journal(database, prices)
        self.customer = ""

    def another(self, terms: Terms = Terms()) -> StripeInvoicing:  # noqa: B008 - it is frozen
        bills = StripeBills(StripeApi(KEY, self.fake.url), terms)
        return StripeInvoicing(self.postgres, self.clock, bills)

    async def link(self, org_id: str = ORG, invoices_from: str = MONTH) -> str:
        wanted = Linking(invoices_from=invoices_from, email="billing@acme.example")
        self.customer = await self.sync.link(org_id, "acme", wanted)
        return self.customer

    async def month(self, billing: Billing, month: str = MONTH, org_id: str = ORG) -> Invoice:
        """Close a month of three models, whose amounts are no whole cents."""
        for number, model in enumerate(("small", "small", "big", "odd"), 1):
            usage = TokenUsage(input_tokens=17_333 * number, output_tokens=3_001 * number)
            at = f"{month}-0{number}"
            self.journal.turn(at, model=model, usage=usage, org_id=org_id)
        await self.journal.project()
        (done,) = await billing.close(month, org_id)
        (invoice,) = done.invoices
        return invoice

    def statuses(self) -> list[str]:
        return [str(one["status"]) for one in self.fake.billed.invoices.values()]

    async def start_over(self) -> None:
        """Forget all that was told, on both sides."""
        self.fake.billed.invoices.clear()
        self.fake.billed.items.clear()
        self.fake.forget()
        self.fake.calls.clear()
        async with self.postgres.connection(5) as connection:
            await connection.execute("DELETE FROM billing.stripe_invoices")


@pytest.fixture
def fake(clock: SetClock) -> Iterator[FakeStripe]:
    with running(FakeStripe(now=lambda: clock.now_us() // 1_000_000)) as answering:
        yield answering


@pytest.fixture
def at_stripe(database: str, postgres: Postgres, clock: SetClock, fake: FakeStripe) -> AtStripe:
    return AtStripe(database, postgres, clock, fake)
