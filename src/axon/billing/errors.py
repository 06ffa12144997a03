"""What can go wrong in billing."""

from axon.base import AxonError


class BillingError(AxonError):
    """Invoices could not be read or changed."""


class MonthWrong(BillingError):
    """A month is written as 2026-10."""


class MonthNotOver(BillingError):
    """The month is not over in the organization's time zone."""


class ProjectorBehind(BillingError):
    """Turns of the month may not be in PostgreSQL yet: close it when the projector has them."""


class EarlierMonthOpen(BillingError):
    """Months are closed in their order, and an earlier one is open."""


class SumsDiffer(BillingError):
    """The invoices do not add up to what was metered, so nothing was issued; see axon reconcile."""


class UnknownInvoice(BillingError):
    """There is no such invoice, or no such line of it."""


class InvoiceStays(BillingError):
    """This invoice cannot be voided."""


class CreditWrong(BillingError):
    """This credit cannot be given."""


class BillingUnavailable(BillingError):
    """PostgreSQL does not answer, so nobody can say what was billed."""
