"""Stripe's meters come to what metering has, whatever Stripe and the network do meanwhile."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from axon.app.settings import StripeSettings
from axon.app.stripe_telling import StripeTelling
from axon.base import SystemClock
from axon.billing import (
    Linking,
    StripeApi,
    StripeAway,
    StripeRefused,
    StripeSync,
    StripeUnset,
    stripe_api,
    stripe_sync,
)
from axon.billing.stripe_rejected import REJECTED_MAX
from axon.metering import Prices, Rates, Rerating, rerate
from axon.stores import Postgres
from tests.billing.fake_stripe import KEY, Event, FakeStripe, running
from tests.billing.scene import PRICE, Journal, SetClock, us
from tests.metering.scene import ORG, OTHER_ORG, price

USD, EUR = "axon_cost_nano_usd", "axon_cost_nano_eur"


@pytest.fixture
def clock() -> SetClock:
    return SetClock("2026-11-10T00:00")


@pytest.fixture
def fake(clock: SetClock) -> Iterator[FakeStripe]:
    with running(FakeStripe(now=lambda: clock.now_us() // 1_000_000)) as answering:
        yield answering


@pytest.fixture
def sync(postgres: Postgres, clock: SetClock, fake: FakeStripe) -> StripeSync:
    return StripeSync(postgres, clock, StripeApi(KEY, fake.url))


async def linked(sync: StripeSync, clock: SetClock) -> str:
    """Link the organization on the 10th and let a day go by; return its customer."""
    customer = await sync.link(ORG, "acme")
    clock.set("2026-11-11T00:30")
    return customer


async def day_of_turns(database: str) -> Journal:
    journal = Journal(database, [PRICE, price(price_id="price_2", model="euro", currency="EUR")])
    for hour in range(1, 9):
        journal.turn(f"2026-11-10T0{hour}:00", model="euro" if hour == 8 else "small")
        journal.turn(f"2026-11-10T0{hour}:59:59")
    journal.turn("2026-11-10T03:00", org_id=OTHER_ORG)
    await journal.project()
    return journal


def mine(journal: Journal, currency: str = "USD") -> int:
    return journal.cost(*(end for end in journal.ends if end.head.org_id == ORG), currency=currency)


async def test_every_hour_is_told_once(
    database: str, sync: StripeSync, fake: FakeStripe, clock: SetClock
) -> None:
    customer = await linked(sync, clock)
    journal = await day_of_turns(database)
    told = await sync.run_round()
    assert (told.gathered, told.sent, told.rejected, told.due) == (9, 9, 0, 0)
    assert fake.total(USD, customer) == mine(journal) == fake.total(USD)
    assert fake.total(EUR, customer) == mine(journal, "EUR") > 0
    assert {event.timestamp % 3600 for event in fake.events} == {0}
    again = await sync.run_round()
    assert (again.gathered, again.sent) == (0, 0)
    assert await sync.differences(us("2026-11-10"), us("2026-11-11")) == []
    assert await sync.link(ORG, "acme") == customer and len(fake.customers) == 1
    with pytest.raises(StripeRefused):
        await sync.link(ORG, "acme", Linking(customer_id="cus_other"))


async def test_the_scheduler_tells_it_all(
    database: str, postgres: Postgres, sync: StripeSync, fake: FakeStripe, clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Also what is more than a round."""
    monkeypatch.setattr(stripe_sync, "ROUND_EVENTS_MAX", 2)
    await linked(sync, clock)
    journal = await day_of_turns(database)
    telling = StripeTelling(StripeSettings(key=KEY, base_url=fake.url), postgres, clock)
    for _ in range(2):
        await telling.tell()
        assert fake.total(USD) == mine(journal)
    with pytest.raises(StripeUnset):
        await StripeTelling(StripeSettings(base_url=fake.url), postgres, clock).tell()


