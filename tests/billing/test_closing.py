"""A month is billed once, whole, and to the nano-unit."""

import asyncpg
import pytest

from axon.base import SystemClock
from axon.billing import Billing, Closing, Invoice, Invoices, Line
from axon.metering import Prices, Rates, Rerating, rerate
from axon.records import Hold, TokenUsage
from axon.stores import Postgres
from tests.billing.scene import PRICE, Journal, SetClock, followed, us
from tests.metering.scene import ORG, OTHER_ORG, many, price


async def closed(billing: Billing, month: str, org_id: str = ORG) -> Invoice:
    """Close a month that has one invoice, and return it."""
    (done,) = await billing.close(month, org_id)
    assert (done.outcome, done.reason) == ("closed", "")
    (invoice,) = done.invoices
    return invoice


def amount(lines: list[Line]) -> int:
    return sum(line.amount_nano for line in lines)


def only(invoice: Invoice, origin: str) -> list[Line]:
    return [line for line in invoice.lines if line.origin == origin]


async def test_invoices_metering_and_records_come_to_the_same(
    database: str, billing: Billing, invoices: Invoices
) -> None:
    book_prices = [PRICE, price(price_id="price_2", model="large", currency="EUR")]
    journal = Journal(database, book_prices)
    journal.ends = many(400, 11, journal.book)
    await journal.project()
    owed: dict[tuple[str, str], int] = {}
    for end in journal.ends:
        key = (end.head.org_id, end.charge.currency)
        owed[key] = owed.get(key, 0) + end.charge.cost_nano
    billed: dict[tuple[str, str], int] = {}
    for month in ("2026-09", "2026-10"):
        for done in await billing.close(month):
            assert done.outcome == "closed"
            for invoice in done.invoices:
                assert invoice.amount_nano == amount(list(invoice.lines))
                await followed(invoices, invoice)
                key = (invoice.org_id, invoice.currency)
                billed[key] = billed.get(key, 0) + invoice.amount_nano
    assert billed == {key: cost for key, cost in owed.items() if key[1]}


async def test_a_line_is_quantity_times_rate_and_the_parts_are_the_charge(
    database: str, billing: Billing, prices: Prices
) -> None:
    await prices.set_all([price(effective_from_us=1)])
    journal = Journal(database, await prices.list_all())
    usage = TokenUsage(
        input_tokens=900, cached_tokens=300, cache_write_tokens=100, output_tokens=50,
        reasoning_tokens=20,
    )  # fmt: skip
    for _ in range(3):
        journal.turn("2026-10-05", usage=usage)
    journal.turn("2026-10-06", usage=TokenUsage(input_tokens=2000, output_tokens=10))
    await journal.project()
    invoice = await closed(billing, "2026-10")
    shown = {(line.tier, line.kind): (line.quantity, line.rate_nano) for line in invoice.lines}
    assert shown == {
        (0, "input"): (1500, 2_500_000_001),
        (0, "cached"): (900, 250_000_000),
        (0, "cache_write"): (300, 2_500_000_001),
        (0, "output"): (90, 10_000_000_000),
        (0, "reasoning"): (60, 10_000_000_000),
        (0, "request"): (3, 7),
        (1, "input"): (2000, 5_000_000_000),
        (1, "output"): (10, 15_000_000_000),
        (1, "request"): (1, 7),
    }
    for line in invoice.lines:
        exact = line.quantity * (line.rate_nano or 0)
        exact = exact if line.kind == "request" else exact // 1_000_000
        assert abs(line.amount_nano - exact) <= 5, "what the turns' own rounding leaves"
    assert invoice.amount_nano == journal.cost()


