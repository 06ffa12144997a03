"""An invoice as programs read it: exact amounts as decimal text, totals in minor units."""

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.billing.invoice import CreditNote, Invoice, Line, Position
from axon.billing.money import minor_digits, nano_text


class CreditNoteShown(msgspec.Struct, frozen=True, kw_only=True):
    """A credit note; `amount` is in minor units of the invoice's currency."""

    id: str
    number: str
    reason: str
    reference: str
    amount: int
    issued_at: int


class LineShown(msgspec.Struct, frozen=True, kw_only=True):
    """A line; `rate` is for a million tokens, or for a request, and null where there is no one."""

    line: int
    origin: str
    month: str
    model: str
    kind: str
    price_id: str
    tier: int
    quantity: int
    rate: str | None
    amount: str
    positions: list[Position]


class InvoiceShown(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice; `lines` is left out where many are listed. Times are seconds since 1970."""

    id: str
    object: str = "invoice"
    number: str | None
    state: str
    org_id: str
    org_name: str
    month: str
    time_zone: str
    starts_at: int
    ends_at: int
    currency: str
    minor_digits: int
    amount: str
    total: int
    credited: int
    owed: int
    issued_at: int | None
    voided_at: int | None
    void_reason: str | None
    credit_notes: list[CreditNoteShown]
    lines: list[LineShown] | msgspec.UnsetType = msgspec.UNSET


def invoice_shown(invoice: Invoice, whole: bool = True) -> InvoiceShown:
    """Return the invoice as it is shown, with its lines when it is the `whole` one."""
    return InvoiceShown(
        id=invoice.invoice_id,
        number=None if invoice.number is None else invoice.name,
        state=invoice.state,
        org_id=invoice.org_id,
        org_name=invoice.org_name,
        month=invoice.month,
        time_zone=invoice.time_zone,
        starts_at=invoice.starts_us // MICROS_PER_SECOND,
        ends_at=invoice.ends_us // MICROS_PER_SECOND,
        currency=invoice.currency,
        minor_digits=minor_digits(invoice.currency),
        amount=nano_text(invoice.amount_nano, grouped=False),
        total=invoice.total_minor,
        credited=invoice.credited_minor,
        owed=invoice.owed_minor,
        issued_at=invoice.final_us // MICROS_PER_SECOND or None,
        voided_at=invoice.voided_us // MICROS_PER_SECOND or None,
        void_reason=invoice.void_reason or None,
        credit_notes=[credit_note_shown(note) for note in invoice.credit_notes],
        lines=[_line_shown(line) for line in invoice.lines] if whole else msgspec.UNSET,
    )


def credit_note_shown(note: CreditNote) -> CreditNoteShown:
    """Return the credit note as it is shown."""
    return CreditNoteShown(
        id=note.credit_note_id,
        number=note.name,
        reason=note.reason,
        reference=note.reference,
        amount=note.amount_minor,
        issued_at=note.made_us // MICROS_PER_SECOND,
    )


def _line_shown(line: Line) -> LineShown:
    return LineShown(
        line=line.line,
        origin=line.origin,
        month=line.month,
        model=line.model,
        kind=line.kind,
        price_id=line.price_id,
        tier=line.tier,
        quantity=line.quantity,
        rate=None if line.rate_nano is None else nano_text(line.rate_nano, grouped=False),
        amount=nano_text(line.amount_nano, grouped=False),
        positions=list(line.positions),
    )
