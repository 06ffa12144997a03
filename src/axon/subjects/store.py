"""The SQL of receipts, and of whose rows are known to be gone."""

from collections.abc import Sequence

import asyncpg

from axon.subjects.purging import Person

LISTED_MAX = 1000


async def list_conversations(connection: asyncpg.Connection, user: int) -> list[str]:
    """Return the ids of a person's conversations, chains of responses too."""
    rows = await connection.fetch(
        "SELECT id FROM conversations.conversations WHERE user_id = $1", user
    )
    return [row["id"] for row in rows]


async def insert_receipt(
    connection: asyncpg.Connection,
    receipt_id: str,
    about: tuple[str, int, int],
    document: str,
    signature: bytes,
) -> None:
    """Keep a receipt `about` (organization, user, instant)."""
    await connection.execute(
        "INSERT INTO subjects.receipts VALUES ($1, $2, $3, $4, $5, $6)",
        receipt_id,
        *about,
        document,
        signature,
    )


async def list_receipts(connection: asyncpg.Connection, org_id: str) -> list[tuple[str, bytes]]:
    """Return the newest receipts of an organization: document and signature."""
    rows = await connection.fetch(
        "SELECT document, signature FROM subjects.receipts WHERE org_id = $1"
        " ORDER BY at_us DESC, receipt_id LIMIT $2",
        org_id,
        LISTED_MAX,
    )
    return [(row["document"], row["signature"]) for row in rows]


async def note_purged(
    connection: asyncpg.Connection, people: Sequence[Person], now_us: int
) -> None:
    """Remember whose rows are gone, within the transaction that took them."""
    await connection.executemany(
        "INSERT INTO subjects.purged VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, org_id)"
        " DO UPDATE SET erased_us = excluded.erased_us, purged_us = excluded.purged_us",
        [(one.org_id, one.user, one.erased_us, now_us) for one in people],
    )


async def unpurged(
    connection: asyncpg.Connection, people: Sequence[Person], fresh_us: int
) -> list[Person]:
    """Return those whose rows are not known to be gone, and those erased after `fresh_us`."""
    rows = await connection.fetch("SELECT org_id, user_id, erased_us FROM subjects.purged")
    known = {(row["org_id"], row["user_id"]): row["erased_us"] for row in rows}
    return [
        one
        for one in people
        if known.get((one.org_id, one.user)) != one.erased_us or one.erased_us > fresh_us
    ]
