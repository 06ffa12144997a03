"""Stripe asks for what a closed invoice asks for: once, to the cent, whatever happens meanwhile."""

import asyncio
import signal
import subprocess
import sys

import pytest

from axon.app.settings import StripeSettings
from axon.app.stripe_telling import StripeTelling
from axon.billing import (
    Billing,
    InvoicesTold,
    Linking,
    MonthWrong,
    StripeApi,
    StripeAway,
    StripeBills,
    StripeInvoicing,
    StripeUnset,
    Terms,
    UnknownInvoice,
    stripe_invoicing,
)
from tests.billing.fake_stripe import KEY, FakeStripe, running
from tests.billing.localstripe_process import running_localstripe
from tests.billing.scene import SetClock
from tests.billing.stripe_scene import MONTH, AtStripe, at_stripe, fake
from tests.metering.scene import ORG, OTHER_ORG

__all__ = ["at_stripe", "fake"]

Process = subprocess.Popen[bytes]


async def test_a_closed_month_is_asked_for_once_and_to_the_cent(
    at_stripe: AtStripe, billing: Billing
) -> None:
    customer = await at_stripe.link()
    invoice = await at_stripe.month(billing)
    told = await at_stripe.invoicing.run_round()
    assert told == InvoicesTold(gathered=1, made=1)
    assert at_stripe.fake.billed.asked_for(customer) == {invoice.invoice_id: invoice.total_minor}
    (there,) = at_stripe.fake.billed.invoices.values()
    assert there["metadata"]["axon_number"] == invoice.name in there["description"]
    assert (there["collection_method"], there["days_until_due"]) == ("send_invoice", "30")
    items = [*at_stripe.fake.billed.items.values()]
    assert {one["description"].split(",")[0] for one in items} == {"small", "big", "odd"}
    calls = len(at_stripe.fake.calls)
    assert await at_stripe.invoicing.run_round() == InvoicesTold()
    assert len(at_stripe.fake.calls) == calls, "nothing is asked when nothing is due"
    (standing,) = await at_stripe.invoicing.standing(ORG)
    assert (standing.state, standing.stripe_id, standing.error) == ("final", there["id"], "")
    assert standing.invoice.invoice_id == invoice.invoice_id
    assert await at_stripe.invoicing.standing(OTHER_ORG) == []
    assert await at_stripe.invoicing.differences() == []


@pytest.mark.failure("stripe", "down")
@pytest.mark.parametrize("how", ["unheard", "unanswered"])
@pytest.mark.parametrize("forgotten", [False, True])
async def test_a_call_that_is_cut_off_anywhere_asks_for_nothing_twice(
    at_stripe: AtStripe, billing: Billing, how: str, forgotten: bool
) -> None:
    """Every call of a round is cut off in turn: also as if we had been killed after it."""
    customer = await at_stripe.link()
    invoice = await at_stripe.month(billing)
    await at_stripe.invoicing.run_round()
    await at_stripe.start_over()
    await at_stripe.another().run_round()
    calls = len(at_stripe.fake.calls)
    assert calls > 8
    for cut in range(calls):
        await at_stripe.start_over()
        countdown = iter([""] * cut + [how])
        at_stripe.fake.breaks = lambda call, left=countdown: next(left, "")  # type: ignore[misc]
        with pytest.raises(StripeAway):
            await at_stripe.another().run_round()
        if forgotten:
            at_stripe.fake.forget()
        told = await at_stripe.another().run_round()
        assert (told.made, told.refused, told.due) == (1, 0, 0), cut
        asked = at_stripe.fake.billed.asked_for(customer)
        assert asked == {invoice.invoice_id: invoice.total_minor}, cut
        assert len(at_stripe.fake.billed.invoices) == 1, cut


async def test_a_killed_process_leaves_what_the_next_one_finishes(
    database: str, at_stripe: AtStripe, billing: Billing
) -> None:
    """SIGKILL while Stripe reads a call, and while it answers one; three times in one invoice."""
    customer = await at_stripe.link()
    invoice = await at_stripe.month(billing)
    command = [sys.executable, "-m", "tests.billing.telling", database, at_stripe.fake.url]
    for how, last in (("unheard", "items"), ("unanswered", "items"), ("unanswered", "finalize")):
        process = await asyncio.to_thread(subprocess.Popen, command)

        def kill(call: str, process: Process = process, how: str = how, last: str = last) -> str:
            if call.startswith("POST") and call.endswith(last):
                process.kill()
                process.wait()
                return how
            return ""

        at_stripe.fake.breaks = kill
        assert await asyncio.to_thread(process.wait) == -signal.SIGKILL, last
        assert [one.state for one in await at_stripe.invoicing.standing()] == ["due"]
    at_stripe.fake.breaks = lambda call: ""
    assert at_stripe.fake.billed.asked_for(customer) == {invoice.invoice_id: invoice.total_minor}
    assert await asyncio.to_thread(subprocess.call, command) == 0
    assert [one.state for one in await at_stripe.invoicing.standing()] == ["final"]
    assert len(at_stripe.fake.billed.invoices) == 1 and len(at_stripe.fake.billed.items) == 3


