"""Has Stripe take off what credit notes take off an invoice that it asks for; each once."""

import asyncpg

from axon.base import Clock
from axon.billing import store
from axon.billing.errors import UnknownInvoice
from axon.billing.stripe_api import StripeRefused
from axon.billing.stripe_bills import StripeBills
from axon.billing.stripe_items import at_stripe
from axon.stores import Postgres

TIMEOUT_S = 60.0

ROUND_NOTES_MAX = 100
"""Told in one round; the next one goes on."""

_GATHER = """
INSERT INTO billing.stripe_credit_notes (credit_note_id)
SELECT n.id FROM billing.credit_notes AS n JOIN billing.stripe_invoices USING (invoice_id)
ON CONFLICT DO NOTHING
"""

_DUE = """
SELECT k.credit_note_id, n.invoice_id, s.stripe_id FROM billing.stripe_credit_notes AS k
JOIN billing.credit_notes AS n ON n.id = k.credit_note_id
JOIN billing.stripe_invoices AS s USING (invoice_id)
WHERE k.state = 'due' AND s.state = 'final' ORDER BY n.number LIMIT $1
"""


class StripeCrediting:
    """Keeps Stripe's credit notes as ours are; may be killed at any point, several may run at once.

    Those of an invoice are told after it. Every method raises PostgresAway, StripeAway and
    StripeUnset, and may be called again at any time.
    """

    def __init__(self, postgres: Postgres, clock: Clock, bills: StripeBills) -> None:
        """`postgres` is started and stopped by its owner."""
        self._postgres = postgres
        self._clock = clock
        self._bills = bills

    async def run_round(self) -> int:
        """Tell of credit notes that were issued since; return how many Stripe refused."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            await connection.execute(_GATHER)
            due = await connection.fetch(_DUE, ROUND_NOTES_MAX)
        refused = 0
        for row in due:
            state, stripe_id, error = "final", "", ""
            try:
                stripe_id = await self._tell(row)
            except StripeRefused as problem:
                state, error = "refused", str(problem)
                refused += 1
            async with self._postgres.connection(TIMEOUT_S) as connection:
                await connection.execute(
                    "UPDATE billing.stripe_credit_notes"
                    " SET state = $2, stripe_id = $3, told_us = $4, error = $5"
                    " WHERE credit_note_id = $1",
                    row["credit_note_id"], state, stripe_id, self._clock.now_us(), error[:500],
                )  # fmt: skip
        return refused

    async def retry(self, name: str) -> None:
        """Have one told again that was refused, by its number; raises UnknownInvoice."""
        number = name.removeprefix("CN-")
        async with self._postgres.connection(TIMEOUT_S) as connection:
            done = await connection.execute(
                "UPDATE billing.stripe_credit_notes AS k SET state = 'due', error = ''"
                " FROM billing.credit_notes AS n WHERE n.id = k.credit_note_id"
                " AND n.number::text = ltrim($1, '0') AND k.state = 'refused'",
                number,
            )
        if done != "UPDATE 1":
            raise UnknownInvoice(f"{name} was not refused by Stripe")

    async def _tell(self, row: asyncpg.Record) -> str:
        async with self._postgres.connection(TIMEOUT_S) as connection:
            invoice = await store.read_invoice(connection, row["invoice_id"])
        if invoice is None:  # an issued one is never deleted
            raise UnknownInvoice(row["invoice_id"])
        (note,) = (
            one for one in invoice.credit_notes if one.credit_note_id == row["credit_note_id"]
        )
        amount = at_stripe(note.amount_minor, invoice.currency)
        return await self._bills.credit(await self._bills.read(row["stripe_id"]), note, amount)
