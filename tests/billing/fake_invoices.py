"""The part of the stand-in for Stripe that has invoices, their items and subscriptions.

Source: Stripe's API reference for invoices, invoice items and subscriptions.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.billing.fake_errors import Refused, page
from tests.billing.localstripe_process import Localstripe

Body = dict[str, Any]

_DRAFT = {
    "customer", "currency", "auto_advance", "pending_invoice_items_behavior", "discounts",
    "description", "metadata", "collection_method", "days_until_due",
}  # fmt: skip
_CREDIT = {"invoice", "amount", "memo", "metadata"}
_ITEM = {"customer", "invoice", "amount", "currency", "description", "period", "metadata"}


@dataclass
class FakeInvoices:
    """What it holds; an invoice's total is that of its items and of what it inherits."""

    now: Callable[[], int]
    customers: dict[str, Body]
    behind: Localstripe | None = None
    """Is asked first about drafts and items, and gives them their ids."""
    invoices: dict[str, Body] = field(default_factory=dict)
    items: dict[str, Body] = field(default_factory=dict)
    credits: dict[str, Body] = field(default_factory=dict)
    subscriptions: list[Body] = field(default_factory=list)
    inherits: int = 0
    """What discounts and pending items of customers add to a draft that does not exclude them."""

    def answer(self, method: str, path: str, values: Body) -> Body | None:
        """Return what is answered; None for what is not about invoices. Raises Refused."""
        if (method, path) == ("POST", "/v1/invoices"):
            return self.shown(self.draft(values))
        if (method, path) == ("GET", "/v1/invoices"):
            since = int(values["created"]["gte"])
            found = [
                self.shown(one)
                for one in reversed(self.invoices.values())
                if one["customer"] == values["customer"] and one["created"] >= since
            ]
            return page(found, values, path)
        if (method, path) == ("POST", "/v1/invoiceitems"):
            return self.add(values)
        if (method, path) == ("GET", "/v1/invoiceitems"):
            on_it = [one for one in self.items.values() if one["invoice"] == values["invoice"]]
            return page(on_it, values, path)
        if (method, path) == ("POST", "/v1/credit_notes"):
            return self.credit(values)
        if (method, path) == ("GET", "/v1/credit_notes"):
            of_it = [one for one in self.credits.values() if one["invoice"] == values["invoice"]]
            return page(of_it, values, path)
        if (method, path) == ("GET", "/v1/subscriptions"):
            theirs = [one for one in self.subscriptions if one["customer"] == values["customer"]]
            return page(theirs, values, path)
        if found_path := re.fullmatch(r"/v1/invoices/(\w+)(?:/(\w+))?", path):
            return self.change(method, self.known(found_path[1]), found_path[2])
        return None

    def known(self, invoice_id: str) -> Body:
        if invoice_id not in self.invoices:
            raise Refused(f"No such invoice: '{invoice_id}'", 404, "resource_missing")
        return self.invoices[invoice_id]

    def draft(self, values: Body) -> Body:
        if not values.keys() <= _DRAFT or values["customer"] not in self.customers:
            raise Refused("Unknown parameters, or no such customer.", code="parameter_unknown")
        if values["collection_method"] == "send_invoice":
            if "email" not in self.customers[values["customer"]]:
                raise Refused("Missing email.")
        if (values["collection_method"] == "send_invoice") != ("days_until_due" in values):
            raise Refused("days_until_due is for invoices that are sent, and must be there.")
        excluded = values.get("discounts") == "" and (
            values.get("pending_invoice_items_behavior") == "exclude"
        )
        made = {
            **values, "id": f"in_{len(self.invoices) + 1}", "object": "invoice", "status": "draft",
            "created": self.now(), "inherited": 0 if excluded else self.inherits,
            "auto_advance": values["auto_advance"] == "true",
        }  # fmt: skip
        if self.behind is not None:
            made["id"] = self.behind.draft(values)
        self.invoices[made["id"]] = made
        return made

    def add(self, values: Body) -> Body:
        if values.keys() != _ITEM or set(values["period"]) != {"start", "end"}:
            raise Refused("Missing or unknown parameters.")
        invoice = self.known(values["invoice"])
        if invoice["status"] != "draft":
            raise Refused("This invoice can no longer be edited.", code="invoice_not_editable")
        if (invoice["currency"], invoice["customer"]) != (values["currency"], values["customer"]):
            raise Refused("The currency or the customer is another one.")
        made = {
            **values, "id": f"ii_{len(self.items) + 1}", "object": "invoiceitem",
            "amount": int(values["amount"]),
        }  # fmt: skip
        if self.behind is not None:
            made["id"] = self.behind.item(values)
        self.items[made["id"]] = made
        return made

    def change(self, method: str, invoice: Body, action: str | None) -> Body:
        draft = invoice["status"] == "draft"
        if (method, action) == ("DELETE", None):
            if not draft:
                raise Refused("You can only delete draft invoices.")
            del self.invoices[invoice["id"]]
            return {"id": invoice["id"], "object": "invoice", "deleted": True}
        if (method, action) == ("POST", "finalize"):
            if not draft:
                raise Refused("This invoice is already finalized.")
            invoice["status"] = "open" if self.total(invoice) > 0 else "paid"
            invoice["auto_advance"] = True
        elif (method, action) == ("POST", "void"):
            if invoice["status"] not in ("open", "uncollectible"):
                raise Refused("You can only void open invoices.")
            invoice["status"] = "void"
        elif (method, action) != ("GET", None):
            raise Refused("Unrecognized request URL.", 404)
        return self.shown(invoice)

    def total(self, invoice: Body) -> int:
        on_it = [one["amount"] for one in self.items.values() if one["invoice"] == invoice["id"]]
        return int(sum(on_it) + invoice["inherited"])

    def shown(self, invoice: Body) -> Body:
        """Return an invoice as it is answered."""
        total = self.total(invoice)
        notes = [one for one in self.credits.values() if one["invoice"] == invoice["id"]]
        before = sum(one["amount"] - one["credit_amount"] for one in notes)
        paid = invoice["status"] == "paid"
        return {
            **invoice, "total": total, "amount_remaining": 0 if paid else max(0, total - before),
            "pre_payment_credit_notes_amount": before,
            "post_payment_credit_notes_amount": sum(one["credit_amount"] for one in notes),
        }  # fmt: skip

    def credit(self, values: Body) -> Body:
        if not _CREDIT <= values.keys() <= {*_CREDIT, "credit_amount"}:
            raise Refused("Missing or unknown parameters.")
        invoice = self.shown(self.known(values["invoice"]))
        amount, credit_amount = int(values["amount"]), int(values.get("credit_amount", 0))
        if invoice["status"] not in ("open", "paid"):
            raise Refused("The invoice is neither open nor paid.")
        if credit_amount != amount - min(amount, invoice["amount_remaining"]):
            raise Refused("The sum of credit_amount must be what was paid of the credit note.")
        if amount > invoice["total"] - invoice["pre_payment_credit_notes_amount"]:
            raise Refused("The credit note is more than the invoice.")
        made = {
            **values, "id": f"cn_{len(self.credits) + 1}", "object": "credit_note",
            "amount": amount, "credit_amount": credit_amount,
        }  # fmt: skip
        self.credits[made["id"]] = made
        return made

    def asked_for(self, customer_id: str) -> dict[str, int]:
        """Return what the customer is asked for, by the invoice of ours that it is for."""
        asking = [
            one for one in self.invoices.values()
            if one["customer"] == customer_id and one["status"] not in ("draft", "void")
        ]  # fmt: skip
        ours = [one["metadata"]["axon_invoice_id"] for one in asking]
        assert len(set(ours)) == len(ours), "something is asked for twice"
        return {one["metadata"]["axon_invoice_id"]: self.total(one) for one in asking}