async def test_a_database_from_a_backup_asks_for_nothing_twice(
    at_stripe: AtStripe, billing: Billing
) -> None:
    customer = await at_stripe.link()
    invoice = await at_stripe.month(billing)
    await at_stripe.invoicing.run_round()
    async with at_stripe.postgres.connection(5) as connection:
        await connection.execute("DELETE FROM billing.stripe_invoices")
    at_stripe.fake.forget()
    assert (await at_stripe.invoicing.run_round()).made == 1
    assert at_stripe.fake.billed.asked_for(customer) == {invoice.invoice_id: invoice.total_minor}
    assert len(at_stripe.fake.billed.invoices) == 1


async def test_several_at_once_ask_once(at_stripe: AtStripe, billing: Billing) -> None:
    customer = await at_stripe.link()
    invoice = await at_stripe.month(billing)
    await asyncio.gather(*(at_stripe.another().run_round() for _ in range(4)))
    assert at_stripe.fake.billed.asked_for(customer) == {invoice.invoice_id: invoice.total_minor}
    assert [one.state for one in await at_stripe.invoicing.standing()] == ["final"]


@pytest.mark.failure("stripe", "down")
async def test_while_stripe_is_down_invoices_are_due_and_nothing_else_waits(
    at_stripe: AtStripe, billing: Billing
) -> None:
    """The scheduler's own task, as often as it is tried."""
    customer = await at_stripe.link()
    settings = StripeSettings(key=KEY, base_url=at_stripe.fake.url)
    telling = StripeTelling(settings, at_stripe.postgres, at_stripe.clock)
    at_stripe.fake.down = True
    invoice = await at_stripe.month(billing)
    for _ in range(3):
        with pytest.raises(StripeAway):
            await telling.invoice()
    assert [one.state for one in await at_stripe.invoicing.standing()] == ["due"]
    at_stripe.fake.down = False
    await telling.invoice()
    assert at_stripe.fake.billed.asked_for(customer) == {invoice.invoice_id: invoice.total_minor}


async def test_the_scheduler_tells_more_than_a_round(
    at_stripe: AtStripe, billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_invoicing, "ROUND_INVOICES_MAX", 1)
    await at_stripe.link(invoices_from="2026-09")
    for month in ("2026-08", "2026-09", "2026-10"):
        await at_stripe.month(billing, month)
    settings = StripeSettings(
        key=KEY, base_url=at_stripe.fake.url, collection="charge_automatically"
    )
    await StripeTelling(settings, at_stripe.postgres, at_stripe.clock).invoice()
    there = [*at_stripe.fake.billed.invoices.values()]
    assert [one["description"][-7:] for one in there] == ["2026-09", "2026-10"]
    assert at_stripe.statuses() == ["open", "open"]
    assert {one["collection_method"] for one in there} == {"charge_automatically"}


async def test_only_months_that_were_asked_for_are_told(
    at_stripe: AtStripe, billing: Billing
) -> None:
    await at_stripe.link(invoices_from="")
    await at_stripe.month(billing, "2026-10")
    assert await at_stripe.invoicing.run_round() == InvoicesTold()
    await at_stripe.link(invoices_from=MONTH)
    assert await at_stripe.invoicing.run_round() == InvoicesTold()
    await at_stripe.month(billing)
    await at_stripe.sync.link(ORG, "acme")
    assert (await at_stripe.invoicing.run_round()).made == 1
    with pytest.raises(MonthWrong):
        await at_stripe.link(invoices_from="soon")


