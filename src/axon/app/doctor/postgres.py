"""Checks of PostgreSQL: that it answers, that it is new enough, that the schema is ours."""

import asyncpg

from axon.app.doctor.finding import Examined, Finding, broken, ok
from axon.app.migrations import rooms_with_migrations

OLDEST_VERSION = 150_000
"""server_version_num of PostgreSQL 15, the oldest the SQL is tested with."""

_TIMEOUT_S = 5.0


async def check_postgres(examined: Examined) -> list[Finding]:
    """Connect, ask for the version, and compare the applied migrations with ours."""
    if not examined.database_url:
        advice = "Start `axon up`, or set AXON_DATABASE_URL."
        return [broken("postgresql", "none is running here", advice)]
    try:
        connection = await asyncpg.connect(examined.database_url, timeout=_TIMEOUT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log = examined.folder.logs / "postgres.log"
        embedded = not examined.settings.database.url
        advice = f"See {log}." if embedded else "Check AXON_DATABASE_URL and that server."
        return [broken("postgresql", f"{type(error).__name__}: {error}", advice)]
    try:
        return await _examine(connection)
    finally:
        connection.terminate()


async def _examine(connection: asyncpg.Connection) -> list[Finding]:
    number = int(await connection.fetchval("SHOW server_version_num", timeout=_TIMEOUT_S))
    version = f"version {number // 10_000}.{number % 10_000}"
    if number < OLDEST_VERSION:
        return [broken("postgresql", version, "Axon needs PostgreSQL 15 or newer.")]
    missing = await _missing_migrations(connection)
    if missing:
        return [broken("postgresql", f"{version}, {missing} migrations missing", "axon migrate")]
    return [ok("postgresql", version)]


async def _missing_migrations(connection: asyncpg.Connection) -> int:
    ours = {
        (room, int(path.name.split("_")[0]))
        for room, folder in rooms_with_migrations().items()
        for path in folder.glob("*.sql")
    }
    try:
        rows = await connection.fetch(
            "SELECT room, number FROM axon_migrations", timeout=_TIMEOUT_S
        )
    except asyncpg.UndefinedTableError:
        rows = []
    return len(ours - {(row["room"], row["number"]) for row in rows})