async def test_overage_is_a_line_of_its_own_and_a_correction_keeps_its_part(
    database: str, billing: Billing, invoices: Invoices, prices: Prices, postgres: Postgres
) -> None:
    """Turns of two tiers and two journals went beyond a limit: one line, beside what is plain."""
    await prices.set_all([price(effective_from_us=1)])
    known = await prices.list_all()
    one, two = Journal(database, known), Journal(database, known, name="two")
    beyond = [Hold("a", "tokens", "month", 1, 9, within=60, overage_percent=50)]
    long = TokenUsage(input_tokens=2000, output_tokens=10)
    past = [
        one.turn("2026-10-05", holds=beyond),
        one.turn("2026-10-06", holds=beyond, usage=long),
        two.turn("2026-10-07", holds=beyond),
    ]
    one.turn("2026-10-08")
    two.turn("2026-10-09", holds=beyond, usage=TokenUsage(input_tokens=20, output_tokens=20))
    await one.project()
    await two.project()
    invoice = await closed(billing, "2026-10")
    charged = one.cost() + two.cost()
    overage = sum(end.charge.overage_nano for end in past)
    assert overage > 0 and invoice.amount_nano == charged == amount(list(invoice.lines))
    line = invoice.lines[-1]
    assert (line.kind, line.origin, line.model) == ("overage", "usage", "small")
    assert (line.quantity, line.amount_nano, line.rate_nano) == (3, overage, None)
    assert [(place.instance, place.turns) for place in line.positions] == [("one", 2), ("two", 1)]
    assert [other.kind for other in invoice.lines].count("overage") == 1
    found = await followed(invoices, invoice)
    assert sorted(found[line.line]) == sorted(end.head.turn_id for end in past)
    for other in invoice.lines[:-1]:
        exact = other.quantity * (other.rate_nano or 0)
        exact = exact if other.kind == "request" else exact // 1_000_000
        assert abs(other.amount_nano - exact) <= 5, "nothing of the overage is in a plain line"

    dearer = Rates(input=5_000_000_002, cache_read=0, output=20_000_000_000)
    await prices.set_all([price(price_id="", effective_from_us=2, rates=dearer)])
    what = Rerating(from_us=0, to_us=us("2026-11-01"))
    (rerated,) = await rerate(postgres, SystemClock(), what, apply=True)
    connection = await asyncpg.connect(database)
    more = await connection.fetchval("SELECT sum(overage_nano)::bigint FROM metering.corrections")
    await connection.close()
    again = Journal(database, await prices.list_all())
    plain = again.cost(
        *(
            again.turn(end.head.accepted_us, usage=end.usage)
            for journal in (one, two)
            for end in journal.ends
        )
    )
    (correction,) = (await closed(billing, "2026-11")).lines
    assert correction.kind == "correction" and more > 0
    assert correction.amount_nano == plain + overage + more - charged
    assert correction.amount_nano == rerated.after_nano - charged


async def test_closing_again_changes_nothing(
    database: str, billing: Billing, invoices: Invoices
) -> None:
    journal = Journal(database)
    journal.turn("2026-10-05")
    await journal.project()
    first = await closed(billing, "2026-10")
    (again,) = await billing.close("2026-10")
    assert again.outcome == "already closed" and again.invoices == (first,)
    assert await billing.preview("2026-10") == [] == await billing.draft("2026-10")
    assert [one.number for one in await invoices.list_all()] == [1]


async def test_a_preview_stores_nothing_and_a_draft_becomes_the_invoice(
    database: str, billing: Billing, invoices: Invoices, clock: SetClock
) -> None:
    clock.set("2026-10-20")
    journal = Journal(database)
    journal.turn("2026-10-05")
    await journal.project()
    (preview,) = await billing.preview("2026-10")
    assert preview.state == "preview" and preview.amount_nano == journal.cost()
    assert await invoices.list_all() == []
    (draft,) = await billing.draft("2026-10")
    journal.turn("2026-10-21")
    await journal.project()
    (newer,) = await billing.draft("2026-10")
    assert newer.invoice_id == draft.invoice_id and newer.amount_nano == journal.cost()
    assert (await invoices.read(newer.invoice_id)).lines == newer.lines
    (refused,) = await billing.close("2026-10")
    assert refused.outcome == "refused" and "it ends at 2026-11-01T00:00" in refused.reason
    clock.set("2026-11-01")
    final = await closed(billing, "2026-10")
    assert final.invoice_id == draft.invoice_id and final.number == 1 and final.state == "final"


