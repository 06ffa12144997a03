"""Invoices previewed, issued, shown, credited, voided and exported by the commands."""

import asyncio
import csv
import io
from decimal import Decimal
from pathlib import Path

import asyncpg
import msgspec
import pytest

from axon.base import MICROS_PER_SECOND, SystemClock
from axon.projection import JournalLag, ProjectorStatus
from axon.records import TokenUsage
from tests.app.test_accounts_commands import Commands
from tests.billing.fake_stripe import KEY, FakeStripe, running
from tests.billing.scene import PRICE, Journal, us
from tests.metering.scene import price


@pytest.fixture
def commands(tmp_path: Path, database: str) -> Commands:
    return Commands(tmp_path, database)


@pytest.fixture
def acme(commands: Commands) -> str:
    """The id of an organization called acme."""
    org_id: str = commands.json("orgs", "create", "acme")[0]["org_id"]
    return org_id


def seen_by_a_projector(data: Path, at_us: int) -> None:
    """Leave what a projector leaves that had everything at that time."""
    status = ProjectorStatus(
        at_us=at_us, lag_records=0, lag_seconds=0.0, parked=0, waiting=0, last_error="",
        journals=[JournalLag(instance="one")],
    )  # fmt: skip
    (data / "journal").mkdir(parents=True, exist_ok=True)
    (data / "journal" / "projector.json").write_bytes(msgspec.json.encode(status))


@pytest.fixture
def journal(database: str, acme: str) -> Journal:
    """October of acme: two models, one called as a spreadsheet's formula."""
    written = Journal(database, [PRICE, price(price_id="price_2", model="=HYPERLINK(1)")])
    usage = TokenUsage(input_tokens=900_000, cached_tokens=100_000, output_tokens=40_000)
    for day in range(1, 4):
        written.turn(f"2025-10-0{day}", org_id=acme, usage=usage)
    written.turn("2025-10-09", org_id=acme, model="=HYPERLINK(1)", usage=usage)
    asyncio.run(written.project())
    return written


MONTH_OF = ("--month", "2025-10")
HOUR_US = 3600 * MICROS_PER_SECOND


def close(commands: Commands) -> None:
    assert commands.run("billing", "close", *MONTH_OF, "--assume-caught-up").exit_code == 0


def test_a_month_is_previewed_drafted_issued_and_issued_again(
    commands: Commands, journal: Journal
) -> None:
    (preview,) = commands.json("billing", "preview", *MONTH_OF, "--org", "acme")
    assert preview["state"] == "preview" and commands.json("billing", "list") == []
    (draft,) = commands.json("billing", "draft", *MONTH_OF)
    assert Decimal(draft["amount"]) * 10**9 == journal.cost()
    words = ("billing", "close", *MONTH_OF, "--assume-caught-up")
    (done,) = commands.json(*words)
    assert done["outcome"] == "closed"
    (invoice,) = done["invoices"]
    assert (invoice["number"], invoice["id"]) == ("INV-000001", draft["id"])
    assert invoice["lines"] == draft["lines"]
    (again,) = commands.json(*words)
    assert again["outcome"] == "already closed" and again["invoices"] == [invoice]
    assert "INV-000001" in commands.run(*words).output
    assert commands.json("billing", "list", "--state", "draft") == []
    assert [one["id"] for one in commands.json("billing", "list")] == [draft["id"]]


def test_a_close_asks_how_far_the_projector_is(
    commands: Commands, journal: Journal, tmp_path: Path
) -> None:
    refused = commands.run("billing", "close", *MONTH_OF)
    assert "assume-caught-up" in str(refused.exception)
    ended = us("2025-11-01")
    seen_by_a_projector(tmp_path, ended + 599 * MICROS_PER_SECOND)
    refused = commands.run("billing", "close", *MONTH_OF)
    assert refused.exit_code == 1 and "2025-10-31T23:59:59" in refused.output
    assert commands.json("billing", "list") == []
    seen_by_a_projector(tmp_path, ended + 601 * MICROS_PER_SECOND)
    assert commands.run("billing", "close", *MONTH_OF).exit_code == 0
    assert len(commands.json("billing", "list")) == 1


