"""Closing is safe under two processes at once, and under a kill at any place."""

import asyncio
import sys

import pytest

from axon.base import SystemRandomness
from axon.billing import Billing, Invoices
from axon.stores import Postgres
from tests.billing.scene import Journal, SetClock
from tests.metering.scene import ORG

ORGS = [f"org_{number}" for number in range(6)]


async def month_of_all(database: str) -> Journal:
    journal = Journal(database)
    for number in range(30):
        journal.turn("2026-10-05", org_id=ORGS[number % len(ORGS)])
    await journal.project()
    return journal


async def whole(invoices: Invoices, journal: Journal) -> None:
    """Every organization has one invoice, the numbers have no gap, the sums are the records'."""
    found = await invoices.list_all()
    assert sorted(one.org_id for one in found) == ORGS
    assert sorted(one.number or 0 for one in found) == list(range(1, len(ORGS) + 1))
    assert sum(one.amount_nano for one in found) == journal.cost()


async def test_many_closes_at_once_issue_each_invoice_once(
    database: str, invoices: Invoices, clock: SetClock
) -> None:
    journal = await month_of_all(database)
    pools = [Postgres(database) for _ in range(4)]
    for pool in pools:
        await pool.start()
    closers = [Billing(pool, clock, SystemRandomness()) for pool in pools]
    done = await asyncio.gather(*(one.close("2026-10") for one in closers))
    outcomes = [one.outcome for found in done for one in found]
    assert outcomes.count("closed") == len(ORGS)
    assert outcomes.count("already closed") == len(ORGS) * (len(closers) - 1)
    await whole(invoices, journal)
    for pool in pools:
        await pool.stop()


async def test_credits_at_once_never_come_to_more_than_the_invoice(
    database: str, billing: Billing, invoices: Invoices, clock: SetClock
) -> None:
    journal = Journal(database)
    for _ in range(4000):
        journal.turn("2026-10-05")
    await journal.project()
    (done,) = await billing.close("2026-10")
    (invoice,) = done.invoices
    half = invoice.total_minor // 2 + 1
    wanted = [billing.credit(invoice.name, half, "r", reference) for reference in "abab"]
    given = await asyncio.gather(*wanted, return_exceptions=True)
    notes = [one for one in given if not isinstance(one, BaseException)]
    assert len({note.number for note in notes}) == 1 and len(notes) == 2
    assert (await invoices.read(invoice.name)).credited_minor == half


@pytest.mark.parametrize("place", ["0", "1", "3", "0.5", "3.5", "5.5"])
async def test_a_close_that_was_killed_is_done_again_from_where_it_was(
    database: str, billing: Billing, invoices: Invoices, place: str
) -> None:
    journal = await month_of_all(database)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.billing.dying", database, "2026-10", place
    )
    assert await process.wait() == -9
    done = {one.org_id for one in await invoices.list_all()}
    assert done == set(ORGS[: int(place[0])])
    again = await billing.close("2026-10")
    assert {one.org_id for one in again if one.outcome == "already closed"} == done
    await whole(invoices, journal)


async def test_a_close_while_turns_come_in_bills_each_once(
    database: str, billing: Billing, invoices: Invoices
) -> None:
    """Turns of the month are projected all the while: what a close misses, the next one has."""
    journal = Journal(database)
    journal.turn("2026-08-05")
    await journal.project()

    async def keep_coming() -> None:
        for _ in range(30):
            journal.turn("2026-08-20")
            journal.turn("2026-09-20")
            await journal.project()

    coming = asyncio.get_running_loop().create_task(keep_coming())
    for month in ("2026-08", "2026-09"):
        (done,) = await billing.close(month, ORG)
        assert done.outcome == "closed"
    await coming
    assert (await billing.close("2026-10"))[0].outcome == "closed"
    billed = sum(one.amount_nano for one in await invoices.list_all())
    assert billed == journal.cost()
