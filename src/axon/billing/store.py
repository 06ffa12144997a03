"""The SQL of the schema `billing`; every function works on its caller's connection."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from axon.billing.counting import UNBILLED_CORRECTIONS, Scope
from axon.billing.invoice import CreditNote, Invoice, Line, Position

LOCK = "LOCK TABLE billing.numbers IN EXCLUSIVE MODE"
"""The first statement of every change: it is granted before the transaction's snapshot is taken, so
whoever waited for it sees what the one before has done."""

LISTED_MAX = 1000
"""Invoices listed at once; a thousand months of one organization."""

_ORGS = """
SELECT org_id, coalesce(o.name, org_id) AS name, coalesce(z.time_zone, 'UTC') AS time_zone
FROM (SELECT org_id FROM metering.org_days UNION SELECT org_id FROM billing.closes) AS billed
LEFT JOIN accounts.orgs AS o ON o.id = org_id LEFT JOIN limits.time_zones AS z USING (org_id)
WHERE $1 = '' OR org_id = $1 ORDER BY org_id
"""

_INVOICES = """
SELECT * FROM billing.invoices
WHERE ($1 = '' OR org_id = $1) AND ($2 = '' OR month = $2) AND state = ANY($3)
ORDER BY month DESC, number DESC NULLS FIRST, id LIMIT $4
"""

_SUMS = """
SELECT currency, sum(cost_nano) AS cost_nano FROM metering.org_usage_quarters
WHERE org_id = $1 AND begins_us < $2 AND currency <> '' GROUP BY currency
"""

_BILLED = """
SELECT currency, sum(amount_nano) AS amount_nano FROM billing.invoices
WHERE org_id = $1 AND state = 'final' GROUP BY currency
"""

_LINES = "INSERT INTO billing.lines VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
_POSITIONS = "INSERT INTO billing.positions VALUES ($1, $2, $3, $4, $5, $6)"

_TAKE_CORRECTIONS = f"""
INSERT INTO billing.billed_corrections
SELECT c.user_id, c.turn_id, c.number, c.currency, $4, lines.line
{
    UNBILLED_CORRECTIONS.replace(
        "WHERE",
        '''JOIN billing.lines AS lines ON lines.invoice_id = $4
        AND lines.origin = 'correction' AND lines.model = t.model AND lines.price_id = c.price_id
        AND lines.month = ($6::text[])[1 + width_bucket(c.accepted_us, $3::bigint[])]
    WHERE''',
        1,
    )
} AND c.currency = $5
"""


class Org(NamedTuple):
    """Who may be billed."""

    org_id: str
    name: str
    time_zone: str


class Closed(NamedTuple):
    """A month of an organization that was billed."""

    close_id: str
    month: str
    starts_us: int
    ends_us: int


async def billed_orgs(connection: asyncpg.Connection, org_id: str) -> list[Org]:
    """Return the organizations that have used something, or the one of them with this id."""
    return [Org(*row) for row in await connection.fetch(_ORGS, org_id)]


async def last_close(connection: asyncpg.Connection, org_id: str) -> Closed | None:
    """Return the newest month that is closed; None when none is."""
    row = await connection.fetchrow(
        "SELECT id, month, starts_us, ends_us FROM billing.closes"
        " WHERE org_id = $1 AND voided_us = 0 ORDER BY ends_us DESC LIMIT 1",
        org_id,
    )
    return None if row is None else Closed(*row)


async def close_of(connection: asyncpg.Connection, close_id: str) -> tuple[Closed, str]:
    """Return a close that there is, and the id of the one it followed; "" when it was the first."""
    row = await connection.fetchrow(
        "SELECT id, month, starts_us, ends_us, coalesce(after_id, '') FROM billing.closes"
        " WHERE id = $1",
        close_id,
    )
    assert row is not None
    *closed, after_id = row
    return Closed(*closed), after_id


async def close_of_month(connection: asyncpg.Connection, org_id: str, month: str) -> str | None:
    """Return the id of the close of a month; None when the month is open."""
    close_id: str | None = await connection.fetchval(
        "SELECT id FROM billing.closes WHERE org_id = $1 AND month = $2 AND voided_us = 0",
        org_id,
        month,
    )
    return close_id


async def first_turn_us(connection: asyncpg.Connection, org_id: str) -> int | None:
    """Return when an organization's first turn was accepted; None without turns."""
    at_us: int | None = await connection.fetchval(
        "SELECT min(accepted_us) FROM metering.turns WHERE org_id = $1", org_id
    )
    return at_us