async def test_a_month_waits_for_the_projector_and_for_the_months_before(
    database: str, billing: Billing, invoices: Invoices
) -> None:
    journal = Journal(database)
    journal.turn("2026-09-05")
    await journal.project()
    (refused,) = await billing.close("2026-09", caught_up_us=us("2026-09-30T23:59:59"))
    assert refused.outcome == "refused" and "2026-09-30T23:59:59" in refused.reason
    (refused,) = await billing.close("2026-10")
    assert refused.outcome == "refused" and "2026-09" in refused.reason
    assert await invoices.list_all() == []
    (done,) = await billing.close("2026-09", caught_up_us=us("2026-10-01"))
    assert done.outcome == "closed"
    (empty,) = await billing.close("2026-10")
    assert empty.outcome == "closed" and empty.invoices == ()


async def test_what_comes_late_is_on_the_next_invoice_and_changes_no_final_one(
    database: str, billing: Billing, invoices: Invoices
) -> None:
    journal, other = Journal(database), Journal(database, name="two")
    september = journal.turn("2026-09-05")
    stuck = journal.turn("2026-09-06")
    october = [journal.turn("2026-10-01"), journal.turn("2026-10-31T23:59:59.999999")]
    november = journal.turn("2026-11-01")
    await journal.project(park=[2])
    first = await closed(billing, "2026-09")
    assert first.amount_nano == journal.cost(september)
    late = other.turn("2026-09-30T23:59:59.999999")
    await other.project()
    second = await closed(billing, "2026-10")
    assert amount(only(second, "usage")) == journal.cost(*october)
    assert amount(only(second, "late")) == other.cost(late)
    assert {line.month for line in only(second, "late")} == {"2026-09"}
    await journal.replay_parked()
    third = await closed(billing, "2026-11")
    assert amount(only(third, "usage")) == journal.cost(november)
    assert amount(only(third, "late")) == journal.cost(stuck)
    for invoice in (first, second, third):
        assert await invoices.read(invoice.invoice_id) == invoice
        await followed(invoices, invoice)
    turns = await followed(invoices, third)
    assert {turns[line.line][0] for line in only(third, "late")} == {stuck.head.turn_id}


async def test_corrections_are_billed_once_and_a_void_month_is_billed_anew(
    database: str, postgres: Postgres, billing: Billing, prices: Prices, invoices: Invoices
) -> None:
    journal = Journal(database)
    journal.turn("2026-09-05")
    journal.turn("2026-10-05")
    await journal.project()
    first = await closed(billing, "2026-09")
    dearer = price(price_id="", rates=Rates(input=9_000_000_000, output=1), effective_from_us=1)
    await prices.set_all([dearer])
    what = Rerating(from_us=0, to_us=us("2026-11-01"))
    (rerated,) = await rerate(postgres, SystemClock(), what, apply=True)
    difference = rerated.after_nano - rerated.before_nano
    assert difference
    second = await closed(billing, "2026-10")
    corrections = only(second, "correction")
    assert [line.month for line in corrections] == ["2026-09", "2026-10"]
    assert amount(corrections) == difference
    assert first.amount_nano + second.amount_nano == rerated.after_nano
    await followed(invoices, second)

    (void,) = await billing.void(second.name, "wrong price")
    assert (void.state, void.void_reason, void.owed_minor) == ("void", "wrong price", 0)
    assert await billing.void(second.name, "again") == [void]
    anew = await closed(billing, "2026-10")
    assert anew.number == 3 and anew.amount_nano == second.amount_nano
    assert anew.invoice_id != second.invoice_id
    assert await billing.close("2026-11") and (await billing.preview("2026-12")) == []


async def test_credit_notes_are_numbered_bounded_and_given_once(
    database: str, billing: Billing, invoices: Invoices
) -> None:
    journal = Journal(database)
    journal.turn("2026-10-05", usage=TokenUsage(input_tokens=10**6, output_tokens=10**5))
    await journal.project()
    invoice = await closed(billing, "2026-10")
    assert invoice.total_minor == 650  # above 1,000 tokens: 5 for the input, 1.50 for the output
    note = await billing.credit(invoice.invoice_id, 150, "an outage", "ticket 7")
    assert await billing.credit("1", 150, "an outage", "ticket 7") == note
    assert note.name == "CN-000001"
    with pytest.raises(Exception, match="another amount"):
        await billing.credit(invoice.name, 151, "an outage", "ticket 7")
    with pytest.raises(Exception, match="left to pay"):
        await billing.credit(invoice.name, 501, "too much", "ticket 8")
    rest = await billing.credit(invoice.name, 500, "the rest", "ticket 8")
    assert rest.number == 2, "what was refused took no number"
    read = await invoices.read(invoice.name)
    assert read.owed_minor == 0 and read.credit_notes == (note, rest)
    with pytest.raises(Exception, match="credited"):
        await billing.void(invoice.name, "no")


