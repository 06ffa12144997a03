"""The copy of the wrapped keys in PostgreSQL, for the other nodes and for a lost disk."""

from typing import NamedTuple

import asyncpg

from axon.sealing.key_table import Erasure, WrappedKey

ROWS_MAX = 1000
"""Keys, and erasures, sent in one transaction."""


async def send_keys(connection: asyncpg.Connection, keys: list[WrappedKey]) -> list[bytes]:
    """Insert the keys that are not there; return the ids of those that already were."""
    if not keys:
        return []
    columns = [list(column) for column in zip(*keys, strict=True)]
    rows = await connection.fetch(
        "SELECT key_id FROM sealing.data_keys WHERE key_id = ANY($1::bytea[])", columns[0]
    )
    await connection.execute(
        "INSERT INTO sealing.data_keys (key_id, org_id, user_id, kek_id, wrapped, created_us)"
        " SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::text[], $5::bytea[],"
        " $6::bigint[]) AS mine (key_id, org_id, user_id, kek_id, wrapped, created_us)"
        " WHERE NOT EXISTS (SELECT FROM sealing.org_erasures AS e"
        " WHERE e.org_id = mine.org_id AND mine.created_us <= e.erased_us) ON CONFLICT DO NOTHING",
        *columns,
    )
    return [row["key_id"] for row in rows]


async def send_erasures(connection: asyncpg.Connection, erasures: list[Erasure]) -> list[Erasure]:
    """Carry the erasures out; return those that already were."""
    if not erasures:
        return []
    columns = [list(column) for column in zip(*erasures, strict=True)]
    rows = await connection.fetch(
        "SELECT org_id, user_id, erased_us FROM sealing.erasures JOIN"
        " unnest($1::text[], $2::bigint[], $3::bigint[]) AS mine (org_id, user_id, erased_us)"
        " USING (org_id, user_id, erased_us)",
        *columns,
    )
    await connection.execute(
        "INSERT INTO sealing.erasures AS there (org_id, user_id, erased_us)"
        " SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])"
        " ON CONFLICT (user_id, org_id)"
        " DO UPDATE SET erased_us = greatest(there.erased_us, excluded.erased_us)",
        *columns,
    )
    await connection.execute(
        "DELETE FROM sealing.data_keys AS gone"
        " USING unnest($1::text[], $2::bigint[], $3::bigint[]) AS mine (org_id, user_id, erased_us)"
        " WHERE gone.user_id = mine.user_id AND gone.org_id = mine.org_id"
        " AND gone.created_us <= mine.erased_us",
        *columns,
    )
    return [Erasure(*row) for row in rows]


async def find_key(connection: asyncpg.Connection, key_id: bytes) -> WrappedKey | None:
    """Return the key, or None when it is not there."""
    row = await connection.fetchrow(
        "SELECT key_id, org_id, user_id, kek_id, wrapped, created_us"
        " FROM sealing.data_keys WHERE key_id = $1",
        key_id,
    )
    return None if row is None else WrappedKey(*row)


async def count_keys(connection: asyncpg.Connection, org_id: str, user: int) -> int:
    """Return how many keys of a person PostgreSQL has."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM sealing.data_keys WHERE user_id = $1 AND org_id = $2", user, org_id
    )
    return found


async def read_erasures(connection: asyncpg.Connection, since_us: int) -> list[Erasure]:
    """Return everybody who was erased since an instant, on whichever node."""
    rows = await connection.fetch(
        "SELECT org_id, user_id, erased_us FROM sealing.erasures WHERE erased_us >= $1"
        " ORDER BY erased_us",
        since_us,
    )
    return [Erasure(*row) for row in rows]


_INCOMING = """
CREATE TEMP TABLE incoming_erasures (LIKE sealing.erasures) ON COMMIT DROP;
CREATE TEMP TABLE incoming_data_keys (LIKE sealing.data_keys) ON COMMIT DROP;
CREATE TEMP TABLE incoming_org_erasures (LIKE sealing.org_erasures) ON COMMIT DROP;
CREATE TEMP TABLE incoming_keks (LIKE sealing.keks) ON COMMIT DROP
"""

_TAKE_ERASURES = """
WITH came AS (
    INSERT INTO sealing.erasures AS there (org_id, user_id, erased_us)
    SELECT org_id, user_id, erased_us FROM incoming_erasures
    ON CONFLICT (user_id, org_id)
    DO UPDATE SET erased_us = greatest(there.erased_us, excluded.erased_us)
    RETURNING org_id, user_id, erased_us
)
DELETE FROM sealing.data_keys AS gone USING came
WHERE gone.user_id = came.user_id AND gone.org_id = came.org_id
    AND gone.created_us <= came.erased_us
