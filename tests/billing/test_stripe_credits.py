"""Stripe takes off what a credit note takes off, once, whether the invoice was paid or not."""

import pytest

from axon.app.settings import StripeSettings
from axon.app.stripe_telling import StripeTelling
from axon.billing import (
    Billing,
    StripeApi,
    StripeAway,
    StripeBills,
    StripeCrediting,
    Terms,
    UnknownInvoice,
    stripe_crediting,
)
from tests.billing.fake_stripe import KEY
from tests.billing.stripe_scene import AtStripe, at_stripe, fake

__all__ = ["at_stripe", "fake"]


@pytest.fixture
def crediting(at_stripe: AtStripe) -> StripeCrediting:
    bills = StripeBills(StripeApi(KEY, at_stripe.fake.url), Terms())
    return StripeCrediting(at_stripe.postgres, at_stripe.clock, bills)


async def test_a_credit_note_waits_for_its_invoice_and_is_told_once(
    at_stripe: AtStripe, billing: Billing, crediting: StripeCrediting
) -> None:
    await at_stripe.link()
    invoice = await at_stripe.month(billing)
    note = await billing.credit(invoice.name, 12, "an outage", "ticket-7")
    assert await crediting.run_round() == 0 and at_stripe.fake.billed.credits == {}
    settings = StripeSettings(key=KEY, base_url=at_stripe.fake.url)
    telling = StripeTelling(settings, at_stripe.postgres, at_stripe.clock)
    for _ in range(2):
        await telling.invoice()
    (there,) = at_stripe.fake.billed.credits.values()
    assert (there["amount"], there["credit_amount"]) == (12, 0)
    assert note.name in there["memo"]
    (standing,) = await at_stripe.invoicing.standing()
    assert standing.credited_minor == 12
    assert await at_stripe.invoicing.differences() == []
    there["amount"] = 13
    assert "credited" in (await at_stripe.invoicing.differences())[0][1]


@pytest.mark.failure("stripe", "down")
@pytest.mark.parametrize("how", ["unheard", "unanswered"])
async def test_a_call_that_is_cut_off_credits_nothing_twice(
    at_stripe: AtStripe, billing: Billing, crediting: StripeCrediting, how: str
) -> None:
    await at_stripe.link()
    invoice = await at_stripe.month(billing)
    await at_stripe.invoicing.run_round()
    for cut in range(3):
        await billing.credit(invoice.name, 5, "an outage", f"ticket-{cut}")
        countdown = iter([""] * cut + [how])
        at_stripe.fake.breaks = lambda call, left=countdown: next(left, "")  # type: ignore[misc]
        with pytest.raises(StripeAway):
            await crediting.run_round()
        at_stripe.fake.forget()
        assert await crediting.run_round() == 0
        assert [one["amount"] for one in at_stripe.fake.billed.credits.values()] == [5] * (cut + 1)
    assert await at_stripe.invoicing.differences() == []


async def test_what_was_paid_stands_to_the_customers_credit(
    at_stripe: AtStripe, billing: Billing, crediting: StripeCrediting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(stripe_crediting, "ROUND_NOTES_MAX", 1)
    await at_stripe.link()
    invoice = await at_stripe.month(billing)
    await at_stripe.invoicing.run_round()
    for number in range(2):
        await billing.credit(invoice.name, 5, "an outage", f"ticket-{number}")
    await crediting.run_round()
    next(iter(at_stripe.fake.billed.invoices.values()))["status"] = "paid"
    await crediting.run_round()
    assert [one["credit_amount"] for one in at_stripe.fake.billed.credits.values()] == [0, 5]
    assert await at_stripe.invoicing.differences() == []


@pytest.mark.failure("stripe", "refusing")
async def test_a_credit_that_stripe_refuses_is_named_and_told_again_when_asked(
    at_stripe: AtStripe, billing: Billing, crediting: StripeCrediting
) -> None:
    await at_stripe.link()
    invoice = await at_stripe.month(billing)
    await at_stripe.invoicing.run_round()
    (there,) = at_stripe.fake.billed.invoices.values()
    there["status"] = "uncollectible"
    note = await billing.credit(invoice.name, 5, "an outage", "ticket-7")
    assert await crediting.run_round() == 1
    assert await crediting.run_round() == 0
    (standing,) = await at_stripe.invoicing.standing()
    assert "neither open nor paid" in standing.error and standing.credited_minor == 0
    there["status"] = "open"
    await crediting.retry(note.name)
    assert await crediting.run_round() == 0
    assert (await at_stripe.invoicing.standing())[0].credited_minor == 5
    for name in (note.name, "CN-000009", "CN-", "x"):
        with pytest.raises(UnknownInvoice):
            await crediting.retry(name)
