"""An invoice as CSV: one row a line, exact amounts, and where its turns are in the journals."""

from collections.abc import Sequence

from axon.billing.csv_table import Number, csv_table
from axon.billing.invoice import Invoice, Position
from axon.billing.money import nano_text

_COLUMNS = (
    "invoice", "state", "org_id", "month", "time_zone", "currency", "line", "origin", "line_month",
    "model", "kind", "price_id", "tier", "quantity", "rate", "amount", "positions",
)  # fmt: skip


def csv_statement(invoices: Sequence[Invoice]) -> str:
    """Return the lines of invoices; `rate` is for a million tokens, or for a request."""
    return csv_table(
        _COLUMNS,
        [
            (
                invoice.name,
                invoice.state,
                invoice.org_id,
                invoice.month,
                invoice.time_zone,
                invoice.currency,
                line.line,
                line.origin,
                line.month,
                line.model,
                line.kind,
                line.price_id,
                line.tier,
                line.quantity,
                "" if line.rate_nano is None else Number(nano_text(line.rate_nano, grouped=False)),
                Number(nano_text(line.amount_nano, grouped=False)),
                " ".join(position_text(place) for place in line.positions),
            )
            for invoice in invoices
            for line in invoice.lines
        ],
    )


def position_text(place: Position) -> str:
    """Return where some turns are, as `instance:first-last(turns)`."""
    return f"{place.instance}:{place.first_sequence}-{place.last_sequence}({place.turns})"
