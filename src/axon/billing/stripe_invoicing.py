"""Has Stripe ask for what closed invoices ask for: each once, to the cent, or not at all."""

from dataclasses import dataclass

from axon.base import Clock
from axon.billing import store
from axon.billing.errors import UnknownInvoice
from axon.billing.invoice import Invoice
from axon.billing.stripe_api import StripeRefused
from axon.billing.stripe_bills import Bill, StripeBills
from axon.billing.stripe_items import at_stripe, items_of, total_of
from axon.stores import Postgres

TIMEOUT_S = 60.0
"""Of one statement; there is one invoice a month and organization."""

ROUND_INVOICES_MAX = 100
"""Told in one round: some thousand calls at most."""

_GATHER = """
INSERT INTO billing.stripe_invoices (invoice_id, org_id)
SELECT i.id, i.org_id
FROM billing.invoices AS i JOIN billing.stripe_customers AS c USING (org_id)
WHERE i.state = 'final' AND c.invoices_from <> '' AND i.month >= c.invoices_from
    AND i.total_minor <> 0
ON CONFLICT DO NOTHING
"""

_IS_DUE = """
    ((i.state = 'final' AND s.state = 'due') OR (i.state = 'void' AND (
        s.state IN ('due', 'final') OR (s.state = 'refused' AND s.told_us < i.voided_us))))
"""

_DUE = f"""
SELECT s.invoice_id, c.customer_id
FROM billing.stripe_invoices AS s JOIN billing.invoices AS i ON i.id = s.invoice_id
JOIN billing.stripe_customers AS c ON c.org_id = s.org_id
WHERE {_IS_DUE} ORDER BY i.number LIMIT $1
"""  # noqa: S608 - words of ours alone

_LEFT = f"""
SELECT count(*) FROM billing.stripe_invoices AS s JOIN billing.invoices AS i ON i.id = s.invoice_id
WHERE {_IS_DUE}
"""  # noqa: S608 - words of ours alone

_STANDING = """
SELECT s.*, c.customer_id, k.credited_minor, k.error AS credit_error
FROM billing.stripe_invoices AS s JOIN billing.invoices AS i ON i.id = s.invoice_id
JOIN billing.stripe_customers AS c ON c.org_id = s.org_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(n.amount_minor) FILTER (WHERE k.state = 'final'), 0)::bigint
        AS credited_minor, coalesce(string_agg(nullif(k.error, ''), '; '), '') AS error
    FROM billing.stripe_credit_notes AS k JOIN billing.credit_notes AS n ON n.id = k.credit_note_id
    WHERE n.invoice_id = s.invoice_id
) AS k
WHERE ($1 = '' OR s.org_id = $1) ORDER BY i.number DESC LIMIT $2
"""


class BillDiffers(StripeRefused):
    """Stripe's invoice is not what ours is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicesTold:
    """What one round did."""

    gathered: int = 0
    made: int = 0
    voided: int = 0
    refused: int = 0
    due: int = 0
    """What is left for the next round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceAtStripe:
    """How far Stripe is with one of our invoices."""

    invoice: Invoice
    customer_id: str
    state: str
    """due, final, void or refused."""
    stripe_id: str
    credited_minor: int
    """Of our credit notes, what Stripe has taken off."""
    error: str
    """Why it was refused, or one of its credit notes."""


