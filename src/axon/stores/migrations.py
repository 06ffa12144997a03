"""Brings a room's tables forward, one numbered SQL file at a time."""

import asyncio
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import asyncpg

from axon.stores.errors import MigrationChanged, MigrationMisnamed

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LOCK = 0x41584F4E
"""The advisory lock under which one process at a time migrates: "AXON"."""

_TABLE = """
CREATE TABLE IF NOT EXISTS axon_migrations (
    room text NOT NULL,
    number int NOT NULL,
    checksum bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (room, number)
)
"""


class _Migration(NamedTuple):
    number: int
    name: str
    sql: str
    checksum: bytes


async def migrate(connection: asyncpg.Connection, room: str, directory: Path) -> list[str]:
    """Apply the files of `directory` that this database has not seen; return their names.

    In order of their numbers, each in a transaction with the note that it was applied; safe when
    several processes do it at once, and nothing happens the second time. Raises MigrationChanged
    when a file differs from what was applied under its number, MigrationMisnamed for a bad name.
    """
    migrations = await asyncio.to_thread(_read, directory)
    applied = []
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(_TABLE)
    for migration in migrations:
        async with connection.transaction():
            if await _apply(connection, room, migration):
                applied.append(migration.name)
    return applied


async def _apply(connection: asyncpg.Connection, room: str, migration: _Migration) -> bool:
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    found = await connection.fetchval(
        "SELECT checksum FROM axon_migrations WHERE room = $1 AND number = $2",
        room,
        migration.number,
    )
    if found == migration.checksum:
        return False
    if found is not None:
        raise MigrationChanged(f"{room}/{migration.name}")
    await connection.execute("SET LOCAL statement_timeout = 0")
    await connection.execute(migration.sql)
    await connection.execute(
        "INSERT INTO axon_migrations (room, number, checksum) VALUES ($1, $2, $3)",
        room,
        migration.number,
        migration.checksum,
    )
    return True


def _read(directory: Path) -> list[_Migration]:
    migrations: dict[int, _Migration] = {}
    for path in sorted(directory.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) in migrations:
            raise MigrationMisnamed(str(path))
        sql = path.read_bytes()
        number = int(match[1])
        checksum = hashlib.sha256(sql).digest()
        migrations[number] = _Migration(number, path.name, sql.decode(), checksum)
    return list(migrations.values())
