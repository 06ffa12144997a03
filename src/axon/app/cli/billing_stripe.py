"""axon billing stripe: has Stripe know what hours cost and invoices ask for; sees that it does."""

import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from rich.console import Console

from axon.accounts import Org
from axon.app.cli.asking import Asked, org_named
from axon.app.cli.billing_tables import show_at_stripe, show_rejected
from axon.app.cli.command import ExampleGroup
from axon.app.cli.instants import INSTANT
from axon.app.cli.metering import Metering, MeteringRooms, for_metering, org_id_of
from axon.app.cli.money import money
from axon.app.cli.tables import day, show
from axon.app.stripe_telling import stripe_api, stripe_bills
from axon.base import SystemClock
from axon.billing import (
    HourDiffers,
    InvoiceAtStripe,
    Linking,
    RejectedEvent,
    RejectedEvents,
    ReportRead,
    Reports,
    StripeCrediting,
    StripeInvoicing,
    StripeSync,
)

Result = TypeVar("Result")


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon billing stripe link acme                  # makes a customer of it",
        "axon billing stripe sync                       # tell Stripe what it lacks",
        "axon billing stripe check --from 2026-11-01    # does Stripe have what it was told?",
        "axon billing stripe rejected                   # what it could not use, and why",
        "axon billing stripe invoices --tell            # have it ask for what was invoiced",
    ],
)
def stripe() -> None:
    """Stripe: meters of what linked organizations' hours cost, and their invoices."""


@stripe.command(
    "link",
    examples=[
        "axon billing stripe link acme",
        "axon billing stripe link acme --customer cus_NciAYcXfLnqBoz",
        "axon billing stripe link acme --invoices-from 2026-11 --email billing@acme.example",
    ],
)
@click.argument("org")
@click.option("--customer", default="", help="Of Stripe's; else one is made.")
@click.option("--email", default="", help="Of the customer that is made: where invoices go.")
@click.option(
    "--invoices-from", help="Its invoices of this month and later become Stripe's; '' ends that."
)
@for_metering
def link(asked: Metering, org: str, customer: str, email: str, invoices_from: str | None) -> None:
    """Have Stripe told of an organization's cost, from this hour on, and of its invoices."""
    accounts = Asked(asked.settings, asked.as_json)
    found: Org = accounts.run(lambda admin: org_named(admin, org))
    wanted = Linking(customer_id=customer, email=email, invoices_from=invoices_from)
    customer_id = _run(asked, lambda sync: sync.link(found.org_id, found.name, wanted))
    linked = [{"org_id": found.org_id, "customer_id": customer_id}]
    columns = {"Organization": [found.name], "Customer": [customer_id]}
    show(linked, columns, asked.as_json)


@stripe.command("sync", examples=["axon billing stripe sync", "axon billing stripe sync --json"])
@for_metering
def sync_meters(asked: Metering) -> None:
    """Tell Stripe of every hour that it lacks; done again it tells nothing twice.

    The exit code is 1 when Stripe rejected something; `--json` says how much.
    """
    told = _run(asked, lambda sync: sync.run_round())
    columns = {
        "New": [str(told.gathered)],
        "Sent": [str(told.sent)],
        "Rejected": [str(told.rejected)],
        "Left": [str(told.due)],
    }
    show([told], columns, asked.as_json)
    sys.exit(told.rejected > 0)


@stripe.command(
    "check",
    examples=[
        "axon billing stripe check --from 2026-11-01",
        "axon billing stripe check --from 2026-11-01 --to 2026-12-01 --mend",
    ],
)
@click.option("--from", "begins", type=INSTANT, required=True, help="From this hour on.")
@click.option("--to", "ends", type=INSTANT, help="Before this hour; else until an hour ago.")
@click.option("--mend", is_flag=True, help="Tell again what Stripe has lost.")
@for_metering
def check(asked: Metering, begins: int, ends: int | None, mend: bool) -> None:
    """Compare what Stripe's meters say with what it was sent; name every hour that differs.

    Stripe sums a while after it is told: what was sent in the last hour may not be there yet. The
    exit code is 1 when something differs.
    """
    until_us = ends or SystemClock().now_us() - 3600 * 1_000_000

    async def work(sync: StripeSync) -> tuple[list[HourDiffers], int]:
        found = await sync.differences(begins, until_us)
        return found, sum([await sync.mend(one) for one in found]) if mend else 0

    found, mended = _run(asked, work)
    _show(found, asked.as_json)
    if mend:
        message = f"[dim]{mended} of {len(found)} are told again by the next sync."
        Console(stderr=True).print(message)
    sys.exit(bool(found))