async def test_only_the_newest_month_can_be_voided(database: str, billing: Billing) -> None:
    journal = Journal(database)
    journal.turn("2026-09-05")
    journal.turn("2026-10-05")
    await journal.project()
    first = await closed(billing, "2026-09")
    await closed(billing, "2026-10")
    with pytest.raises(Exception, match="later month"):
        await billing.void(first.name, "no")
    with pytest.raises(Exception, match="no such invoice"):
        await billing.void("INV-000009", "no")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing.invoices SET amount_nano = 0",
        "UPDATE billing.invoices SET state = 'draft', number = NULL, close_id = NULL",
        "DELETE FROM billing.invoices",
        "UPDATE billing.lines SET quantity = 0",
        "DELETE FROM billing.lines",
        "DELETE FROM billing.positions",
        "UPDATE billing.positions SET turns = 0",
        "DELETE FROM billing.credit_notes",
        "UPDATE billing.credit_notes SET amount_minor = 1",
    ],
)
async def test_an_issued_invoice_cannot_be_changed_by_anybody(
    database: str, billing: Billing, statement: str
) -> None:
    journal = Journal(database)
    journal.turn("2026-10-05", usage=TokenUsage(input_tokens=10**6))
    await journal.project()
    invoice = await closed(billing, "2026-10")
    await billing.credit(invoice.name, 1, "a penny", "one")
    connection = await asyncpg.connect(database)
    with pytest.raises(asyncpg.RaiseError, match="never changed"):
        await connection.execute(statement)
    await connection.close()


async def test_a_bill_that_does_not_add_up_is_not_issued(
    database: str, billing: Billing, invoices: Invoices
) -> None:
    journal = Journal(database)
    journal.turn("2026-10-05")
    await journal.project()
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE metering.org_usage_quarters SET cost_nano = cost_nano + 1")
    (refused,) = await billing.close("2026-10")
    assert refused.outcome == "refused" and "add up" in refused.reason
    assert await invoices.list_all() == []
    await connection.execute("UPDATE metering.org_usage_quarters SET cost_nano = cost_nano - 1")
    await connection.close()
    assert (await closed(billing, "2026-10")).number == 1, "the refused one took no number"


async def test_turns_without_a_price_are_counted_and_billed_when_they_have_one(
    database: str, postgres: Postgres, billing: Billing, prices: Prices
) -> None:
    journal = Journal(database, [])
    journal.turn("2026-10-05")
    journal.turn("2026-10-05", status="failed", usage=TokenUsage())
    await journal.project()
    (done,) = await billing.close("2026-10")
    assert (done.outcome, done.invoices, done.unpriced) == ("closed", (), 1)
    await prices.set_all([price(price_id="", effective_from_us=1)])
    (rerated,) = [
        one
        for one in await rerate(
            postgres, SystemClock(), Rerating(from_us=0, to_us=us("2026-11-01")), apply=True
        )
        if one.currency
    ]
    invoice = await closed(billing, "2026-11")
    assert invoice.amount_nano == rerated.after_nano > 0


async def test_an_organization_is_billed_alone(database: str, billing: Billing) -> None:
    journal = Journal(database)
    journal.turn("2026-10-05")
    journal.turn("2026-10-05", org_id=OTHER_ORG)
    await journal.project()
    invoice = await closed(billing, "2026-10", OTHER_ORG)
    assert invoice.org_id == OTHER_ORG and invoice.amount_nano == journal.cost(journal.ends[1])
    done: list[Closing] = await billing.close("2026-10")
    assert [one.outcome for one in done] == ["closed", "already closed"]
    assert invoice == done[1].invoices[0] != done[0].invoices[0]
