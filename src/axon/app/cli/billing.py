"""axon billing: invoices of a month, and every turn behind them."""

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from axon.app.cli.billing_stripe import stripe
from axon.app.cli.billing_tables import (
    TURN_TITLES,
    show_closings,
    show_invoices,
    show_lines,
    turn_shown,
)
from axon.app.cli.command import ExampleGroup
from axon.app.cli.metering import Metering, MeteringRooms, for_metering, org_id_of
from axon.app.cli.tables import show
from axon.app.folders import DataFolder
from axon.app.settings import Settings
from axon.base import MICROS_PER_SECOND, AxonError
from axon.billing import (
    CreditWrong,
    Invoice,
    credit_note_shown,
    csv_statement,
    focus_csv,
    html_statement,
    minor_of,
    minor_text,
)
from axon.projection import read_status

_STATES = ("draft", "final", "void")


class ProjectorUnseen(AxonError):
    """No projector was ever seen from this data folder, so nobody here can say whether PostgreSQL
    has all turns of the month: close it where one runs, or with --assume-caught-up.
    """


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon billing preview --month 2026-10        # what it would come to; stores nothing",
        "axon billing close --month 2026-10          # issue the invoices; again changes nothing",
        "axon billing list",
        "axon billing show INV-000001",
        "axon billing show INV-000001 --line 2       # the turns of a line, and where they are",
        "axon billing export INV-000001 --format html > invoice.html",
    ],
)
def billing() -> None:
    """Invoices: what each organization's month came to, and every turn behind it."""


_month = click.option("--month", required=True, help="As 2026-10.")
_any_month = click.option("--month", default="", help="Only of this one, as 2026-10.")
_org = click.option("--org", default="", help="Only of this organization, by name or id.")


@billing.command(
    "preview",
    examples=[
        "axon billing preview --month 2026-10",
        "axon billing preview --month 2026-10 --org acme",
    ],
)
@_month
@_org
@for_metering
def preview(asked: Metering, month: str, org: str) -> None:
    """Show what the invoices of a month would be now; nothing is stored.

    A month that is closed has none.
    """
    org_id = _org_id(asked, org)
    show_invoices(asked.run(lambda rooms: rooms.billing.preview(month, org_id)), asked.as_json)


@billing.command("draft", examples=["axon billing draft --month 2026-10 --org acme"])
@_month
@_org
@for_metering
def draft(asked: Metering, month: str, org: str) -> None:
    """Store what the invoices of a month would be now, in place of its earlier drafts."""
    org_id = _org_id(asked, org)
    show_invoices(asked.run(lambda rooms: rooms.billing.draft(month, org_id)), asked.as_json)


@billing.command(
    "close",
    examples=[
        "axon billing close --month 2026-10",
        "axon billing close --month 2026-10 --org acme --json",
    ],
)
@_month
@_org
@click.option(
    "--assume-caught-up", is_flag=True,
    help="Do not ask how far the projector is; what it brings in later is on the next invoice.",
)  # fmt: skip
@for_metering
def close(asked: Metering, month: str, org: str, assume_caught_up: bool) -> None:
    """Issue the invoices of a month that is over, and say what was done.

    Done again it changes nothing. Turns and corrections that come in later are on the next
    invoice; a final one is never changed. Exit code 1 when something could not be closed.
    """
    org_id = _org_id(asked, org)
    caught_up_us = None if assume_caught_up else _caught_up_us(asked.settings)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("")

        def show_progress(done: int, total: int, name: str) -> None:
            progress.update(task, description=name, completed=done, total=total or None)

        done = asked.run(
            lambda rooms: rooms.billing.close(month, org_id, caught_up_us, show_progress)
        )
    show_closings(done, asked.as_json)
    sys.exit(any(one.outcome == "refused" for one in done))


@billing.command(
    "list",
    examples=["axon billing list --org acme", "axon billing list --month 2026-10 --state final"],
)
@_any_month
@_org
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True, help="Only these.")
@for_metering
def list_invoices(asked: Metering, month: str, org: str, states: tuple[str, ...]) -> None:
    """List invoices, the newest month first."""
    org_id = _org_id(asked, org)
    chosen = states or _STATES
    show_invoices(
        asked.run(lambda rooms: rooms.invoices.list_all(org_id, month or None, chosen)),
        asked.as_json,
    )


@billing.command(
    "show",
    examples=["axon billing show INV-000001", "axon billing show INV-000001 --line 2 --json"],
)
@click.argument("invoice")
@click.option(
    "--line", type=int, help="The turns of this line, and where in the journals they are."
)
@for_metering
def show_invoice(asked: Metering, invoice: str, line: int | None) -> None:
    """Show an invoice by its number or id, or the turns that one of its lines sums."""
    if line is None:
        show_lines(asked.run(lambda rooms: rooms.invoices.read(invoice)), asked.as_json)
    else:
        _show_turns(asked, invoice, line)


