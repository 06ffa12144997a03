"""An organization's month in FOCUS 1.2, the FinOps Open Cost and Usage Specification.

Source: https://focus.finops.org/focus-specification/v1-2/. Every mandatory column is here, and what
can be filled of the others; a reader goes by their names.
"""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from axon.base import NANOS_PER_UNIT, utc_from_us
from axon.billing.csv_table import Number, csv_table
from axon.billing.invoice import CORRECTION, OVERAGE, CreditNote, Invoice, Line
from axon.billing.money import minor_digits, minor_text, nano_text
from axon.billing.months import month_named

_TOKENS_PER_RATE = 1_000_000

_METERS = {
    "input": "Input Tokens",
    "cached": "Cached Input Tokens",
    "cache_write": "Cache Write Tokens",
    "output": "Output Tokens",
    "reasoning": "Reasoning Tokens",
    "request": "Requests",
    OVERAGE: "Requests Beyond a Limit",
}

FOCUS_COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency",
    "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription",
    "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit",
    "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName",
    "ListCost", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit",
    "ProviderName", "PublisherName", "ServiceCategory", "ServiceName", "ServiceSubcategory",
    "SkuId", "SkuMeter", "SkuPriceId",
)  # fmt: skip
"""In alphabetical order. What a row leaves out is null: an empty field."""

_Row = dict[str, object]


def focus_csv(invoices: Sequence[Invoice], issuer: str) -> str:
    """Return the invoices' charges; the billed costs of an InvoiceId add up to its document.

    An invoice has a row for each line and one for what rounding its total once made of the exact
    sum. A credit note is a document of its own, with its own InvoiceId and a negative cost. Drafts
    have no InvoiceId; what is void is left out.
    """
    rows: list[_Row] = []
    for invoice in invoices:
        if invoice.state == "void":
            continue
        shared = _shared(invoice, issuer)
        rows += [shared | _charge(invoice, line) for line in invoice.lines]
        rows += [shared | row for row in _rounding(invoice)]
        rows += [shared | _credit(invoice, note) for note in invoice.credit_notes]
    return csv_table(
        FOCUS_COLUMNS, [[row.get(column, "") for column in FOCUS_COLUMNS] for row in rows]
    )


def _shared(invoice: Invoice, issuer: str) -> _Row:
    """Return what every charge of an invoice says."""
    starts, ends = _time(invoice.starts_us), _time(invoice.ends_us)
    return {
        "BillingAccountId": invoice.org_id,
        "BillingAccountName": invoice.org_name,
        "BillingAccountType": "Organization",
        "BillingCurrency": invoice.currency,
        "BillingPeriodStart": starts,
        "BillingPeriodEnd": ends,
        "ChargePeriodStart": starts,
        "ChargePeriodEnd": ends,
        "InvoiceId": "" if invoice.number is None else invoice.name,
        "InvoiceIssuerName": issuer,
        "ProviderName": issuer,
        "PublisherName": issuer,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "ServiceName": "Language models",
    }


def _charge(invoice: Invoice, line: Line) -> _Row:
    earlier = line.origin != "usage" and line.month != invoice.month
    row: _Row = _costs(Number(nano_text(line.amount_nano, grouped=False)))
    row["ChargeClass"] = "Correction" if earlier else ""
    if earlier:
        month, zone = month_named(line.month), ZoneInfo(invoice.time_zone)
        row["ChargePeriodStart"] = _time(month.begins_us(zone))
        row["ChargePeriodEnd"] = _time(month.next().begins_us(zone))
    if line.kind == CORRECTION:
        return row | {
            "ChargeCategory": "Adjustment",
            "ChargeFrequency": "One-Time",
            "ChargeDescription": f"{line.model}: {line.quantity:,} corrections of {line.month}",
            "SkuId": line.model,
        }
    meter = _METERS[line.kind]
    row |= {
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargeDescription": f"{line.model}: {line.quantity:,} {meter.lower()} in {line.month}",
        "PricingCategory": "Other" if line.kind == OVERAGE else "Standard",
        "SkuId": f"{line.model}/{line.kind}",
        "SkuMeter": meter,
        "SkuPriceId": f"{line.price_id or line.model}/{line.tier}/{line.kind}",
    }
    return row | _quantities(line)


def _quantities(line: Line) -> _Row:
    """Return quantities and unit prices; list and contracted cost are exactly their product.

    The billed cost is what the turns were charged, each rounded to a nano-unit by itself.
    """
    tokens = line.kind not in ("request", OVERAGE)
    per_unit = _TOKENS_PER_RATE if tokens else 1
    row: _Row = {
        "ConsumedQuantity": line.quantity,
        "ConsumedUnit": "Tokens" if tokens else "Requests",
        "PricingQuantity": Number(_decimal(line.quantity, per_unit)),
        "PricingUnit": f"{_TOKENS_PER_RATE} Tokens" if tokens else "Requests",
    }
    if line.rate_nano is not None:
        rate = Number(nano_text(line.rate_nano, grouped=False))
        product = _decimal(line.quantity * line.rate_nano, per_unit * NANOS_PER_UNIT)
        cost = Number(product)
        row |= {"ListUnitPrice": rate, "ContractedUnitPrice": rate}
        row |= {"ListCost": cost, "ContractedCost": cost}
    return row


def _rounding(invoice: Invoice) -> list[_Row]:
    nanos_per_minor = NANOS_PER_UNIT // 10 ** minor_digits(invoice.currency)
    left_nano = invoice.total_minor * nanos_per_minor - invoice.amount_nano
    if not left_nano:
        return []
    return [
        {
            **_costs(Number(nano_text(left_nano, grouped=False))),
            "ChargeCategory": "Adjustment",
            "ChargeFrequency": "One-Time",
            "ChargeDescription": "The invoice's total, rounded once",
        }
    ]


def _credit(invoice: Invoice, note: CreditNote) -> _Row:
    amount = minor_text(-note.amount_minor, invoice.currency).replace(",", "")
    return {
        **_costs(Number(amount)),
        "ChargeCategory": "Credit",
        "ChargeFrequency": "One-Time",
        "ChargeDescription": f"Credit for {invoice.name}: {note.reason}",
        "InvoiceId": note.name,
    }


def _costs(cost: Number) -> _Row:
    return dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), cost)


def _decimal(number: int, divisor: int) -> str:
    """Return number / divisor, which is a power of ten, with every digit and no more."""
    whole, rest = divmod(abs(number), divisor)
    digits = f"{rest:0{len(str(divisor)) - 1}d}".rstrip("0") if rest else ""
    return f"{'-' if number < 0 else ''}{whole}{'.' + digits if digits else ''}"


def _time(at_us: int) -> str:
    return f"{utc_from_us(at_us):%Y-%m-%dT%H:%M:%SZ}"
