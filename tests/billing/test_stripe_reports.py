"""What Stripe sends is believed when it is signed, and what it rejected is told again."""

import json
import time
from collections.abc import AsyncIterator

import pytest
import stripe

from axon.billing import (
    BillingUnavailable,
    EventUnreadable,
    Reports,
    SignatureWrong,
    StripeWebhook,
)
from axon.billing.stripe_rejected import REJECTED_MAX
from axon.billing.stripe_reports import FORGOTTEN_AFTER_US, SIGNED_WITHIN_S
from axon.stores import Postgres
from tests.billing.fake_stripe import FakeStripe
from tests.billing.scene import SetClock
from tests.billing.stripe_scene import AtStripe, at_stripe, fake
from tests.metering.scene import ORG, OTHER_ORG

__all__ = ["at_stripe", "fake"]

SECRET = "whsec_" + "7" * 32
REPORT = "v1.billing.meter.error_report_triggered"


@pytest.fixture
def webhook(postgres: Postgres, clock: SetClock) -> StripeWebhook:
    return StripeWebhook(postgres, clock, SECRET)


def event(event_id: str = "evt_1", kind: str = REPORT) -> str:
    return json.dumps({"id": event_id, "object": "v2.core.event", "type": kind, "data": None})


def signed(body: str, secret: str = SECRET, age_s: int = 0) -> str:
    at = int(time.time()) - age_s
    header: str = stripe.WebhookSignature.generate_signature_header(body, secret, at)
    return header


async def received(postgres: Postgres) -> list[str]:
    async with postgres.connection(5) as connection:
        rows = await connection.fetch("SELECT report_id FROM billing.stripe_reports ORDER BY 1")
    return [row["report_id"] for row in rows]


async def test_a_signed_report_is_kept_once_and_anything_else_ignored(
    postgres: Postgres, webhook: StripeWebhook
) -> None:
    for _ in range(3):  # Stripe sends it again, or somebody does
        assert await webhook.take(event().encode(), signed(event()))
    missing = event("evt_2", "v1.billing.meter.no_meter_found")
    assert await webhook.take(missing.encode(), signed(missing))
    other = event("evt_3", "invoice.paid")
    assert not await webhook.take(other.encode(), signed(other))
    assert await received(postgres) == ["evt_1", "evt_2"]


@pytest.mark.failure("stripe", "lying")
async def test_what_stripe_has_not_signed_now_is_refused(
    postgres: Postgres, webhook: StripeWebhook
) -> None:
    body = event()
    wrong = [
        None,
        "",
        "t=,v1=",
        "t=1",
        signed(body, "whsec_other"),
        signed(event("evt_2")),
        signed(body).replace("v1=", "v0="),
        signed(body, age_s=SIGNED_WITHIN_S + 1),
    ]
    for signature in wrong:
        with pytest.raises(SignatureWrong):
            await webhook.take(body.encode(), signature)
    with pytest.raises(SignatureWrong):
        await webhook.take(b"\xff" + body.encode(), signed(body))
    with pytest.raises(SignatureWrong):
        await StripeWebhook(postgres, SetClock("2026-11-10"), " ").take(b"{}", signed("{}", " "))
    for unreadable in ("[]", "{", '{"type": "x"}', event(""), event("a\0"), event("x" * 256)):
        with pytest.raises(EventUnreadable):
            await webhook.take(unreadable.encode(), signed(unreadable))
    assert await received(postgres) == []


@pytest.fixture
async def nowhere(clock: SetClock) -> AsyncIterator[Postgres]:
    away = Postgres("postgresql://axon@127.0.0.1:1/axon")
    await away.start()
    yield away
    await away.stop()


async def test_without_postgresql_stripe_is_to_send_it_again(
    nowhere: Postgres, clock: SetClock
) -> None:
    with pytest.raises(BillingUnavailable):
        await StripeWebhook(nowhere, clock, SECRET).take(event().encode(), signed(event()))


