"""What we ask of Stripe about invoices, through its official SDK."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from axon.base import MICROS_PER_SECOND
from axon.billing.invoice import CreditNote, Invoice
from axon.billing.stripe_api import StripeApi
from axon.billing.stripe_items import Item

_OURS = "axon_invoice_id"
_ITEM = "axon_item"
_CREDIT = "axon_credit_note_id"
"""What carries this in its metadata is ours, and what it is of ours."""

_CLOCKS_APART_S = 86_400
"""Stripe's clock and ours are nearer than that."""

Collection = Literal["send_invoice", "charge_automatically"]


class Terms(NamedTuple):
    """How Stripe asks for the money."""

    collection: Collection = "send_invoice"
    days_until_due: int = 30
    """Of one that is sent."""


class Bill(NamedTuple):
    """An invoice at Stripe."""

    stripe_id: str
    status: str
    """draft, open, paid, uncollectible or void."""
    currency: str
    total: int
    """In Stripe's smallest unit, before anything that the customer has to its credit."""
    created_s: int
    remaining: int
    """What is not paid and not credited."""
    credited: int


class StripeBills:
    """The invoices of one account; raises what `StripeApi` raises.

    Every change carries an idempotency key that is the same at every try. Stripe knows keys for a
    day; what it has is looked up before it is made, so that this holds after any time.
    """

    def __init__(self, api: StripeApi, terms: Terms) -> None:
        """Nothing is asked yet."""
        self._api = api
        self._terms = terms

    async def find(self, customer_id: str, invoice: Invoice) -> list[Bill]:
        """Return what Stripe has of an invoice: one that is asked for first, then by age."""
        since_s = invoice.final_us // MICROS_PER_SECOND - _CLOCKS_APART_S
        asked = {"customer": customer_id, "created": {"gte": since_s}, "limit": 100}

        def read() -> list[Any]:
            listed = self._api.client.v1.invoices.list(asked)
            return [one for one in listed.auto_paging_iter() if _mark(one, _OURS)]

        found = await self._api.call(read)
        bills = [_bill(one) for one in found if _mark(one, _OURS) == invoice.invoice_id]
        return sorted(bills, key=lambda one: (one.status == "draft", one.created_s, one.stripe_id))

    async def read(self, stripe_id: str) -> Bill:
        """Return an invoice."""
        return _bill(await self._api.call(self._api.client.v1.invoices.retrieve, stripe_id))

    async def draft(self, customer_id: str, invoice: Invoice) -> Bill:
        """Make a draft without items, which asks nobody for anything."""
        terms: dict[str, Any] = {"collection_method": self._terms.collection}
        if self._terms.collection == "send_invoice":
            terms["days_until_due"] = self._terms.days_until_due
        made = await self._api.call(
            self._api.client.v1.invoices.create,
            {
                "customer": customer_id,
                "currency": invoice.currency.lower(),
                "auto_advance": False,
                "pending_invoice_items_behavior": "exclude",
                "discounts": "",
                "description": f"{invoice.name}, {invoice.month}",
                "metadata": {_OURS: invoice.invoice_id, "axon_number": invoice.name},
                **terms,
            },
            _once(f"axon-invoice-{invoice.invoice_id}"),
        )
        return _bill(made)

    async def add_items(
        self, customer_id: str, bill: Bill, invoice: Invoice, items: Sequence[Item]
    ) -> None:
        """Put those of the items onto a draft that are not on it."""

        def read() -> list[Any]:
            asked = {"invoice": bill.stripe_id, "limit": 100}
            return list(self._api.client.v1.invoice_items.list(asked).auto_paging_iter())

        there = {_mark(one, _ITEM) for one in await self._api.call(read)}
        for number, item in enumerate(items, 1):
            if str(number) in there:
                continue
            await self._api.call(
                self._api.client.v1.invoice_items.create,
                {
                    "customer": customer_id,
                    "invoice": bill.stripe_id,
                    "amount": item.amount,
                    "currency": invoice.currency.lower(),
                    "description": f"{item.name}, {invoice.month}",
                    "period": {
                        "start": invoice.starts_us // MICROS_PER_SECOND,
                        "end": invoice.ends_us // MICROS_PER_SECOND,
                    },
                    "metadata": {_OURS: invoice.invoice_id, _ITEM: str(number)},
                },
                _once(f"axon-invoice-{invoice.invoice_id}-item-{number}"),
            )

    async def finalize(self, bill: Bill, invoice: Invoice) -> Bill:
        """Have Stripe ask for a draft's total."""
        done = await self._api.call(
            self._api.client.v1.invoices.finalize_invoice,
            bill.stripe_id,
            {"auto_advance": True},
            _once(f"axon-invoice-{invoice.invoice_id}-final"),
        )
        return _bill(done)

    async def take_back(self, bill: Bill) -> None:
        """Void an invoice, or delete one that is a draft; one that is void stays as it is."""
        invoices = self._api.client.v1.invoices
        if bill.status != "void":
            take = invoices.delete if bill.status == "draft" else invoices.void_invoice
            await self._api.call(take, bill.stripe_id)

    async def credit(self, bill: Bill, note: CreditNote, amount: int) -> str:
        """Return the id of Stripe's credit note for ours, made when there is none.

        What is not paid yet need not be; what is stands to the customer's credit, for its next
        invoice at Stripe.
        """

        def read() -> list[Any]:
            asked = {"invoice": bill.stripe_id, "limit": 100}
            return list(self._api.client.v1.credit_notes.list(asked).auto_paging_iter())

        for one in await self._api.call(read):
            if _mark(one, _CREDIT) == note.credit_note_id:
                return str(one.id)
        paid = amount - min(amount, bill.remaining)
        made = await self._api.call(
            self._api.client.v1.credit_notes.create,
            {
                "invoice": bill.stripe_id,
                "amount": amount,
                "memo": f"{note.name}: {note.reason}",
                "metadata": {_CREDIT: note.credit_note_id},
                **({"credit_amount": paid} if paid else {}),
            },
            _once(f"axon-credit-{note.credit_note_id}"),
        )
        return str(made.id)

    async def is_metered(self, customer_id: str, currency: str) -> bool:
        """Return whether a subscription of the customer prices the currency's meter."""
        meter_id = await self._api.meter(currency)

        def read() -> list[Any]:
            asked = {"customer": customer_id, "limit": 100}
            listed = self._api.client.v1.subscriptions.list(asked)
            return [item for one in listed.auto_paging_iter() for item in one["items"].data]

        for item in await self._api.call(read):
            recurring = item.price.recurring
            if recurring is not None and recurring.meter == meter_id:
                return True
        return False


def _bill(found: Any) -> Bill:
    return Bill(
        stripe_id=found.id,
        status=found.status,
        currency=found.currency.upper(),
        total=found.total,
        created_s=found.created,
        remaining=found.amount_remaining,
        credited=found.pre_payment_credit_notes_amount + found.post_payment_credit_notes_amount,
    )


def _mark(found: Any, name: str) -> str:
    """Return a member of something's metadata; "" where it has none."""
    metadata = found.metadata
    return str(metadata[name]) if metadata and name in metadata else ""


def _once(key: str) -> dict[str, str]:
    return {"idempotency_key": key}
