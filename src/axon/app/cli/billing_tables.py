"""How `axon billing` shows invoices, what closing a month did, and the turns of a line."""

from collections.abc import Sequence

import msgspec

from axon.app.cli.money import money
from axon.app.cli.tables import day, show, wide_console
from axon.base import utc_from_us
from axon.billing import (
    BilledTurn,
    Closing,
    Invoice,
    InvoiceAtStripe,
    InvoiceShown,
    RejectedEvent,
    invoice_shown,
    minor_text,
)


class _Done(msgspec.Struct, frozen=True, kw_only=True):
    """What closing a month did for one organization."""

    org_id: str
    org_name: str
    outcome: str
    reason: str
    unpriced: int
    left_out: int
    invoices: list[InvoiceShown]


class _AtStripe(msgspec.Struct, frozen=True, kw_only=True):
    """How far Stripe is with an invoice."""

    number: str
    id: str
    org_id: str
    month: str
    total: int
    currency: str
    state: str
    stripe_id: str
    customer_id: str
    credited: int
    error: str


def show_at_stripe(found: Sequence[InvoiceAtStripe], as_json: bool) -> None:
    """Print how far Stripe is with invoices, one a line."""
    shown = [
        _AtStripe(
            number=one.invoice.name,
            id=one.invoice.invoice_id,
            org_id=one.invoice.org_id,
            month=one.invoice.month,
            total=one.invoice.total_minor,
            currency=one.invoice.currency,
            state=one.state,
            stripe_id=one.stripe_id,
            customer_id=one.customer_id,
            credited=one.credited_minor,
            error=one.error,
        )
        for one in found
    ]
    columns: dict[str, list[str]] = {
        "Invoice": [one.number for one in shown],
        "Organization": [one.invoice.org_name for one in found],
        "Month": [one.month for one in shown],
        "Total": [f"{minor_text(one.total, one.currency)} {one.currency}" for one in shown],
        "State": [one.state for one in shown],
        "At Stripe": [one.stripe_id for one in shown],
        "Credited": [minor_text(one.credited, one.currency) for one in shown],
        "Why refused": [one.error for one in shown],
    }
    show(shown, columns, as_json)


def show_rejected(found: Sequence[RejectedEvent], as_json: bool) -> None:
    """Print events that Stripe could not use, one a line."""
    columns: dict[str, list[str]] = {
        "Event": [one.identifier for one in found],
        "Organization": [one.org_id for one in found],
        "Hour": [day(one.hour_us) for one in found],
        "Amount": [f"{money(one.value_nano)} {one.currency}" for one in found],
        "Told again": ["yes" if one.told_again else "no more" for one in found],
        "Why": [one.error for one in found],
    }
    show(found, columns, as_json)


def show_invoices(found: Sequence[Invoice], as_json: bool) -> None:
    """Print invoices, one a line."""
    columns: dict[str, list[str]] = {
        "Invoice": [one.name for one in found],
        "State": [one.state for one in found],
        "Organization": [one.org_name for one in found],
        "Month": [one.month for one in found],
        "Exact sum": [money(one.amount_nano) for one in found],
        "Total": [minor_text(one.total_minor, one.currency) for one in found],
        "To pay": [f"{minor_text(one.owed_minor, one.currency)} {one.currency}" for one in found],
        "Id": [one.invoice_id for one in found],
    }
    show([invoice_shown(one, whole=bool(one.lines)) for one in found], columns, as_json)


def show_closings(done: Sequence[Closing], as_json: bool) -> None:
    """Print what closing a month did, one organization a line, or one invoice."""
    columns: dict[str, list[str]] = {
        "Organization": [], "Outcome": [], "Invoice": [], "Total": [], "Notes": []
    }  # fmt: skip
    for one in done:
        for invoice in one.invoices or (None,):
            total = ""
            if invoice is not None:
                minor = minor_text(invoice.total_minor, invoice.currency)
                total = f"{minor} {invoice.currency}"
            cells = (one.org_name, one.outcome, invoice.name if invoice else "", total, _notes(one))
            for column, cell in zip(columns.values(), cells, strict=True):
                column.append(cell)
    show([_done(one) for one in done], columns, as_json)


def _done(one: Closing) -> _Done:
    return _Done(
        org_id=one.org_id,
        org_name=one.org_name,
        outcome=one.outcome,
        reason=one.reason,
        unpriced=one.unpriced,
        left_out=one.left_out,
        invoices=[invoice_shown(invoice) for invoice in one.invoices],
    )


def _notes(one: Closing) -> str:
    notes = [one.reason] if one.reason else []
    if one.unpriced:
        notes.append(f"{one.unpriced:,} turns had no price: axon prices check, then rerate")
    if one.left_out:
        notes.append(f"{one.left_out:,} records are parked and come late: axon parked list")
    return "; ".join(notes)


def show_lines(found: Invoice, as_json: bool) -> None:
    """Print an invoice: its lines, then its sums."""
    lines = found.lines
    columns = {
        "Line": [str(line.line) for line in lines],
        "Model": [line.model for line in lines],
        "What": [line.kind for line in lines],
        "Of": [
            line.month if line.origin == "usage" else f"{line.month} ({line.origin})"
            for line in lines
        ],
        "Quantity": [f"{line.quantity:,}" for line in lines],
        "Rate": ["" if line.rate_nano is None else money(line.rate_nano) for line in lines],
        "Amount": [f"{money(line.amount_nano)} {found.currency}" for line in lines],
        "Turns": [f"{sum(place.turns for place in line.positions):,}" for line in lines],
        "Price": [line.price_id for line in lines],
    }
    show([invoice_shown(found)], columns, as_json)
    if not as_json:
        currency = found.currency
        console = wide_console()
        console.print(f"\n{found.name} · {found.org_name} · {found.month} · {found.state}")
        console.print(f"Exact sum {money(found.amount_nano)} {currency}, rounded once:", end=" ")
        console.print(f"[bold]{minor_text(found.total_minor, currency)} {currency}[/]")
        for note in found.credit_notes:
            amount = minor_text(-note.amount_minor, currency)
            console.print(f"{note.name} {amount} {currency}  {note.reason}", markup=False)
        console.print(f"To pay [bold]{minor_text(found.owed_minor, currency)} {currency}[/]")


def _cells(turn: BilledTurn) -> tuple[str, ...]:
    accepted = f"{utc_from_us(turn.accepted_us):%Y-%m-%d %H:%M:%S}"
    return (
        turn.instance,
        str(turn.sequence),
        accepted,
        f"{turn.quantity:,}",
        money(turn.cost_nano),
        turn.turn_id,
    )


def _turn_text(cells: tuple[str, ...]) -> str:
    widths = (24, 12, 21, 12, 16)
    head = "".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
    return head + cells[-1]


TURN_TITLES = _turn_text(("Journal", "Sequence", "Accepted (UTC)", "Quantity", "Charge", "Turn"))
"""What stands above the turns of a line."""


def turn_shown(turn: BilledTurn, as_json: bool) -> str:
    """Return a turn as one line; `Charge` is the whole turn's, whatever sort the line is of."""
    return msgspec.json.encode(turn).decode() if as_json else _turn_text(_cells(turn))