def test_every_turn_of_a_line_is_shown_with_its_place(commands: Commands, journal: Journal) -> None:
    close(commands)
    (invoice,) = commands.json("billing", "show", "1")
    for line in invoice["lines"]:
        turns = commands.json("billing", "show", "INV-000001", "--line", str(line["line"]))
        assert sum(turn["quantity"] for turn in turns) == line["quantity"]
        (place,) = line["positions"]
        assert len(turns) == place["turns"]
        for turn in turns:
            end = journal.ends[turn["sequence"] - 1]
            assert turn["turn_id"] == end.head.turn_id
            assert turn["cost_nano"] == end.charge.cost_nano
    text = commands.run("billing", "show", "INV-000001", "--line", "1").output
    assert journal.ends[3].head.turn_id in text
    shown = commands.run("billing", "show", "INV-000001").output
    assert "To pay" in shown and "rounded once" in shown


def test_an_invoice_is_credited_and_voided(commands: Commands, journal: Journal) -> None:
    close(commands)
    words = ("billing", "credit", "1", "0.50", "--reason", "an outage", "--reference", "7")
    (note,) = commands.json(*words)
    assert commands.json(*words) == [note] and note["amount"] == 50
    assert "no amount" in str(commands.run("billing", "credit", "1", "0.005", *words[4:]).exception)
    assert "CN-000001" in commands.run("billing", "show", "1").output
    refused = commands.run("billing", "void", "1", "--reason", "no")
    assert "credited" in str(refused.exception)


def test_a_void_month_is_closed_anew(commands: Commands, journal: Journal) -> None:
    close(commands)
    (void,) = commands.json("billing", "void", "1", "--reason", "wrong price")
    assert (void["state"], void["owed"]) == ("void", 0)
    close(commands)
    states = {one["number"]: one["state"] for one in commands.json("billing", "list")}
    assert states == {"INV-000001": "void", "INV-000002": "final"}


def test_exports_add_up_to_the_invoice(commands: Commands, journal: Journal) -> None:
    close(commands)
    commands.json("billing", "credit", "1", "0.50", "--reason", "an outage", "--reference", "7")
    (invoice,) = commands.json("billing", "show", "1")
    rows = read(commands.run("billing", "export", "1", "--format", "csv").output)
    assert sum(Decimal(row["amount"]) for row in rows) * 10**9 == journal.cost()
    assert {row["model"] for row in rows} == {"small", "'=HYPERLINK(1)"}
    focus = read(commands.run("billing", "export", *MONTH_OF, "--format", "focus").output)
    billed: dict[str, Decimal] = {}
    for row in focus:
        billed[row["InvoiceId"]] = billed.get(row["InvoiceId"], Decimal()) + Decimal(
            row["BilledCost"]
        )
    assert billed == {"INV-000001": Decimal(invoice["total"]) / 100, "CN-000001": Decimal("-0.50")}
    page = commands.run("billing", "export", "1", "--format", "html").output
    assert "INV-000001" in page and "=HYPERLINK(1)" in page
    assert commands.run("billing", "export", "--format", "html").exit_code == 2


def test_the_help_teaches_by_example(commands: Commands) -> None:
    help_text = commands.run("billing", "--help").output
    assert "axon billing close --month 2026-10" in help_text
    for name in ("preview", "draft", "close", "list", "show", "void", "credit", "export"):
        assert "Examples:" in commands.run("billing", name, "--help").output


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


async def test_invoices_outlive_their_organization(
    commands: Commands, journal: Journal, database: str
) -> None:
    """An organization without a row of its own is billed under its id."""
    connection = await asyncpg.connect(database)
    await connection.execute("DELETE FROM accounts.orgs")
    await connection.close()
    done = await asyncio.to_thread(
        commands.json, "billing", "close", *MONTH_OF, "--assume-caught-up"
    )
    assert done[0]["org_name"] == done[0]["org_id"] and done[0]["outcome"] == "closed"


