"""Billing while PostgreSQL is away: nothing is billed twice, and the journal replays the rest."""

import asyncio
from pathlib import Path

import pytest

from axon.app.embedded import EmbeddedServer
from axon.billing import Billing, BillingUnavailable, Invoices, close_store, reading, store
from axon.metering import MeteringProjector
from axon.stores import Postgres, PostgresAway
from tests.billing.scene import Journal, followed
from tests.metering.scene import ORG
from tests.projection.scene import Scene


@pytest.mark.failure("postgresql", "down")
async def test_the_journal_replays_what_the_billing_store_missed(
    database: str, tmp_path: Path, postgres: Postgres, postgres_server: EmbeddedServer,
    billing: Billing, invoices: Invoices,
) -> None:  # fmt: skip
    """Turns go on into the journal while PostgreSQL is dead; the bill is of all of them."""
    scene = Scene(database, tmp_path / "journals", [MeteringProjector()])
    turns = Journal(database)
    first = turns.turn("2026-10-05")
    async with scene.projecting():
        await scene.projected("node-1", await scene.write("node-1", [first]))
        postgres_server.kill()
        with pytest.raises(PostgresAway):
            await billing.close("2026-10")
        with pytest.raises(BillingUnavailable):
            await invoices.list_all()
        meanwhile = [turns.turn("2026-10-06"), turns.turn("2026-10-07")]
        end = await scene.write("node-1", meanwhile)
        postgres_server.restart()
        await scene.projected("node-1", end)
    await asyncio.wait_for(postgres.wait_until_available(), 20)
    (done,) = await billing.close("2026-10", ORG)
    (invoice,) = done.invoices
    assert invoice.amount_nano == turns.cost() and invoice.number == 1
    places = {place for line in invoice.lines for place in line.positions}
    assert {(place.instance, place.last_sequence) for place in places} == {("node-1", 3)}
    await followed(invoices, invoice)


@pytest.mark.failure("postgresql", "down")
async def test_a_close_whose_postgresql_dies_under_it_is_done_again(
    database: str, postgres: Postgres, postgres_server: EmbeddedServer, billing: Billing,
    invoices: Invoices, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    journal = Journal(database)
    journal.turn("2026-10-05")
    await journal.project()
    issue = close_store.issue

    async def die_first(*arguments: object) -> None:
        postgres_server.kill()
        await issue(*arguments)  # type: ignore[arg-type]

    # A fault between two statements of one transaction; nothing of ours can be killed there.
    monkeypatch.setattr(close_store, "issue", die_first)
    with pytest.raises(PostgresAway):
        await billing.close("2026-10")
    monkeypatch.undo()
    postgres_server.restart()
    await asyncio.wait_for(postgres.wait_until_available(), 20)
    assert await invoices.list_all() == []
    (done,) = await billing.close("2026-10")
    assert [one.number for one in done.invoices] == [1]


async def test_only_so_many_ask_at_once(
    invoices: Invoices, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = [invoices.list_all() for _ in range(reading.ASKING_MAX + 1)]
    answers = await asyncio.gather(*asking, return_exceptions=True)
    refused = [one for one in answers if isinstance(one, BillingUnavailable)]
    assert len(refused) == 1 and answers.count([]) == reading.ASKING_MAX


async def test_a_list_and_a_page_of_turns_are_bounded(
    database: str, billing: Billing, invoices: Invoices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "TURNS_PAGE", 7)
    monkeypatch.setattr(store, "LISTED_MAX", 3)
    journal = Journal(database)
    for number in range(23):
        journal.turn("2026-10-05", org_id=f"org_{number % 4}")
        journal.turn("2026-10-05", org_id="org_0")
    await journal.project()
    done = await billing.close("2026-10")
    assert len(await invoices.list_all()) == 3
    turns = await followed(invoices, done[0].invoices[0])
    assert len(turns[1]) == 29 == len(set(turns[1]))
