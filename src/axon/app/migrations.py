"""Brings the database to the schema of this version: every room's migrations, in order."""

from pathlib import Path

import asyncpg

import axon
from axon.app.newer_database import refuse_newer
from axon.stores import migrate

CONNECT_TIMEOUT_S = 10.0


_LAST = "deeds"
"""The room whose migrations watch the other rooms' tables."""


def rooms_with_migrations() -> dict[str, Path]:
    """Return the folder of SQL files of each room that has tables, by the room's name."""
    package = Path(axon.__file__).parent
    folders = sorted(package.glob("*/migrations"), key=lambda one: (one.parent.name == _LAST, one))
    return {folder.parent.name: folder for folder in folders}


async def migrate_all(database_url: str) -> dict[str, list[str]]:
    """Apply what is missing; return the names of the files applied now, by room.

    Safe to repeat and to run from several processes at once; raises DatabaseNewer, or what
    connecting raises.
    """
    connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S)
    rooms = rooms_with_migrations()
    try:
        await refuse_newer(connection, rooms)
        return {room: await migrate(connection, room, folder) for room, folder in rooms.items()}
    finally:
        await connection.close()