async def test_late_turns_and_corrections_are_told_as_differences(
    database: str, postgres: Postgres, prices: Prices, sync: StripeSync, fake: FakeStripe,
    clock: SetClock,
) -> None:  # fmt: skip
    await linked(sync, clock)
    journal = await day_of_turns(database)
    await sync.run_round()
    journal.turn("2026-11-10T03:30")
    await journal.project()
    assert (await sync.run_round()).sent == 1
    assert fake.total(USD) == mine(journal)
    await prices.set_all([price(price_id="", rates=Rates(input=1, output=1), effective_from_us=1)])
    await prices.set_all([price(price_id="", model="euro", currency="EUR", effective_from_us=1)])
    what = Rerating(from_us=0, to_us=us("2026-11-11"), org_id=ORG)
    rerated = await rerate(postgres, SystemClock(), what, apply=True)
    await sync.run_round()
    assert {one.currency: one.after_nano for one in rerated} == {
        "USD": fake.total(USD),
        "EUR": fake.total(EUR),
    }
    assert min(event.value for event in fake.events) < 0


@pytest.mark.parametrize("deaf", [1, 3, 20])
async def test_an_answer_that_is_lost_counts_nothing_twice(
    database: str, sync: StripeSync, fake: FakeStripe, clock: SetClock, deaf: int
) -> None:
    await linked(sync, clock)
    journal = await day_of_turns(database)
    fake.deaf = deaf
    for _ in range(min(deaf, 9)):
        with pytest.raises(StripeAway):
            await sync.run_round()
    told = await sync.run_round()
    assert told.due == 0 and told.rejected == 0
    assert fake.total(USD) == mine(journal)
    assert await sync.differences(us("2026-11-10"), us("2026-11-11")) == []


@pytest.mark.failure("stripe", "down")
async def test_after_a_day_stripe_is_asked_before_it_is_told_again(
    database: str, sync: StripeSync, fake: FakeStripe, clock: SetClock
) -> None:
    """Its memory of identifiers is a day long: an event it has must not be taken for a new one."""
    await linked(sync, clock)
    journal = Journal(database)
    journal.turn("2026-11-10T01:00")
    journal.turn("2026-11-10T02:00")
    await journal.project()
    fake.deaf = 1
    with pytest.raises(StripeAway):
        await sync.run_round()
    assert len(fake.events) == 1, "it is there, and nobody here knows it"
    clock.set("2026-11-12T12:00")
    fake.known.clear()
    assert (await sync.run_round()).due == 0
    assert fake.total(USD) == mine(journal)
    assert len(fake.events) == 2


@pytest.mark.failure("stripe", "refusing")
async def test_what_stripe_rejects_afterwards_is_told_again_and_named(
    database: str, sync: StripeSync, fake: FakeStripe, clock: SetClock
) -> None:
    await linked(sync, clock)
    journal = await day_of_turns(database)
    fake.rejects = lambda event: event.timestamp % 7200 == 0 and event.identifier.endswith("-1")
    first = await sync.run_round()
    assert first.sent == 9 and fake.total(USD) < mine(journal)
    second = await sync.run_round()
    assert second.rejected > 0 and second.sent == second.gathered == second.rejected
    assert fake.total(USD) == mine(journal)
    assert await sync.differences(us("2026-11-10"), us("2026-11-11")) == []


@pytest.mark.failure("stripe", "refusing")
async def test_what_is_always_rejected_is_not_told_for_ever(
    database: str, postgres: Postgres, sync: StripeSync, fake: FakeStripe, clock: SetClock
) -> None:
    """A customer that was deleted at Stripe; the reason is kept."""
    await linked(sync, clock)
    journal = Journal(database)
    journal.turn("2026-11-10T01:00")
    await journal.project()
    fake.customers.clear()
    for _ in range(REJECTED_MAX + 3):
        await sync.run_round()
    sent = [call for call in fake.calls if call.endswith("meter_events")]
    assert len(sent) == REJECTED_MAX
    async with postgres.connection(5) as connection:
        errors = await connection.fetch("SELECT DISTINCT state, error FROM billing.stripe_events")
    assert [tuple(row) for row in errors] == [
        ("rejected", "meter_event_customer_not_found: It cannot be used.")
    ]