class StripeInvoicing:
    """Keeps Stripe's invoices as ours are; several may run at once, and be killed at any point.

    A draft at Stripe asks nobody for anything. It is filled, compared with ours, and made final by
    one call; what there is of it is found again by its metadata. Every method raises PostgresAway,
    StripeAway and StripeUnset, and may be called again at any time.
    """

    def __init__(self, postgres: Postgres, clock: Clock, bills: StripeBills) -> None:
        """`postgres` is started and stopped by its owner."""
        self._postgres = postgres
        self._clock = clock
        self._bills = bills

    async def run_round(self) -> InvoicesTold:
        """Tell of invoices that were issued or voided since; what is refused holds up no other."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            gathered: str = await connection.execute(_GATHER)
            due = await connection.fetch(_DUE, ROUND_INVOICES_MAX)
        done = {"final": 0, "void": 0, "refused": 0}
        for row in due:
            done[await self._tell(row["invoice_id"], row["customer_id"])] += 1
        async with self._postgres.connection(TIMEOUT_S) as connection:
            left: int = await connection.fetchval(_LEFT)
        return InvoicesTold(
            gathered=int(gathered.rsplit(maxsplit=1)[-1]),
            made=done["final"],
            voided=done["void"],
            refused=done["refused"],
            due=left,
        )

    async def standing(self, org_id: str = "") -> list[InvoiceAtStripe]:
        """Return how far Stripe is with each invoice, the newest first."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            rows = await connection.fetch(_STANDING, org_id, store.LISTED_MAX)
            found = [await store.read_invoice(connection, row["invoice_id"]) for row in rows]
        return [
            InvoiceAtStripe(
                invoice=invoice,
                customer_id=row["customer_id"],
                state=row["state"],
                stripe_id=row["stripe_id"],
                credited_minor=row["credited_minor"],
                error=row["error"] or row["credit_error"],
            )
            for row, invoice in zip(rows, found, strict=True)
            if invoice is not None
        ]

    async def retry(self, name: str) -> None:
        """Have an invoice told again that was refused; raises UnknownInvoice for any other."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            invoice = await store.read_invoice(connection, name)
            done = await connection.execute(
                "UPDATE billing.stripe_invoices SET state = 'due', error = ''"
                " WHERE invoice_id = $1 AND state = 'refused'",
                "" if invoice is None else invoice.invoice_id,
            )
        if done != "UPDATE 1":
            raise UnknownInvoice(f"{name} was not refused by Stripe")

    async def differences(self, org_id: str = "") -> list[tuple[InvoiceAtStripe, str]]:
        """Return the told invoices that are something else at Stripe by now, and what."""
        found: list[tuple[InvoiceAtStripe, str]] = []
        for one in await self.standing(org_id):
            if one.state not in ("final", "void"):
                continue
            try:
                await self._look(one)
            except StripeRefused as refused:
                found.append((one, refused.detail))
        return found

    async def _look(self, one: InvoiceAtStripe) -> None:
        """Raise BillDiffers unless Stripe asks for one of ours as it should, and once."""
        asking = [
            bill.stripe_id
            for bill in await self._bills.find(one.customer_id, one.invoice)
            if bill.status not in ("draft", "void")
        ]
        if one.state == "void" and asking:
            raise BillDiffers(f"{asking[0]} was not voided")
        if len(asking) > 1:
            raise BillDiffers(f"{' and '.join(asking)} ask for it")
        if one.state == "final":
            bill = await self._bills.read(one.stripe_id)
            _compare(bill, one.invoice)
            credited = at_stripe(one.credited_minor, one.invoice.currency)
            if bill.credited != credited:
                raise BillDiffers(f"{bill.stripe_id} has {bill.credited} credited, not {credited}")

    async def _tell(self, invoice_id: str, customer_id: str) -> str:
        """Bring Stripe to where one of our invoices is; return the state that it is in then."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            invoice = await store.read_invoice(connection, invoice_id)
        if invoice is None:  # an issued one is never deleted
            raise UnknownInvoice(invoice_id)
        state, stripe_id, error = "refused", "", ""
        try:
            bills = await self._bills.find(customer_id, invoice)
            stripe_id = bills[0].stripe_id if bills else ""
            if invoice.state == "void":
                for bill in bills:
                    await self._bills.take_back(bill)
                state = "void"
            else:
                stripe_id = (await self._ask(customer_id, invoice, bills)).stripe_id
                state = "final"
        except StripeRefused as refused:
            error = str(refused)
        await self._note(invoice_id, state, stripe_id, error)
        return state

    async def _ask(self, customer_id: str, invoice: Invoice, bills: list[Bill]) -> Bill:
        """Return Stripe's invoice, which asks for what ours does; raises StripeRefused."""
        if not bills or bills[0].status == "draft":
            try:
                bill = await self._make(customer_id, invoice, bills)
            except StripeRefused:
                bills = await self._bills.find(customer_id, invoice)
                if not bills or bills[0].status == "draft":
                    raise
                bill = bills[0]  # another process was quicker
        else:
            bill = bills[0]
        _compare(bill, invoice)
        return bill

    async def _make(self, customer_id: str, invoice: Invoice, drafts: list[Bill]) -> Bill:
        """Fill a draft, look whether it comes to what ours does, and have Stripe ask for it."""
        items = items_of(invoice)
        if await self._bills.is_metered(customer_id, invoice.currency):
            raise StripeRefused("a subscription of this customer asks for the same already")
        draft = drafts[0] if drafts else await self._bills.draft(customer_id, invoice)
        await self._bills.add_items(customer_id, draft, invoice, items)
        _compare(await self._bills.read(draft.stripe_id), invoice, "draft")
        return await self._bills.finalize(draft, invoice)

    async def _note(self, invoice_id: str, state: str, stripe_id: str, error: str) -> None:
        async with self._postgres.connection(TIMEOUT_S) as connection:
            await connection.execute(
                "UPDATE billing.stripe_invoices"
                " SET state = $2, stripe_id = $3, told_us = $4, error = $5 WHERE invoice_id = $1",
                invoice_id, state, stripe_id, self._clock.now_us(), error[:500],
            )  # fmt: skip


def _compare(bill: Bill, invoice: Invoice, *statuses: str) -> None:
    """Raise BillDiffers unless Stripe's invoice is in one of the statuses and comes to ours."""
    if bill.status not in (statuses or ("open", "paid", "uncollectible")):
        raise BillDiffers(f"{bill.stripe_id} is {bill.status}")
    if (bill.currency, bill.total) != (invoice.currency, total_of(invoice)):
        raise BillDiffers(
            f"{bill.stripe_id} comes to {bill.total} {bill.currency},"
            f" and ours to {total_of(invoice)} {invoice.currency}"
        )
