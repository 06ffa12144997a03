"""The SQL of the schema `billing`: invoices; every function works on its caller's connection."""

from collections.abc import Sequence

import asyncpg

from axon.billing.invoice import CreditNote, Invoice, Line, Position

LISTED_MAX = 1000
"""Invoices listed at once; a thousand months of one organization."""

_INVOICES = """
SELECT * FROM billing.invoices
WHERE ($1 = '' OR org_id = $1) AND ($2 = '' OR month = $2) AND state = ANY($3)
ORDER BY month DESC, number DESC NULLS FIRST, id LIMIT $4
"""

_LINES = "INSERT INTO billing.lines VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
_POSITIONS = "INSERT INTO billing.positions VALUES ($1, $2, $3, $4, $5, $6)"


async def insert_draft(connection: asyncpg.Connection, invoice: Invoice) -> None:
    """Write an invoice with its lines, as a draft."""
    await connection.execute(
        "INSERT INTO billing.invoices (id, org_id, org_name, month, time_zone, starts_us, ends_us,"
        " currency, state, amount_nano, total_minor, made_us)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'draft', $9, $10, $11)",
        invoice.invoice_id, invoice.org_id, invoice.org_name, invoice.month, invoice.time_zone,
        invoice.starts_us, invoice.ends_us, invoice.currency, invoice.amount_nano,
        invoice.total_minor, invoice.made_us,
    )  # fmt: skip
    await connection.executemany(_LINES, [
        (
            invoice.invoice_id, one.line, one.origin, one.month, one.model, one.price_id, one.tier,
            one.kind, one.quantity, one.rate_nano, one.amount_nano,
        )
        for one in invoice.lines
    ])  # fmt: skip
    await connection.executemany(_POSITIONS, [
        (
            invoice.invoice_id, one.line, place.instance, place.first_sequence,
            place.last_sequence, place.turns,
        )
        for one in invoice.lines for place in one.positions
    ])  # fmt: skip


async def remove_drafts(connection: asyncpg.Connection, org_id: str, month: str) -> dict[str, str]:
    """Delete an organization's drafts of a month; return their ids by currency."""
    rows = await connection.fetch(
        "DELETE FROM billing.invoices WHERE org_id = $1 AND month = $2 AND state = 'draft'"
        " RETURNING currency, id",
        org_id,
        month,
    )
    return {row["currency"]: row["id"] for row in rows}


async def insert_credit_note(
    connection: asyncpg.Connection, invoice_id: str, note: CreditNote
) -> None:
    """Write a credit note."""
    await connection.execute(
        "INSERT INTO billing.credit_notes VALUES ($1, $2, $3, $4, $5, $6, $7)",
        note.credit_note_id, note.number, invoice_id, note.reference, note.reason,
        note.amount_minor, note.made_us,
    )  # fmt: skip


async def list_invoices(
    connection: asyncpg.Connection, org_id: str, month: str, states: Sequence[str]
) -> list[Invoice]:
    """Return invoices without their lines, the newest month first; at most LISTED_MAX."""
    rows = await connection.fetch(_INVOICES, org_id, month, list(states), LISTED_MAX)
    notes = await _credit_notes(connection, [row["id"] for row in rows])
    return [_invoice(row, (), notes.get(row["id"], ())) for row in rows]


async def invoices_of_close(connection: asyncpg.Connection, close_id: str) -> list[Invoice]:
    """Return the invoices that closing a month made, by number."""
    ids = await connection.fetch(
        "SELECT id FROM billing.invoices WHERE close_id = $1 ORDER BY number", close_id
    )
    found = [await read_invoice(connection, row["id"]) for row in ids]
    return [invoice for invoice in found if invoice is not None]


async def read_invoice(connection: asyncpg.Connection, name: str) -> Invoice | None:
    """Return an invoice by its id or its number as text; None when there is no such."""
    number = name.removeprefix("INV-")
    short = number.isascii() and number.isdigit() and len(number) < 19
    row = await connection.fetchrow(
        "SELECT * FROM billing.invoices WHERE id = $1 OR number = $2",
        name,
        int(number) if short else None,
    )
    if row is None:
        return None
    lines = await connection.fetch(
        "SELECT * FROM billing.lines WHERE invoice_id = $1 ORDER BY line", row["id"]
    )
    places: dict[int, list[Position]] = {}
    for place in await connection.fetch(
        "SELECT * FROM billing.positions WHERE invoice_id = $1 ORDER BY line, instance", row["id"]
    ):
        position = Position(
            instance=place["instance"],
            first_sequence=place["first_sequence"],
            last_sequence=place["last_sequence"],
            turns=place["turns"],
        )
        places.setdefault(place["line"], []).append(position)
    notes = await _credit_notes(connection, [row["id"]])
    found = tuple(_line(line, places.get(line["line"], [])) for line in lines)
    return _invoice(row, found, notes.get(row["id"], ()))


async def _credit_notes(
    connection: asyncpg.Connection, invoice_ids: Sequence[str]
) -> dict[str, tuple[CreditNote, ...]]:
    found: dict[str, tuple[CreditNote, ...]] = {}
    for row in await connection.fetch(
        "SELECT * FROM billing.credit_notes WHERE invoice_id = ANY($1) ORDER BY number", invoice_ids
    ):
        note = CreditNote(
            credit_note_id=row["id"],
            number=row["number"],
            reference=row["reference"],
            reason=row["reason"],
            amount_minor=row["amount_minor"],
            made_us=row["made_us"],
        )
        found[row["invoice_id"]] = (*found.get(row["invoice_id"], ()), note)
    return found


def _line(row: asyncpg.Record, places: Sequence[Position]) -> Line:
    return Line(
        line=row["line"],
        origin=row["origin"],
        month=row["month"],
        model=row["model"],
        price_id=row["price_id"],
        tier=row["tier"],
        kind=row["kind"],
        quantity=row["quantity"],
        rate_nano=row["rate_nano"],
        amount_nano=int(row["amount_nano"]),
        positions=tuple(places),
    )


def _invoice(
    row: asyncpg.Record, lines: tuple[Line, ...], notes: tuple[CreditNote, ...]
) -> Invoice:
    return Invoice(
        invoice_id=row["id"],
        number=row["number"],
        org_id=row["org_id"],
        org_name=row["org_name"],
        month=row["month"],
        time_zone=row["time_zone"],
        starts_us=row["starts_us"],
        ends_us=row["ends_us"],
        currency=row["currency"],
        state=row["state"],
        amount_nano=int(row["amount_nano"]),
        made_us=row["made_us"],
        final_us=row["final_us"],
        voided_us=row["voided_us"],
        void_reason=row["void_reason"],
        close_id=row["close_id"] or "",
        lines=lines,
        credit_notes=notes,
    )
