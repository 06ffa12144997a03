"""Invoices made of metered turns: each line can be followed to the journal."""

from axon.billing.billing import Billing, Closing
from axon.billing.errors import (
    BillingError,
    BillingUnavailable,
    CreditWrong,
    EarlierMonthOpen,
    InvoiceStays,
    MonthNotOver,
    MonthWrong,
    ProjectorBehind,
    SumsDiffer,
    UnknownInvoice,
)
from axon.billing.invoice import BilledTurn, CreditNote, Invoice, Line, Position
from axon.billing.money import minor_digits, minor_of, minor_text, nano_text
from axon.billing.reading import ISSUED, Invoices

__all__ = [
    "ISSUED",
    "BilledTurn",
    "Billing",
    "BillingError",
    "BillingUnavailable",
    "Closing",
    "CreditNote",
    "CreditWrong",
    "EarlierMonthOpen",
    "Invoice",
    "InvoiceStays",
    "Invoices",
    "Line",
    "MonthNotOver",
    "MonthWrong",
    "Position",
    "ProjectorBehind",
    "SumsDiffer",
    "UnknownInvoice",
    "minor_digits",
    "minor_of",
    "minor_text",
    "nano_text",
]
