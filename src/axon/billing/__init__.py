"""Invoices made of metered turns: each line can be followed to the journal."""

from axon.billing.billing import Billing, Closing, Progress
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
from axon.billing.focus import FOCUS_COLUMNS, focus_csv
from axon.billing.invoice import BilledTurn, CreditNote, Invoice, Line, Position
from axon.billing.money import minor_digits, minor_of, minor_text, nano_text
from axon.billing.reading import ISSUED, Invoices
from axon.billing.shown import InvoiceShown, credit_note_shown, invoice_shown
from axon.billing.statement_csv import csv_statement
from axon.billing.statement_html import html_statement
from axon.billing.stripe_api import StripeApi, StripeAway, StripeRefused, StripeUnset
from axon.billing.stripe_bills import StripeBills, Terms
from axon.billing.stripe_crediting import StripeCrediting
from axon.billing.stripe_invoicing import InvoiceAtStripe, InvoicesTold, StripeInvoicing
from axon.billing.stripe_rejected import RejectedEvent, RejectedEvents
from axon.billing.stripe_reports import (
    EventUnreadable,
    ReportRead,
    Reports,
    SignatureWrong,
    StripeWebhook,
)
from axon.billing.stripe_sync import HourDiffers, Linking, StripeSync, Told

__all__ = [
    "FOCUS_COLUMNS",
    "ISSUED",
    "BilledTurn",
    "Billing",
    "BillingError",
    "BillingUnavailable",
    "Closing",
    "CreditNote",
    "CreditWrong",
    "EarlierMonthOpen",
    "EventUnreadable",
    "HourDiffers",
    "Invoice",
    "InvoiceAtStripe",
    "InvoiceShown",
    "InvoiceStays",
    "Invoices",
    "InvoicesTold",
    "Line",
    "Linking",
    "MonthNotOver",
    "MonthWrong",
    "Position",
    "Progress",
    "ProjectorBehind",
    "RejectedEvent",
    "RejectedEvents",
    "ReportRead",
    "Reports",
    "SignatureWrong",
    "StripeApi",
    "StripeAway",
    "StripeBills",
    "StripeCrediting",
    "StripeInvoicing",
    "StripeRefused",
    "StripeSync",
    "StripeUnset",
    "StripeWebhook",
    "SumsDiffer",
    "Terms",
    "Told",
    "UnknownInvoice",
    "credit_note_shown",
    "csv_statement",
    "focus_csv",
    "html_statement",
    "invoice_shown",
    "minor_digits",
    "minor_of",
    "minor_text",
    "nano_text",
]
