"""A month is the organization's own: its time zone says where it begins and ends."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from axon.billing import Billing, Invoices, MonthWrong
from axon.billing.months import Month, month_at, month_named
from axon.metering import Prices, Rates
from axon.stores import Postgres
from tests.billing.scene import Journal, SetClock, followed, set_zone, us
from tests.metering.scene import ORG, price

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


@pytest.mark.parametrize(
    ("month", "zone", "begins", "lasts_us"),
    [
        ("2026-10", "UTC", "2026-10-01", 31 * DAY_US),
        ("2028-02", "UTC", "2028-02-01", 29 * DAY_US),
        ("2027-02", "UTC", "2027-02-01", 28 * DAY_US),
        ("2026-12", "UTC", "2026-12-01", 31 * DAY_US),
        ("2026-03", "Europe/Madrid", "2026-02-28T23:00", 31 * DAY_US - HOUR_US),
        ("2026-10", "Europe/Madrid", "2026-09-30T22:00", 31 * DAY_US + HOUR_US),
        ("2026-11", "America/New_York", "2026-11-01T04:00", 30 * DAY_US + HOUR_US),
        ("2026-10", "Pacific/Kiritimati", "2026-09-30T10:00", 31 * DAY_US),
        ("2026-10", "Etc/GMT+12", "2026-10-01T12:00", 31 * DAY_US),
        ("2026-10", "Asia/Kathmandu", "2026-09-30T18:15", 31 * DAY_US),
        ("2024-11", "America/Havana", "2024-11-01T04:00", 30 * DAY_US + HOUR_US),
        ("2010-04", "America/Asuncion", "2010-04-01T03:00", 30 * DAY_US + HOUR_US),
        # Clocks went from 24:00 to 01:00 where this month began: it has no midnight.
        ("1977-04", "Asia/Amman", "1977-03-31T22:00", None),
    ],
)
def test_where_months_begin_and_how_long_they_are(
    month: str, zone: str, begins: str, lasts_us: int | None
) -> None:
    named, here = month_named(month), ZoneInfo(zone)
    assert named.begins_us(here) == us(begins)
    if lasts_us is not None:
        assert named.next().begins_us(here) - named.begins_us(here) == lasts_us
    assert month_at(named.begins_us(here), here) == named
    assert month_at(named.begins_us(here) - 1, here) == named.before()


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "26-10", "2026-1", "", "2026-10-01", "9999-12"]
)
def test_what_is_no_month(text: str) -> None:
    with pytest.raises(MonthWrong):
        month_named(text)


def test_months_follow_each_other() -> None:
    month = Month(2026, 12)
    assert str(month.next()) == "2027-01" and month.next().before() == month
    assert Month(2026, 9) < Month(2026, 10) < month < month.next()
    assert month_at(us("2026-12-31T23:59:59"), UTC) == month


@pytest.mark.parametrize(
    ("zone", "month", "first", "after"),
    [
        ("UTC", "2026-02", "2026-02-01", "2026-03-01"),
        ("UTC", "2024-02", "2024-02-29T23:59:59.999999", "2024-03-01"),
        ("Europe/Madrid", "2026-03", "2026-02-28T23:00", "2026-03-31T22:00"),
        ("Europe/Madrid", "2026-10", "2026-09-30T22:00", "2026-10-31T23:00"),
        ("Pacific/Kiritimati", "2026-10", "2026-09-30T10:00", "2026-10-31T10:00"),
        ("Etc/GMT+12", "2026-10", "2026-10-01T12:00", "2026-11-01T12:00"),
    ],
)
async def test_a_turn_is_billed_in_the_month_of_the_organization(
    database: str, billing: Billing, invoices: Invoices, zone: str, month: str, first: str,
    after: str,
) -> None:  # fmt: skip
    await set_zone(database, ORG, zone)
    journal = Journal(database)
    mine = [journal.turn(us(first)), journal.turn(us(after) - 1)]
    journal.turn(us(after))
    await journal.project()
    (done,) = await billing.close(month)
    (invoice,) = done.invoices
    assert invoice.amount_nano == journal.cost(*mine)
    assert invoice.time_zone == zone and invoice.ends_us == us(after)
    turns = await followed(invoices, invoice)
    assert {turn for found in turns.values() for turn in found} == {
        end.head.turn_id for end in mine
    }


async def test_a_month_of_another_zone_is_not_over_yet(
    database: str, billing: Billing, clock: SetClock
) -> None:
    await set_zone(database, ORG, "Etc/GMT+12")
    journal = Journal(database)
    journal.turn("2026-10-05")
    await journal.project()
    clock.set("2026-11-01T11:59:59")
    (refused,) = await billing.close("2026-10")
    assert refused.outcome == "refused" and "2026-11-01T12:00" in refused.reason
    clock.set("2026-11-01T12:00")
    assert (await billing.close("2026-10"))[0].outcome == "closed"


@pytest.mark.parametrize(
    ("before", "after"),
    [("Pacific/Kiritimati", "Etc/GMT+12"), ("Etc/GMT+12", "Pacific/Kiritimati")],
)
async def test_a_change_of_the_time_zone_leaves_no_gap_and_bills_nothing_twice(
    database: str, postgres: Postgres, billing: Billing, invoices: Invoices, prices: Prices,
    before: str, after: str,
) -> None:  # fmt: skip
    """Every hour around the end of the month is billed once, also when some come late."""
    await set_zone(database, ORG, before)
    journal = Journal(database)
    for hour in range(0, 24 * 40, 5):
        journal.turn(us("2026-10-01T12:00") + hour * HOUR_US)
    await journal.project()
    assert (await billing.close("2026-09"))[0].outcome in ("closed", "nothing to bill")
    (october,) = await billing.close("2026-10")
    await set_zone(database, ORG, after)
    journal.turn("2026-10-31T11:00")
    journal.turn("2026-11-01T11:00")
    await journal.project()
    (november,) = await billing.close("2026-11")
    billed = [*october.invoices, *november.invoices]
    assert sum(invoice.amount_nano for invoice in billed) == journal.cost()
    assert october.invoices[0].ends_us == november.invoices[0].starts_us
    for invoice in billed:
        await followed(invoices, invoice)


async def test_a_price_that_changes_in_mid_month_has_lines_of_its_own(
    database: str, billing: Billing, prices: Prices
) -> None:
    await prices.set_all([price(effective_from_us=1)])
    change_us = us("2026-10-16T08:30")
    rates = Rates(input=3_000_000_000, output=12_000_000_000)
    await prices.set_all([price(rates=rates, effective_from_us=change_us)])
    journal = Journal(database, await prices.list_all())
    early, late = journal.turn(change_us - 1), journal.turn(change_us)
    await journal.project()
    (done,) = await billing.close("2026-10")
    (invoice,) = done.invoices
    by_price: dict[str, int] = {}
    rates_shown = set()
    for line in invoice.lines:
        by_price[line.price_id] = by_price.get(line.price_id, 0) + line.amount_nano
        rates_shown |= {line.rate_nano} if line.kind == "input" else set()
    assert by_price == {
        early.charge.price_id: early.charge.cost_nano,
        late.charge.price_id: late.charge.cost_nano,
    }
    assert rates_shown == {2_500_000_001, 3_000_000_000}