@billing.command("void", examples=['axon billing void INV-000001 --reason "wrong price"'])
@click.argument("invoice")
@click.option("--reason", required=True, help="Why; it is on the invoice.")
@for_metering
def void(asked: Metering, invoice: str, reason: str) -> None:
    """Void an invoice of the newest closed month, and open that month again.

    Closing it again issues another invoice, with a number of its own.
    """
    show_invoices(asked.run(lambda rooms: rooms.billing.void(invoice, reason)), asked.as_json)


@billing.command(
    "credit",
    examples=['axon billing credit INV-000001 12.50 --reason "an outage" --reference ticket-7'],
)
@click.argument("invoice")
@click.argument("amount")
@click.option("--reason", required=True, help="Why; it is on the credit note.")
@click.option("--reference", required=True, help="Yours; the same one again credits nothing more.")
@for_metering
def credit(asked: Metering, invoice: str, amount: str, reason: str, reference: str) -> None:
    """Credit part of a final invoice."""
    found = asked.run(lambda rooms: rooms.invoices.read(invoice))
    minor = _minor(amount, found.currency)
    note = asked.run(lambda rooms: rooms.billing.credit(invoice, minor, reason, reference))
    columns = {
        "Credit note": [note.name],
        "Invoice": [found.name],
        "Amount": [f"{minor_text(note.amount_minor, found.currency)} {found.currency}"],
        "Reason": [note.reason],
    }
    show([credit_note_shown(note)], columns, asked.as_json)


@billing.command(
    "export",
    examples=[
        "axon billing export INV-000001 --format html > invoice.html",
        "axon billing export --month 2026-10 --org acme --format focus > focus.csv",
        "axon billing export --month 2026-10 --format csv > october.csv",
    ],
)
@click.argument("invoice", default="")
@_any_month
@_org
@click.option(
    "--format", "form", type=click.Choice(["html", "csv", "focus"]), required=True,
    help="A page, its lines, or FOCUS 1.2.",
)  # fmt: skip
@for_metering
def export(asked: Metering, invoice: str, month: str, org: str, form: str) -> None:
    """Print an invoice, or the final ones of a month, as HTML, CSV or FOCUS 1.2 (CSV)."""
    if bool(invoice) == bool(month):
        raise click.UsageError("Name an invoice, or a --month.")
    org_id = _org_id(asked, org)

    async def work(rooms: MeteringRooms) -> list[Invoice]:
        names = [invoice]
        if month:
            listed = await rooms.invoices.list_all(org_id, month, ("final",))
            names = [one.invoice_id for one in reversed(listed)]
        return [await rooms.invoices.read(name) for name in names]

    found = asked.run(work)
    issuer = asked.settings.billing.issuer
    if form == "html":
        if len(found) != 1:
            raise click.UsageError(f"A page is of one invoice; these are {len(found)}: name one.")
        click.echo(html_statement(found[0], issuer), nl=False)
    else:
        text = csv_statement(found) if form == "csv" else focus_csv(found, issuer)
        click.echo(text, nl=False)


def _org_id(asked: Metering, org: str) -> str:
    return org_id_of(asked, org) if org else ""


def _caught_up_us(settings: Settings) -> int:
    """Return the instant before which every accepted turn has ended and is in PostgreSQL.

    As far as this node's projector can say; raises ProjectorUnseen.
    """
    root: Path = DataFolder.of(settings).journals
    status = read_status(root)
    if status is None:
        raise ProjectorUnseen(str(root))
    longest_s = status.lag_seconds + settings.turns.timeout_s
    return status.at_us - int(longest_s * MICROS_PER_SECOND)


def _minor(amount: str, currency: str) -> int:
    try:
        minor = minor_of(Decimal(amount), currency)
    except InvalidOperation:
        minor = None
    if minor is None:
        raise CreditWrong(f"{amount!r} is no amount of {currency}")
    return minor


def _show_turns(asked: Metering, name: str, line: int) -> None:
    """Print the turns as they are read: there may be millions."""

    async def work(rooms: MeteringRooms) -> None:
        invoice = await rooms.invoices.read(name)
        if not asked.as_json:
            click.echo(TURN_TITLES)
        async for turn in rooms.invoices.turns_of(invoice, line):
            click.echo(turn_shown(turn, asked.as_json))

    asked.run(work)


billing.add_command(stripe)
