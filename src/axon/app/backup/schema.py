"""The tables as they were when the backup was made, then as this version wants them."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import asyncpg

from axon.app.backup.errors import BackupNewer, SchemaDiffers
from axon.app.backup.manifest import Header, Manifest
from axon.app.migrations import rooms_with_migrations
from axon.stores import migrate

_KEPT = "sealing"
"""The room whose tables stay: data keys are in no backup of the content."""


def refuse_unknown_schema(header: Header, manifest: Manifest) -> None:
    """Return when this version has the migrations of the backup.

    Raises BackupNewer, which says which version has, or SchemaDiffers.
    """
    rooms = rooms_with_migrations()
    for room, applied in manifest.migrations.items():
        files = _files(rooms[room]) if room in rooms else {}
        for number, checksum in applied.items():
            if number not in files:
                raise BackupNewer(f"Axon {header.axon_version}: {room} {number} is not known here")
            if sha256(files[number].read_bytes()).hexdigest() != checksum:
                raise SchemaDiffers(f"{room}/{files[number].name}")


async def drop_content(connection: asyncpg.Connection) -> None:
    """Delete all tables but those of the keys, within the open transaction."""
    for room in rooms_with_migrations():
        if room != _KEPT:
            await connection.execute(f'DROP SCHEMA IF EXISTS "{room}" CASCADE')
    if await connection.fetchval("SELECT to_regclass('axon_migrations') IS NOT NULL"):
        await connection.execute("DELETE FROM axon_migrations WHERE room <> $1", _KEPT)


async def make_tables(connection: asyncpg.Connection, manifest: Manifest) -> None:
    """Make the tables of the backup's version, within the open transaction."""
    with _as_of(manifest) as rooms:
        for room, folder in rooms.items():
            await migrate(connection, room, folder)


async def bring_forward(connection: asyncpg.Connection) -> None:
    """Bring the tables to the schema of this version, within the open transaction."""
    for room, folder in rooms_with_migrations().items():
        await migrate(connection, room, folder)


@contextmanager
def _as_of(manifest: Manifest) -> Iterator[dict[str, Path]]:
    """Lend the folders of migrations as they were: what the backup knows, and nothing since."""
    with tempfile.TemporaryDirectory(prefix="axon-migrations-") as temporary:
        folders = {}
        for room, folder in rooms_with_migrations().items():
            if room == _KEPT:  # its tables may be newer than the backup, and stay so
                folders[room] = folder
                continue
            folders[room] = Path(temporary) / room
            folders[room].mkdir()
            files = _files(folder)
            for number in manifest.migrations.get(room, {}):
                shutil.copy(files[number], folders[room])
        yield folders


def _files(folder: Path) -> dict[str, Path]:
    """Return a room's migrations by their number, as the manifest writes it."""
    found = {}
    for path in folder.glob("*.sql"):
        if match := re.match(r"\d+", path.name):
            found[str(int(match[0]))] = path
    return found
