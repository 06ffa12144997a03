"""Refuses a database that a newer version of Axon has migrated: its tables are not ours."""

from pathlib import Path

import asyncpg

from axon.base import AxonError


class DatabaseNewer(AxonError):
    """A newer version of Axon migrated this database; install that version, nothing was changed."""


async def refuse_newer(connection: asyncpg.Connection, rooms: dict[str, Path]) -> None:
    """Return when every migration of the database is one of ours; raises DatabaseNewer.

    `rooms` holds each room's folder of SQL files. A database without migrations is new.
    """
    if await connection.fetchval("SELECT to_regclass('axon_migrations')") is None:
        return
    known = {(room, int(path.name[:4])) for room, path in _files(rooms)}
    rows = await connection.fetch("SELECT room, number FROM axon_migrations ORDER BY room, number")
    unknown = [f"{room}/{number:04}" for room, number in rows if (room, number) not in known]
    if unknown:
        raise DatabaseNewer(f"it has {', '.join(unknown)}")


def _files(rooms: dict[str, Path]) -> list[tuple[str, Path]]:
    return [(room, path) for room, folder in rooms.items() for path in folder.glob("*.sql")]
