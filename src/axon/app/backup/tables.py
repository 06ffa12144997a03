"""Which tables there are, asked of PostgreSQL itself, so that none is forgotten."""

from graphlib import TopologicalSorter
from typing import NamedTuple

import asyncpg

from axon.app.backup.manifest import CONTENT
from axon.app.migrations import rooms_with_migrations

KEY_TABLES = (
    "sealing.erasures",
    "sealing.org_erasures",
    "sealing.keks",
    "sealing.data_keys",
)
"""What a backup of the keys holds: the tombstones come first."""

LEFT_OUT = {
    "sealing.data_keys": "erasing a key must erase what it sealed in every backup of the content",
    "sealing.keks": "erasing an organization's keys must erase its content in every backup too",
    "sealing.renewals": "which keys seal nothing new; without it older ones do",
    "sealing.rotations": "how far rotations are, of keys that are not in it",
    "conversations.leases": "who runs a turn now, and for some seconds; no process runs then",
}

_TABLES = r"""
SELECT n.nspname || '.' || c.relname AS place, pg_table_size(c.oid) AS bytes, (
    SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
) AS columns,
    substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''(\d+)''\)')::bigint AS since_us
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1) AND c.relkind = 'r'
ORDER BY 1
"""

_REFERENCES = """
SELECT f.nspname || '.' || t.relname AS place, g.nspname || '.' || r.relname AS needs
FROM pg_constraint AS k
JOIN pg_class AS t ON t.oid = k.conrelid JOIN pg_namespace AS f ON f.oid = t.relnamespace
JOIN pg_class AS r ON r.oid = k.confrelid JOIN pg_namespace AS g ON g.oid = r.relnamespace
WHERE k.contype = 'f' AND k.conrelid <> k.confrelid AND f.nspname = ANY($1)
"""

_SEQUENCES = """
SELECT schemaname || '.' || sequencename AS place, last_value FROM pg_sequences
WHERE schemaname = ANY($1) AND last_value IS NOT NULL
"""

# Pages, not rows: to count would read all of it. Migrations fill `version` and `numbers` (what was
# numbered is in other tables), and define the first tiers and limits; whether those were changed
# since, their version tells, which the migrations leave at 2. `cell` says whose database it is.
_HELD = """
SELECT n.nspname || '.' || c.relname FROM pg_class AS c JOIN pg_namespace AS n
    ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1) AND c.relkind = 'r' AND pg_relation_size(c.oid) > 0
    AND NOT (n.nspname IN ('accounts', 'flags', 'limits') AND c.relname = 'version')
    AND NOT (n.nspname = 'accounts' AND c.relname = 'cell')
    AND NOT (n.nspname = 'limits' AND c.relname IN ('tiers', 'rules'))
    AND NOT (n.nspname = 'billing' AND c.relname = 'numbers')
    AND n.nspname <> 'sealing'
ORDER BY 1
"""

_LIMITS_CHANGED = "SELECT number > 2 FROM limits.version"


class Table(NamedTuple):
    """A table as it stands in the database."""

    place: str
    bytes: int
    columns: list[str]
    since_us: int | None
    """Of a month of the audit's turns: when it begins."""

    @property
    def schema(self) -> str:
        """Return the room it belongs to."""
        return self.place.partition(".")[0]

    @property
    def name(self) -> str:
        """Return its name in that schema."""
        return self.place.partition(".")[2]


def schemas() -> list[str]:
    """Return the schemas of all rooms."""
    return list(rooms_with_migrations())


async def tables_of(connection: asyncpg.Connection, kind: str) -> list[Table]:
    """Return the tables of a kind of backup, each behind those it refers to.

    None of them goes before the transaction ends.
    """
    rows = await connection.fetch(_TABLES, schemas())
    found = {row["place"]: Table(**row) for row in rows}
    await connection.execute(f"LOCK TABLE {', '.join(found)} IN ACCESS SHARE MODE")
    if kind != CONTENT:
        return [found[place] for place in KEY_TABLES]
    order: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(found, ()))
    for row in await connection.fetch(_REFERENCES, schemas()):
        order.add(row["place"], row["needs"])
    return [found[place] for place in order.static_order() if place not in LEFT_OUT]


async def sequences_of(connection: asyncpg.Connection) -> dict[str, int]:
    """Return the last value of each sequence that was used."""
    rows = await connection.fetch(_SEQUENCES, schemas())
    return {row["place"]: row["last_value"] for row in rows}


async def tables_holding_data(connection: asyncpg.Connection) -> list[str]:
    """Return the tables that hold, or held, more than the migrations put there; keys apart."""
    held = [row[0] for row in await connection.fetch(_HELD, schemas())]
    if await connection.fetchval("SELECT to_regclass('limits.version') IS NOT NULL"):
        if await connection.fetchval(_LIMITS_CHANGED):
            held.append("limits.rules")
    return held