async def metered_nano(
    connection: asyncpg.Connection, org_id: str, before_us: int
) -> dict[str, int]:
    """Return what metering's sums say that all turns before an instant cost, by currency."""
    rows = await connection.fetch(_SUMS, org_id, before_us)
    return {row["currency"]: int(row["cost_nano"]) for row in rows}


async def billed_nano(connection: asyncpg.Connection, org_id: str) -> dict[str, int]:
    """Return what all final invoices of an organization come to, by currency."""
    rows = await connection.fetch(_BILLED, org_id)
    return {row["currency"]: int(row["amount_nano"]) for row in rows}


async def take_number(connection: asyncpg.Connection, series: str) -> int:
    """Return the next number of a series; it is not taken unless the transaction commits."""
    number: int = await connection.fetchval(
        "UPDATE billing.numbers SET next = next + 1 WHERE series = $1 RETURNING next - 1", series
    )
    return number


async def insert_close(
    connection: asyncpg.Connection, close_id: str, org: Org, scope: Scope, at_us: int
) -> None:
    """Write that a month is closed, after the newest one that is."""
    before = await last_close(connection, org.org_id)
    await connection.execute(
        "INSERT INTO billing.closes VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        close_id, org.org_id, str(scope.months[-1]), org.time_zone, scope.starts_us, scope.ends_us,
        at_us, None if before is None else before.close_id,
    )  # fmt: skip


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


async def issue(
    connection: asyncpg.Connection, invoice: Invoice, scope: Scope, number: int, close_id: str
) -> None:
    """Make a draft final, and mark the corrections on it as billed."""
    await connection.execute(
        _TAKE_CORRECTIONS, scope.org_id, scope.ends_us, scope.edges, invoice.invoice_id,
        invoice.currency, [str(month) for month in scope.months],
    )  # fmt: skip
    await connection.execute(
        "UPDATE billing.invoices SET state = 'final', number = $2, close_id = $3, final_us = $4"
        " WHERE id = $1",
        invoice.invoice_id, number, close_id, invoice.made_us,
    )  # fmt: skip


async def remove_drafts(connection: asyncpg.Connection, org_id: str, month: str) -> dict[str, str]:
    """Delete an organization's drafts of a month; return their ids by currency."""
    rows = await connection.fetch(
        "DELETE FROM billing.invoices WHERE org_id = $1 AND month = $2 AND state = 'draft'"
        " RETURNING currency, id",
        org_id,
        month,
    )
    return {row["currency"]: row["id"] for row in rows}


async def void_close(
    connection: asyncpg.Connection, close_id: str, reason: str, at_us: int
) -> None:
    """Open a closed month again: its invoices are void, and what they billed is not billed."""
    await connection.execute(
        "DELETE FROM billing.billed_corrections WHERE invoice_id IN"
        " (SELECT id FROM billing.invoices WHERE close_id = $1)",
        close_id,
    )
    await connection.execute(
        "UPDATE billing.invoices SET state = 'void', voided_us = $2, void_reason = $3"
        " WHERE close_id = $1 AND state = 'final'",
        close_id, at_us, reason,
    )  # fmt: skip
    await connection.execute(
        "UPDATE billing.closes SET voided_us = $2 WHERE id = $1", close_id, at_us
    )


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