def test_stripe_is_linked_told_and_checked(commands: Commands, acme: str, database: str) -> None:
    """The three commands against a stand-in for Stripe, with the official SDK."""
    now_us = SystemClock().now_us()
    with running(FakeStripe(now=lambda: now_us // MICROS_PER_SECOND)) as fake:
        refused = commands.run("billing", "stripe", "sync")
        assert "stripe.key" in str(refused.exception)
        commands.set("AXON_STRIPE_KEY", KEY)
        commands.set("AXON_STRIPE_BASE_URL", fake.url)
        (linked,) = commands.json("billing", "stripe", "link", "acme")
        assert fake.customers[linked["customer_id"]]["metadata"] == {"axon_org_id": acme}
        assert commands.json("billing", "stripe", "link", "acme") == [linked]
        asyncio.run(linked_since(database, now_us - 3 * HOUR_US))
        journal = Journal(database)
        journal.turn(now_us - 2 * HOUR_US, org_id=acme)
        asyncio.run(journal.project())
        (told,) = commands.json("billing", "stripe", "sync")
        assert told["sent"] == 1 and fake.total("axon_cost_nano_usd") == journal.cost()
        words = ("billing", "stripe", "check", "--from", "2026-01-01")
        assert commands.json(*words) == []
        fake.events.clear()
        differs = commands.run(*words, "--mend")
        assert differs.exit_code == 1 and "1 of 1" in differs.output
        (told,) = commands.json("billing", "stripe", "sync")
        assert told["sent"] == 1 and commands.json(*words) == []


def test_what_stripe_rejects_is_shown_and_told_again(
    commands: Commands, acme: str, database: str
) -> None:
    now_us = SystemClock().now_us()
    with running(FakeStripe(now=lambda: now_us // MICROS_PER_SECOND)) as fake:
        commands.set("AXON_STRIPE_KEY", KEY)
        commands.set("AXON_STRIPE_BASE_URL", fake.url)
        commands.json("billing", "stripe", "link", "acme")
        asyncio.run(linked_since(database, now_us - 3 * HOUR_US))
        journal = Journal(database)
        journal.turn(now_us - 2 * HOUR_US, org_id=acme)
        asyncio.run(journal.project())
        fake.rejects = lambda event: True
        for _ in range(6):
            commands.run("billing", "stripe", "sync")
        fake.rejects = lambda event: False
        rejected = commands.json("billing", "stripe", "rejected", "--org", "acme")
        assert [one["told_again"] for one in rejected] == [False] * 5
        fake.reports[-1]["data"]["reason"]["error_count"] = 9
        shown = commands.run("billing", "stripe", "rejected", "--retry")
        assert "no more" in shown.output and "5 are told again" in shown.output
        assert commands.json("billing", "stripe", "sync")[0]["sent"] == 1
        assert fake.total("axon_cost_nano_usd") == journal.cost()
        assert commands.json("billing", "stripe", "rejected") == []


def test_stripe_asks_for_what_was_invoiced(commands: Commands, journal: Journal, acme: str) -> None:
    now_us = SystemClock().now_us()
    with running(FakeStripe(now=lambda: now_us // MICROS_PER_SECOND)) as fake:
        commands.set("AXON_STRIPE_KEY", KEY)
        commands.set("AXON_STRIPE_BASE_URL", fake.url)
        words = ("billing", "stripe", "invoices")
        link = ("billing", "stripe", "link", "acme", "--email", "billing@acme.example")
        (linked,) = commands.json(*link, "--invoices-from", "2025-10")
        close(commands)
        (invoice,) = commands.json("billing", "list")
        assert commands.json(*words) == []
        subscription = {"id": "sub_1", "customer": linked["customer_id"]}
        meter = fake.make_meter(
            {"display_name": "", "event_name": "axon_cost_nano_usd", "default_aggregation": {}}
        )
        price_of = {"price": {"recurring": {"meter": meter["id"]}}}
        fake.billed.subscriptions.append({**subscription, "items": {"data": [price_of]}})
        refused = commands.run(*words, "--tell")
        assert refused.exit_code == 1 and "a subscription" in refused.output
        fake.billed.subscriptions.clear()
        (told,) = commands.json(*words, "--retry", "INV-000001", "--tell", "--org", "acme")
        assert (told["state"], told["total"]) == ("final", invoice["total"])
        assert fake.billed.asked_for(linked["customer_id"]) == {invoice["id"]: invoice["total"]}
        assert commands.json(*words, "--check") == [told]
        credit = ("billing", "credit", "1", "0.50", "--reason", "an outage", "--reference", "7")
        (note,) = commands.json(*credit)
        (credited,) = commands.json(*words, "--tell")
        assert credited == {**told, "credited": note["amount"]}
        assert commands.run(*words, "--retry", "CN-000001").exit_code == 1
        next(iter(fake.billed.invoices.values()))["inherited"] = 3
        differs = commands.run(*words, "--check")
        assert differs.exit_code == 1 and "INV-000001: " in differs.output


async def linked_since(database: str, since_us: int) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE billing.stripe_customers SET since_us = $1", since_us)
    await connection.close()
