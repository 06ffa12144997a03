"""Making invoices of metered turns: preview, draft, close; and taking them back: void, credit."""

import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

import asyncpg

from axon.base import Clock, Randomness
from axon.billing import close_store, store
from axon.billing.close_store import Org
from axon.billing.counting import Scope, lines_of, unpriced_turns
from axon.billing.errors import BillingError, CreditWrong, InvoiceStays, UnknownInvoice
from axon.billing.invoice import CreditNote, Invoice, State
from axon.billing.months import Month, month_named
from axon.billing.places import keep_places
from axon.billing.refusing import refuse_different, refuse_early
from axon.billing.scoping import next_scope
from axon.metering import all_prices
from axon.stores import Postgres

TIMEOUT_S = 600.0
"""Of one organization's month: some ten million turns."""

_ID_BYTES = 12

Outcome = Literal["closed", "already closed", "nothing to bill", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What closing a month did for one organization."""

    org_id: str
    org_name: str
    outcome: Outcome
    reason: str = ""
    """Why it was refused."""
    invoices: tuple[Invoice, ...] = ()
    unpriced: int = 0
    """Turns that cost nothing because their model had no price."""
    left_out: int = 0
    """Records of the installation that are parked; whose they are nobody knows until they are
    replayed, and then they are billed as late."""


@dataclass(frozen=True, slots=True)
class _Bill:
    """What is to be billed, and the invoices that say so, without ids or numbers."""

    scope: Scope
    invoices: list[Invoice]


Progress = Callable[[int, int, str], None]
"""Is told how many organizations are done, of how many, and which one is next."""


def _no_progress(done: int, total: int, name: str) -> None:
    pass


class Billing:
    """Makes and takes back invoices in PostgreSQL; several processes may do so at once.

    Each change of an organization's month is one transaction, so one that was cut off is done again
    from the beginning. Every method raises PostgresAway, and then the change may have been made:
    ask again, or do it again, which changes nothing more.
    """

    def __init__(self, postgres: Postgres, clock: Clock, randomness: Randomness) -> None:
        """`postgres` is started and stopped by its owner."""
        self._postgres = postgres
        self._clock = clock
        self._randomness = randomness

    async def preview(self, month: str, org_id: str = "") -> list[Invoice]:
        """Return the invoices as they would be now; nothing is stored.

        Raises MonthWrong, EarlierMonthOpen. A month that is closed has no preview.
        """
        found: list[Invoice] = []
        async with self._postgres.connection(TIMEOUT_S) as connection:
            for org in await close_store.billed_orgs(connection, org_id):
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    bill = await self._bill(connection, org, month_named(month), "preview")
                found += bill.invoices if bill is not None else ()
        return found

    async def draft(self, month: str, org_id: str = "") -> list[Invoice]:
        """Store the invoices as they would be now, in place of earlier drafts; return them.

        Raises MonthWrong, EarlierMonthOpen. A month that is closed has no draft.
        """
        wanted = month_named(month)
        found: list[Invoice] = []
        for org in await self._orgs(org_id):
            async with self._changing() as connection:
                bill = await self._bill(connection, org, wanted, "draft")
                if bill is not None:
                    found += await self._store_drafts(connection, org, bill)
        return found

    async def close(
        self,
        month: str,
        org_id: str = "",
        caught_up_us: int | None = None,
        progress: Progress = _no_progress,
    ) -> list[Closing]:
        """Issue the invoices of a month; a month that is closed stays as it is.

        `caught_up_us` is the instant through which every turn is known to be in PostgreSQL; None
        when the caller answers for it. What cannot be closed is named with its reason and does not
        keep others from being closed. Raises MonthWrong.
        """
        wanted = month_named(month)
        orgs = await self._orgs(org_id)
        done: list[Closing] = []
        for org in orgs:
            progress(len(done), len(orgs), org.name)
            try:
                async with self._changing() as connection:
                    done.append(await self._close(connection, org, wanted, caught_up_us))
            except BillingError as error:
                refused = Closing(
                    org_id=org.org_id, org_name=org.name, outcome="refused", reason=str(error)
                )
                done.append(refused)
        progress(len(done), len(orgs), "")
        return done

    async def void(self, name: str, reason: str) -> list[Invoice]:
        """Void an invoice, and open its month again; return every invoice that this voids.

        These are all of the month's, when it was billed in several currencies. Raises
        UnknownInvoice, and InvoiceStays unless the month is the newest one that is closed and none
        of it was credited. An invoice that is void already stays as it is.
        """
        async with self._changing() as connection:
            invoice = await _known(connection, name)
            if invoice.state == "draft":
                raise InvoiceStays("it is a draft: closing its month replaces it")
            if invoice.state == "final":
                last = await close_store.last_close(connection, invoice.org_id)
                if last is None or last.close_id != invoice.close_id:
                    raise InvoiceStays("a later month is closed: credit it instead")
                together = await store.invoices_of_close(connection, invoice.close_id)
                if any(one.credit_notes for one in together):
                    raise InvoiceStays("it was credited: credit the rest of it instead")
                await close_store.void_close(
                    connection, invoice.close_id, reason, self._clock.now_us()
                )
            return await store.invoices_of_close(connection, invoice.close_id)

    async def credit(self, name: str, amount_minor: int, reason: str, reference: str) -> CreditNote:
        """Credit part of a final invoice; the same reference again returns the same note.

        Raises UnknownInvoice, and CreditWrong for more than is left to pay.
        """
        async with self._changing() as connection:
            invoice = await _known(connection, name)
            for note in invoice.credit_notes:
                if note.reference == reference:
                    if note.amount_minor != amount_minor:
                        raise CreditWrong(f"{note.name} has this reference and another amount")
                    return note
            if invoice.state != "final":
                raise CreditWrong(f"the invoice is {invoice.state}")
            if not 0 < amount_minor <= invoice.owed_minor:
                raise CreditWrong("it must be above 0 and at most what is left to pay")
            note = CreditNote(
                credit_note_id=self._id("cn"),
                number=await close_store.take_number(connection, "credit_note"),
                reference=reference,
                reason=reason,
                amount_minor=amount_minor,
                made_us=self._clock.now_us(),
            )
            await store.insert_credit_note(connection, invoice.invoice_id, note)
            return note

    async def _orgs(self, org_id: str) -> list[Org]:
        async with self._postgres.connection(TIMEOUT_S) as connection:
            return await close_store.billed_orgs(connection, org_id)

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a transaction in which nobody else changes invoices, and which sees one instant."""
        async with (
            self._postgres.connection(TIMEOUT_S) as connection,
            connection.transaction(isolation="repeatable_read"),
        ):
            await connection.execute(close_store.LOCK)
            yield connection

    async def _bill(
        self, connection: asyncpg.Connection, org: Org, month: Month, state: State
    ) -> _Bill | None:
        """Return what billing a month would be; None when there is nothing, or it is closed."""
        last = await close_store.last_close(connection, org.org_id)
        if last is not None and month <= month_named(last.month):
            return None
        scope = await next_scope(connection, org, month)
        if scope is None:
            return None
        lines = await lines_of(connection, scope, await all_prices(connection))
        invoices = [
            Invoice(
                invoice_id="",
                number=None,
                org_id=org.org_id,
                org_name=org.name,
                month=str(month),
                time_zone=org.time_zone,
                starts_us=scope.starts_us,
                ends_us=scope.ends_us,
                currency=currency,
                state=state,
                amount_nano=sum(line.amount_nano for line in found),
                made_us=self._clock.now_us(),
                lines=tuple(found),
            )
            for currency, found in lines.items()
        ]
        return _Bill(scope, invoices)

    async def _store_drafts(
        self, connection: asyncpg.Connection, org: Org, bill: _Bill
    ) -> list[Invoice]:
        """Write the invoices in place of earlier drafts, whose ids they take over."""
        ids = await store.remove_drafts(connection, org.org_id, str(bill.scope.months[-1]))
        drafts = [
            dataclasses.replace(
                one, invoice_id=ids.get(one.currency) or self._id("inv"), state="draft"
            )
            for one in bill.invoices
        ]
        for draft in drafts:
            await store.insert_draft(connection, draft)
        return drafts

    async def _close(
        self, connection: asyncpg.Connection, org: Org, month: Month, caught_up_us: int | None
    ) -> Closing:
        last = await close_store.last_close(connection, org.org_id)
        if last is not None and month <= month_named(last.month):
            return await _closed_already(connection, org, month)
        ends_us = month.next().begins_us(ZoneInfo(org.time_zone))
        refuse_early(ends_us, self._clock.now_us(), caught_up_us)
        bill = await self._bill(connection, org, month, "draft")
        if bill is None:
            return Closing(org_id=org.org_id, org_name=org.name, outcome="nothing to bill")
        scope = bill.scope
        drafts = await self._store_drafts(connection, org, bill)
        await refuse_different(connection, scope, drafts)
        close_id = self._id("close")
        await close_store.insert_close(connection, close_id, org, scope, self._clock.now_us())
        await keep_places(connection, close_id, scope.now)
        for draft in drafts:
            number = await close_store.take_number(connection, "invoice")
            await close_store.issue(connection, draft, scope, number, close_id)
        return Closing(
            org_id=org.org_id,
            org_name=org.name,
            outcome="closed",
            invoices=tuple(await store.invoices_of_close(connection, close_id)),
            unpriced=await unpriced_turns(connection, scope),
            left_out=len(scope.now.left_out),
        )

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._randomness.bytes(_ID_BYTES).hex()}"


async def _known(connection: asyncpg.Connection, name: str) -> Invoice:
    invoice = await store.read_invoice(connection, name)
    if invoice is None:
        raise UnknownInvoice(name)
    return invoice


async def _closed_already(connection: asyncpg.Connection, org: Org, month: Month) -> Closing:
    close_id = await close_store.close_of_month(connection, org.org_id, str(month))
    invoices: Sequence[Invoice] = ()
    if close_id is not None:
        invoices = await store.invoices_of_close(connection, close_id)
    return Closing(
        org_id=org.org_id,
        org_name=org.name,
        outcome="already closed",
        invoices=tuple(invoices),
    )