@pytest.mark.failure("stripe", "refusing")
async def test_what_a_subscription_asks_for_is_not_asked_for_again(
    at_stripe: AtStripe, billing: Billing
) -> None:
    customer = await at_stripe.link()
    invoice = await at_stripe.month(billing)
    meter = at_stripe.fake.make_meter(
        {"display_name": "", "event_name": "axon_cost_nano_usd", "default_aggregation": {}}
    )
    recurring = [None, {"meter": "mtr_other"}, {"meter": meter["id"]}]
    items = [{"id": f"si_{at}", "price": {"recurring": one}} for at, one in enumerate(recurring)]
    subscription = {"id": "sub_1", "customer": customer, "items": {"data": items}}
    at_stripe.fake.billed.subscriptions.append(subscription)
    assert (await at_stripe.invoicing.run_round()).refused == 1
    (standing,) = await at_stripe.invoicing.standing()
    assert standing.state == "refused" and "subscription" in standing.error
    assert await at_stripe.invoicing.run_round() == InvoicesTold() and at_stripe.statuses() == []
    at_stripe.fake.billed.subscriptions.clear()
    await at_stripe.invoicing.retry(invoice.name)
    assert (await at_stripe.invoicing.run_round()).made == 1
    with pytest.raises(UnknownInvoice):
        await at_stripe.invoicing.retry(invoice.name)


@pytest.mark.failure("stripe", "lying")
async def test_a_draft_that_comes_to_something_else_is_not_asked_for(
    at_stripe: AtStripe, billing: Billing
) -> None:
    """Somebody has put something onto it at Stripe; and another organization does not wait."""
    await at_stripe.link()
    invoice = await at_stripe.month(billing)
    await at_stripe.link(OTHER_ORG)
    other = await at_stripe.month(billing, org_id=OTHER_ORG)
    countdown = iter([""] * 6 + ["unheard"])
    at_stripe.fake.breaks = lambda call: next(countdown, "")
    with pytest.raises(StripeAway):
        await at_stripe.invoicing.run_round()
    (draft,) = at_stripe.fake.billed.invoices.values()
    draft["inherited"] = 7
    told = await at_stripe.invoicing.run_round()
    assert (told.made, told.refused, told.due) == (1, 1, 0)
    wrong = next(one for one in await at_stripe.invoicing.standing(ORG))
    assert f"{invoice.total_minor + 7} USD" in wrong.error and draft["status"] == "draft"
    draft["inherited"] = 0
    await at_stripe.invoicing.retry(invoice.name)
    assert (await at_stripe.invoicing.run_round()).made == 1
    assert sorted(at_stripe.statuses()) == ["open", "open"] and other.total_minor > 0


@pytest.mark.failure("stripe", "refusing")
async def test_what_stripe_refuses_is_named_and_told_again_when_corrected(
    at_stripe: AtStripe, billing: Billing
) -> None:
    """A customer without an address: Stripe sends it no invoice."""
    customer = await at_stripe.sync.link(ORG, "acme", Linking(invoices_from=MONTH))
    invoice = await at_stripe.month(billing)
    assert (await at_stripe.invoicing.run_round()).refused == 1
    assert "Missing email" in (await at_stripe.invoicing.standing())[0].error
    at_stripe.fake.customers[customer]["email"] = "billing@acme.example"
    await at_stripe.invoicing.retry(invoice.name)
    assert (await at_stripe.invoicing.run_round()).made == 1


async def test_nothing_is_inherited_from_the_customer(
    at_stripe: AtStripe, billing: Billing
) -> None:
    at_stripe.fake.billed.inherits = -50
    customer = await at_stripe.link()
    invoice = await at_stripe.month(billing)
    assert (await at_stripe.invoicing.run_round()).made == 1
    assert at_stripe.fake.billed.asked_for(customer) == {invoice.invoice_id: invoice.total_minor}


async def test_a_void_invoice_is_taken_back(at_stripe: AtStripe, billing: Billing) -> None:
    customer = await at_stripe.link()
    first = await at_stripe.month(billing)
    await at_stripe.invoicing.run_round()
    await billing.void(first.name, "wrong price")
    assert (await at_stripe.invoicing.run_round()).voided == 1
    assert at_stripe.statuses() == ["void"]
    (again,) = await billing.close(MONTH, ORG)
    (second,) = again.invoices
    at_stripe.fake.breaks = lambda call: "unheard" if call.endswith("finalize") else ""
    with pytest.raises(StripeAway):
        await at_stripe.invoicing.run_round()
    at_stripe.fake.breaks = lambda call: ""
    await billing.void(second.name, "wrong again")
    assert (await at_stripe.invoicing.run_round()).voided == 1
    assert at_stripe.statuses() == ["void"], "a draft is deleted"
    (third,) = (await billing.close(MONTH, ORG))[0].invoices
    assert (await at_stripe.invoicing.run_round()).made == 1
    assert at_stripe.fake.billed.asked_for(customer) == {third.invoice_id: third.total_minor}
    assert await at_stripe.invoicing.differences() == []