"""

_TAKE_ORG_ERASURES = """
INSERT INTO sealing.org_erasures AS there SELECT org_id, erased_us FROM incoming_org_erasures
ON CONFLICT (org_id) DO UPDATE SET erased_us = greatest(there.erased_us, excluded.erased_us)
"""

_BURY_ORGS = """
DELETE FROM sealing.data_keys AS gone USING sealing.org_erasures AS e
WHERE gone.org_id = e.org_id AND gone.created_us <= e.erased_us;
DELETE FROM sealing.keks AS gone USING sealing.org_erasures AS e
WHERE gone.org_id = e.org_id AND gone.created_us <= e.erased_us
"""

# One that is there was wrapped later, or is the same.
_TAKE_KEKS = """
INSERT INTO sealing.keks SELECT * FROM incoming_keks AS came
WHERE NOT EXISTS (
    SELECT FROM sealing.org_erasures AS e
    WHERE e.org_id = came.org_id AND came.created_us <= e.erased_us
)
ON CONFLICT DO NOTHING
"""

_TAKE_KEYS = """
INSERT INTO sealing.data_keys (key_id, org_id, user_id, kek_id, wrapped, created_us)
SELECT key_id, org_id, user_id, kek_id, wrapped, created_us FROM incoming_data_keys AS came
WHERE NOT EXISTS (
    SELECT FROM sealing.erasures AS e WHERE e.user_id = came.user_id AND e.org_id = came.org_id
    AND came.created_us <= e.erased_us
) AND NOT EXISTS (
    SELECT FROM sealing.org_erasures AS e
    WHERE e.org_id = came.org_id AND came.created_us <= e.erased_us
)
ON CONFLICT DO NOTHING
"""

_BURIED = """
SELECT count(*) FROM incoming_data_keys AS came WHERE EXISTS (
    SELECT FROM sealing.erasures AS e
    WHERE e.user_id = came.user_id AND e.org_id = came.org_id AND came.created_us <= e.erased_us
) OR EXISTS (
    SELECT FROM sealing.org_erasures AS e
    WHERE e.org_id = came.org_id AND came.created_us <= e.erased_us
)
"""


class TakenIn(NamedTuple):
    """What became of the keys of a backup."""

    keys: int
    """That are new here."""
    buried: int
    """That were erased since."""


async def open_incoming(connection: asyncpg.Connection) -> None:
    """Make the temporary tables for a backup's rows, each `incoming_` and its table's name.

    They live as long as the open transaction.
    """
    await connection.execute(_INCOMING)


async def take_in(connection: asyncpg.Connection) -> TakenIn:
    """Take over what the incoming tables hold, tombstones first: no erased key comes back."""
    await connection.execute(_TAKE_ERASURES)
    await connection.execute(_TAKE_ORG_ERASURES)
    await connection.execute(_BURY_ORGS)
    await connection.execute(_TAKE_KEKS)
    new = int((await connection.execute(_TAKE_KEYS)).split()[-1])
    buried = await connection.fetchval(_BURIED)
    return TakenIn(new, buried)