@pytest.mark.failure("stripe", "lying")
async def test_what_stripe_loses_is_found_and_told_again(
    database: str, sync: StripeSync, fake: FakeStripe, clock: SetClock
) -> None:
    await linked(sync, clock)
    journal = await day_of_turns(database)

    def lost(event: Event) -> bool:
        return event.timestamp == us("2026-11-10T03:00") // 1_000_000

    fake.loses = lost
    await sync.run_round()
    (differs,) = await sync.differences(us("2026-11-10"), us("2026-11-11"))
    assert (differs.hour_us, differs.stripe_nano) == (us("2026-11-10T03:00"), 0)
    fake.loses = lambda event: False
    assert await sync.mend(differs) and not await sync.mend(differs)
    await sync.run_round()
    assert fake.total(USD) == mine(journal)
    assert await sync.differences(us("2026-11-10"), us("2026-11-11")) == []


async def test_an_hour_too_old_for_stripe_is_told_as_of_now(
    database: str, sync: StripeSync, fake: FakeStripe, clock: SetClock
) -> None:
    await linked(sync, clock)
    journal = Journal(database)
    journal.turn("2026-11-10T01:00")
    clock.set("2026-12-20T10:00")
    await journal.project()
    assert (await sync.run_round()).sent == 1
    assert fake.total(USD) == mine(journal)
    assert await sync.differences(us("2026-11-10"), us("2026-12-21")) == []


@pytest.mark.failure("stripe", "down")
async def test_while_stripe_is_down_the_outbox_keeps_and_nothing_else_waits(
    database: str, sync: StripeSync, fake: FakeStripe, clock: SetClock
) -> None:
    await linked(sync, clock)
    journal = await day_of_turns(database)
    await sync.run_round()
    fake.down = True
    for number in range(3):
        journal.turn("2026-11-10T05:05")
        await journal.project()
        with pytest.raises(StripeAway):
            await sync.run_round()
        assert fake.total(USD) < mine(journal), number
    fake.down = False
    await sync.run_round()
    assert fake.total(USD) == mine(journal)


@pytest.mark.failure("stripe", "frozen")
async def test_a_stripe_that_never_answers_is_given_up(
    database: str, postgres: Postgres, sync: StripeSync, fake: FakeStripe, clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(stripe_api, "TIMEOUT_S", 0.5)
    await linked(sync, clock)
    journal = await day_of_turns(database)
    impatient = StripeSync(postgres, clock, StripeApi(KEY, fake.url))
    fake.thawed.clear()
    with pytest.raises(StripeAway):
        await impatient.run_round()
    fake.thawed.set()
    told = await sync.run_round()
    assert told.due == 0 and fake.total(USD) == mine(journal)


@pytest.mark.failure("stripe", "wrong-password")
async def test_a_wrong_key_rejects_no_event(
    database: str, postgres: Postgres, sync: StripeSync, fake: FakeStripe, clock: SetClock
) -> None:
    await linked(sync, clock)
    journal = await day_of_turns(database)
    with pytest.raises(StripeUnset):
        await StripeSync(postgres, clock, StripeApi("sk_test_other", fake.url)).run_round()
    with pytest.raises(StripeUnset):
        StripeApi("")
    assert (await sync.run_round()).sent == 9 and fake.total(USD) == mine(journal)


async def test_two_at_once_tell_nothing_twice(
    database: str, sync: StripeSync, fake: FakeStripe, clock: SetClock, postgres: Postgres
) -> None:
    await linked(sync, clock)
    journal = await day_of_turns(database)
    others = [StripeSync(postgres, clock, StripeApi(KEY, fake.url)) for _ in range(3)]
    await sync.run_round()
    journal.turn("2026-11-10T05:05")
    await journal.project()
    await asyncio.gather(*(one.run_round() for one in others))
    assert fake.total(USD) == mine(journal)
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM billing.stripe_events") == 10
    await connection.close()
