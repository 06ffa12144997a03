"""Looking at invoices: lists, one with its lines, and the turns that a line sums."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import asyncpg

from axon.billing import store
from axon.billing.counting import turns_of_kind
from axon.billing.errors import BillingUnavailable, UnknownInvoice
from axon.billing.invoice import CORRECTION, OVERAGE, BilledTurn, Invoice, Line
from axon.billing.months import month_named
from axon.billing.scoping import scope_of
from axon.metering import all_prices
from axon.stores import Postgres, PostgresAway

Found = TypeVar("Found")

QUERY_TIMEOUT_S = 5.0
"""An invoice has some hundred lines at most: a few milliseconds."""

ASKING_MAX = 4
"""Questions asked at once; one more is refused. They share the connections with turns, which must
never wait for a report."""

TURNS_PAGE = 5000
"""Turns of a line read at once."""

TURNS_TIMEOUT_S = 600.0
"""A month of ten million turns is sorted, and read by somebody who may be slow."""

ISSUED = ("final", "void")
"""The states in which somebody other than the operator may see an invoice."""

LISTED = ("draft", *ISSUED)
"""All of them; who may not see drafts asks for less."""

_CORRECTIONS = """
SELECT t.turn_id, t.user_id, t.instance, t.sequence, t.accepted_us, 1 AS quantity, c.cost_nano
FROM billing.billed_corrections AS b
JOIN metering.corrections AS c USING (user_id, turn_id, number, currency)
JOIN metering.turns AS t USING (user_id, turn_id)
WHERE b.invoice_id = $1 AND b.line = $2
ORDER BY t.accepted_us, t.turn_id, c.number
"""


class Invoices:
    """Answers questions about invoices; changes none."""

    def __init__(self, postgres: Postgres) -> None:
        """`postgres` is started and stopped by its owner."""
        self._postgres = postgres
        self._asking = 0

    async def list_all(
        self, org_id: str = "", month: str | None = None, states: Sequence[str] = LISTED
    ) -> list[Invoice]:
        """Return invoices without lines, the newest month first; raises BillingUnavailable.

        Without an organization or a month, of all. At most store.LISTED_MAX are returned.
        """
        if month is not None:
            month_named(month)
        return await self._ask(lambda one: store.list_invoices(one, org_id, month or "", states))

    async def read(self, name: str, org_id: str = "") -> Invoice:
        """Return an invoice by its id or number; raises UnknownInvoice, BillingUnavailable.

        With an organization the invoice must be its own, and issued.
        """
        if "\0" in name:  # PostgreSQL knows none, and no name has one
            raise UnknownInvoice
        invoice = await self._ask(lambda one: store.read_invoice(one, name))
        if invoice is None or (org_id and invoice.org_id != org_id):
            raise UnknownInvoice(name)
        if org_id and invoice.state not in ISSUED:
            raise UnknownInvoice(name)
        return invoice

    async def turns_of(self, invoice: Invoice, number: int) -> AsyncIterator[BilledTurn]:
        """Yield the turns that a line of an issued invoice sums, by the time they were accepted.

        They come from the places that were written down when the month was closed. Raises
        UnknownInvoice, PostgresAway.
        """
        line = next((one for one in invoice.lines if one.line == number), None)
        if line is None or not invoice.close_id:
            raise UnknownInvoice(f"{invoice.name} has no line {number} of issued turns")
        async with (
            self._postgres.connection(TURNS_TIMEOUT_S) as connection,
            connection.transaction(readonly=True),
        ):
            sql, parameters = await _turns_of(connection, invoice, line)
            async for row in connection.cursor(sql, *parameters, prefetch=TURNS_PAGE):
                yield BilledTurn(
                    turn_id=row["turn_id"],
                    user=row["user_id"],
                    instance=row["instance"],
                    sequence=row["sequence"],
                    accepted_us=row["accepted_us"],
                    quantity=row["quantity"],
                    cost_nano=row["cost_nano"],
                )

    async def _ask(self, work: Callable[[asyncpg.Connection], Coroutine[Any, Any, Found]]) -> Found:
        if self._asking >= ASKING_MAX:
            raise BillingUnavailable("too many ask at once")
        self._asking += 1
        try:
            async with self._postgres.connection(QUERY_TIMEOUT_S) as connection:
                return await work(connection)
        except PostgresAway as error:
            raise BillingUnavailable(error.detail) from error
        finally:
            self._asking -= 1


async def _turns_of(
    connection: asyncpg.Connection, invoice: Invoice, line: Line
) -> tuple[str, list[Any]]:
    """Return the query of the turns that a line sums, and its parameters."""
    if line.kind == CORRECTION:
        return _CORRECTIONS, [invoice.invoice_id, line.line]
    scope = await scope_of(connection, invoice.org_id, invoice.time_zone, invoice.close_id)
    period = len(scope.edges)
    if line.origin == "late":
        period = [str(month) for month in scope.months].index(line.month)
    of_line: list[Any] = [invoice.currency, period, line.model]
    of_line += [] if line.kind == OVERAGE else [line.price_id, line.tier]
    return turns_of_kind(line.kind), [*scope.sorting(await all_prices(connection)), *of_line]