async def test_a_void_invoice_that_was_refused_leaves_nothing_at_stripe(
    at_stripe: AtStripe, billing: Billing
) -> None:
    at_stripe.fake.breaks = lambda call: "unheard" if call.endswith("invoiceitems") else ""
    await at_stripe.link()
    invoice = await at_stripe.month(billing)
    with pytest.raises(StripeAway):
        await at_stripe.invoicing.run_round()
    next(iter(at_stripe.fake.billed.invoices.values()))["inherited"] = 7
    at_stripe.fake.breaks = lambda call: ""
    assert (await at_stripe.invoicing.run_round()).refused == 1
    assert at_stripe.statuses() == ["draft"]
    at_stripe.clock.set("2026-12-15T13:00")
    await billing.void(invoice.name, "wrong price")
    assert (await at_stripe.invoicing.run_round()).voided == 1
    assert at_stripe.statuses() == []
    assert await at_stripe.invoicing.run_round() == InvoicesTold()


@pytest.mark.failure("stripe", "refusing")
async def test_what_was_paid_cannot_be_taken_back_and_is_named(
    at_stripe: AtStripe, billing: Billing
) -> None:
    await at_stripe.link()
    invoice = await at_stripe.month(billing)
    await at_stripe.invoicing.run_round()
    (there,) = at_stripe.fake.billed.invoices.values()
    there["status"] = "paid"
    await billing.void(invoice.name, "wrong price")
    assert (await at_stripe.invoicing.run_round()).refused == 1
    assert await at_stripe.invoicing.run_round() == InvoicesTold(), "it is not tried for ever"
    (standing,) = await at_stripe.invoicing.standing()
    assert "void open invoices" in standing.error and standing.stripe_id == there["id"]


@pytest.mark.failure("stripe", "lying")
async def test_what_became_something_else_at_stripe_is_named(
    at_stripe: AtStripe, billing: Billing
) -> None:
    customer = await at_stripe.link()
    await at_stripe.month(billing)
    await at_stripe.invoicing.run_round()
    (there,) = at_stripe.fake.billed.invoices.values()
    there["inherited"] = -1
    ((one, why),) = await at_stripe.invoicing.differences()
    assert one.stripe_id == there["id"] and "comes to" in why
    there.update(inherited=0, status="void")
    assert "is void" in (await at_stripe.invoicing.differences())[0][1]
    there["status"] = "open"
    at_stripe.fake.billed.invoices["in_again"] = {**there, "id": "in_again"}
    assert "ask for it" in (await at_stripe.invoicing.differences(ORG))[0][1]
    with pytest.raises(AssertionError, match="twice"):
        at_stripe.fake.billed.asked_for(customer)


@pytest.mark.failure("stripe", "wrong-password")
async def test_a_wrong_key_refuses_no_invoice(at_stripe: AtStripe, billing: Billing) -> None:
    await at_stripe.link()
    await at_stripe.month(billing)
    bills = StripeBills(StripeApi("sk_test_other", at_stripe.fake.url), Terms())
    with pytest.raises(StripeUnset):
        await StripeInvoicing(at_stripe.postgres, at_stripe.clock, bills).run_round()
    assert [one.state for one in await at_stripe.invoicing.standing()] == ["due"]
    assert (await at_stripe.invoicing.run_round()).made == 1


async def test_localstripe_takes_what_we_make(
    database: str, at_stripe: AtStripe, billing: Billing, clock: SetClock
) -> None:
    """The stand-in asks it first: customer, draft and items are made there too."""
    with running_localstripe(KEY) as localstripe:
        behind = FakeStripe(now=lambda: clock.now_us() // 1_000_000, behind=localstripe)
        with running(behind):
            there = AtStripe(database, at_stripe.postgres, clock, behind)
            customer = await there.link()
            invoice = await there.month(billing)
            assert (await there.invoicing.run_round()).made == 1
        known = localstripe.ask("GET", f"/v1/customers/{customer}")
        assert known["metadata"] == {"axon_org_id": ORG}
        items = [localstripe.ask("GET", f"/v1/invoiceitems/{name}") for name in behind.billed.items]
        assert sum(item["amount"] for item in items) == invoice.total_minor
        (draft,) = {item["invoice"] for item in items}
        shown = localstripe.ask("GET", f"/v1/invoices/{draft}")
        assert shown["description"] == f"{invoice.name}, {MONTH}"
        assert {item["customer"] for item in items} == {customer} == {shown["customer"]}
