"""The SQL of closing months: who is billed, for how long, and what that comes to."""

from typing import NamedTuple

import asyncpg

from axon.billing.counting import UNBILLED_CORRECTIONS, Scope
from axon.billing.invoice import Invoice

LOCK = "LOCK TABLE billing.numbers IN EXCLUSIVE MODE"
"""The first statement of every change: it is granted before the transaction's snapshot is taken, so
whoever waited for it sees what the one before has done."""

_ORGS = """
SELECT org_id, coalesce(o.name, org_id) AS name, coalesce(z.time_zone, 'UTC') AS time_zone
FROM (SELECT org_id FROM metering.org_usage UNION SELECT org_id FROM billing.closes) AS billed
LEFT JOIN accounts.orgs AS o ON o.id = org_id LEFT JOIN limits.time_zones AS z USING (org_id)
WHERE $1 = '' OR org_id = $1 ORDER BY org_id
"""

_SUMS = """
SELECT currency, sum(cost_nano) AS cost_nano FROM metering.org_usage_quarters
WHERE org_id = $1 AND begins_us < $2 AND currency <> '' GROUP BY currency
"""

_BILLED = """
SELECT currency, sum(amount_nano) AS amount_nano FROM billing.invoices
WHERE org_id = $1 AND state = 'final' GROUP BY currency
"""

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