async def rejected_hour(at_stripe: AtStripe, webhook: StripeWebhook) -> str:
    """Tell an hour that Stripe takes and cannot use; return the report's id, which it sends."""
    await at_stripe.link()
    at_stripe.clock.set("2026-12-15T14:00")
    at_stripe.journal.turn("2026-12-15T12:30")
    await at_stripe.journal.project()
    at_stripe.fake.rejects = lambda event: True
    assert (await at_stripe.sync.run_round()).sent == 1
    report_id = str(at_stripe.fake.reports[-1]["id"])
    assert await webhook.take(event(report_id).encode(), signed(event(report_id)))
    return report_id


@pytest.mark.failure("stripe", "refusing")
async def test_what_a_report_names_is_told_again_and_read_once(
    at_stripe: AtStripe, webhook: StripeWebhook, fake: FakeStripe
) -> None:
    report_id = await rejected_hour(at_stripe, webhook)
    hidden = fake.reports.copy()
    for report in hidden:  # the list of reports no longer has it; what was sent is enough
        report["related_object"] = {"id": "mtr_0", "type": "billing.meter", "url": "/"}
    fake.rejects = lambda event: False
    told = await at_stripe.sync.run_round()
    assert (told.rejected, told.sent, told.due) == (1, 1, 0)
    assert fake.total("axon_cost_nano_usd") == at_stripe.journal.cost()
    for _ in range(2):
        assert (await at_stripe.sync.run_round()).rejected == 0
    assert fake.calls.count(f"GET /v2/core/events/{report_id}") == 1
    (rejected,) = await at_stripe.rejected.list_all(ORG)
    assert rejected.value_nano == at_stripe.journal.cost() and rejected.told_again
    assert rejected.error.startswith("meter_event_value_not_found")
    assert await at_stripe.rejected.list_all(OTHER_ORG) == []


@pytest.mark.failure("stripe", "refusing")
async def test_what_was_given_up_is_told_again_once_it_is_corrected(
    at_stripe: AtStripe, webhook: StripeWebhook, fake: FakeStripe
) -> None:
    await rejected_hour(at_stripe, webhook)
    for _ in range(REJECTED_MAX + 2):
        await at_stripe.sync.run_round()
    found = await at_stripe.rejected.list_all()
    assert len(found) == REJECTED_MAX and not any(one.told_again for one in found)
    fake.rejects = lambda event: False
    assert (await at_stripe.sync.run_round()).gathered == 0
    assert await at_stripe.rejected.forgive(OTHER_ORG) == 0
    assert await at_stripe.rejected.forgive(ORG) == REJECTED_MAX
    assert (await at_stripe.sync.run_round()).sent == 1
    assert fake.total("axon_cost_nano_usd") == at_stripe.journal.cost()
    assert await at_stripe.rejected.list_all() == []


async def test_reports_that_do_not_say_everything_are_named_and_forgotten_in_the_end(
    at_stripe: AtStripe, webhook: StripeWebhook, fake: FakeStripe
) -> None:
    await rejected_hour(at_stripe, webhook)
    fake.reports[-1]["data"]["reason"]["error_count"] = 40
    unknown = event("evt_unknown")
    await webhook.take(unknown.encode(), signed(unknown))
    fake.rejects = lambda event: False
    await at_stripe.sync.run_round()
    reports = Reports(at_stripe.postgres, at_stripe.clock)
    unclear = {one.report_id: one for one in await reports.unclear()}
    assert (unclear["evt_1"].errors, unclear["evt_1"].named) == (40, 1)
    assert "No such event" in unclear["evt_unknown"].error and len(unclear) == 2
    at_stripe.clock.set("2027-03-01")
    assert at_stripe.clock.now_us() > FORGOTTEN_AFTER_US
    late = event("evt_late")
    await webhook.take(late.encode(), signed(late))
    fake.reports.clear()
    await at_stripe.sync.run_round()
    assert await received(at_stripe.postgres) == ["evt_late"]