@stripe.command(
    "rejected",
    examples=["axon billing stripe rejected", "axon billing stripe rejected --retry --org acme"],
)
@click.option("--org", default="", help="Only of this organization, by name or id.")
@click.option("--retry", is_flag=True, help="The cause is corrected: have all of it told again.")
@for_metering
def rejected(asked: Metering, org: str, retry: bool) -> None:
    """List the events that Stripe could not use, and why; each is told again, five times at most.

    Stripe names some of a great many: what it did not name, `check --mend` finds.
    """
    org_id = org_id_of(asked, org) if org else ""

    async def work(rooms: MeteringRooms) -> tuple[list[RejectedEvent], list[ReportRead], int]:
        events = RejectedEvents(rooms.postgres)
        found = await events.list_all(org_id)
        unclear = await Reports(rooms.postgres, SystemClock()).unclear()
        return found, unclear, await events.forgive(org_id) if retry else 0

    found, unclear, forgiven = asked.run(work)
    show_rejected(found, asked.as_json)
    console = Console(stderr=True)
    for one in unclear:
        why = one.error or f"it names {one.named} of {one.errors} events: run `check --mend`"
        console.print(f"[dim]Report {one.report_id} of {day(one.handled_us)}: {why}")
    if retry:
        console.print(f"[dim]{forgiven} are told again by the next sync.")


@stripe.command(
    "invoices",
    examples=[
        "axon billing stripe invoices",
        "axon billing stripe invoices --tell",
        "axon billing stripe invoices --check",
        "axon billing stripe invoices --retry INV-000001 --tell",
    ],
)
@click.option("--org", default="", help="Only of this organization, by name or id.")
@click.option("--tell", is_flag=True, help="First tell Stripe what is due.")
@click.option("--retry", default="", metavar="NUMBER", help="First make this one due again.")
@click.option("--check", is_flag=True, help="Name those that are something else at Stripe by now.")
@for_metering
def invoices(asked: Metering, org: str, tell: bool, retry: str, check: bool) -> None:
    """List the invoices that Stripe asks for, and how far each is; credit notes go with them.

    The exit code is 1 when Stripe refused one, or with --check when one differs.
    """
    org_id = org_id_of(asked, org) if org else ""

    async def work(rooms: MeteringRooms) -> tuple[list[InvoiceAtStripe], list[tuple[str, str]]]:
        account = stripe_api(asked.settings.stripe)
        bills = stripe_bills(asked.settings.stripe, account)
        invoicing = StripeInvoicing(rooms.postgres, SystemClock(), bills)
        crediting = StripeCrediting(rooms.postgres, SystemClock(), bills)
        if retry:
            await (crediting if retry.startswith("CN-") else invoicing).retry(retry)
        if tell:
            await invoicing.run_round()
            await crediting.run_round()
        differ = await invoicing.differences(org_id) if check else []
        return await invoicing.standing(org_id), [(one.invoice.name, why) for one, why in differ]

    found, differ = asked.run(work)
    show_at_stripe(found, asked.as_json)
    for name, why in differ:
        Console(stderr=True).print(f"{name}: {why}")
    sys.exit(bool(differ) or any(one.error for one in found))


def _run(asked: Metering, work: Callable[[StripeSync], Awaitable[Result]]) -> Result:
    account = stripe_api(asked.settings.stripe)
    return asked.run(lambda rooms: work(StripeSync(rooms.postgres, SystemClock(), account)))


def _show(found: list[HourDiffers], as_json: bool) -> None:
    columns = {
        "Organization": [one.org_id for one in found],
        "Hour": [day(one.hour_us) for one in found],
        "Currency": [one.currency for one in found],
        "Sent": [money(one.sent_nano) for one in found],
        "Stripe has": [money(one.stripe_nano) for one in found],
    }
    show(found, columns, as_json)
