"""Making a backup: every table in one snapshot of the database, into one file or none."""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import asyncpg
import msgspec

from axon import __version__
from axon.app.backup.archive import (
    HEADER_MEMBER,
    MANIFEST_MEMBER,
    MANIFEST_SUM_MEMBER,
    PIECE_BYTES,
    ArchiveWriter,
)
from axon.app.backup.ended import delete_ended
from axon.app.backup.errors import BackupNotWritten, DatabaseAway
from axon.app.backup.manifest import (
    CONTENT,
    KEYS,
    KEYS_LIVE_US,
    Header,
    Manifest,
    TableCopy,
    fingerprint,
)
from axon.app.backup.place import Place
from axon.app.backup.tables import Table, schemas, sequences_of, tables_of
from axon.app.backup.verifying import Progress
from axon.app.keyring_backup import BackupExists, note_keys_backup
from axon.base import Randomness, utc_from_us
from axon.journal import SystemDisk

COPY_TIMEOUT_S = 7 * 86_400.0
"""No table takes a week; what bounds a COPY is STALL_S."""

STALL_S = 60.0
"""A COPY that brings nothing for so long has a dead PostgreSQL at its other end."""

_CURSORS = "SELECT instance, sequence FROM projection.cursors"
_MIGRATIONS = "SELECT room, number, checksum FROM axon_migrations ORDER BY room, number"


class Made(NamedTuple):
    """A backup that was made."""

    path: Path
    header: Header
    rows: int
    bytes: int
    """Of the file."""


async def make_backup(place: Place, target: Path, kind: str, progress: Progress) -> Made:
    """Write a backup of this kind to `target`, a file or a folder, and return what it is.

    Axon may run. The file is readable by its owner only, whole and on disk, or absent. Beside a
    backup of the keys, those that have ended are deleted. Raises BackupExists, BackupNotWritten,
    DatabaseAway, NoKeyring.
    """
    now_us = place.clock.now_us()
    header = Header(
        kind=kind,
        axon_version=__version__,
        created_us=now_us,
        expires_us=now_us + KEYS_LIVE_US if kind == KEYS else 0,
        keyring=fingerprint(place.keyring()),
    )
    path = _path(target, header)
    async with place.connection() as connection:
        if kind == KEYS:
            await _upload_keys(place, connection)
        try:
            with _new_file(path, place.randomness) as file:
                archive = ArchiveWriter(file, now_us)
                archive.add(HEADER_MEMBER, msgspec.json.encode(header))
                manifest = await _copy_all(connection, archive, kind, progress)
                told = msgspec.json.encode(manifest)
                archive.add(MANIFEST_MEMBER, told)
                archive.add(MANIFEST_SUM_MEMBER, hashlib.sha256(told).hexdigest().encode())
                archive.finish()
        except OSError as error:
            raise BackupNotWritten(f"{path}: {error}") from error
    if kind == KEYS:
        note_keys_backup(place.folder, now_us)
        delete_ended(path.parent, now_us)
    rows = sum(table.rows for table in manifest.tables)
    return Made(path, header, rows, path.stat().st_size)


def _path(target: Path, header: Header) -> Path:
    """Return the file to write; in a folder it is named for its kind and time. Blocks."""
    if not target.is_dir():
        return target
    made = utc_from_us(header.created_us).strftime("%Y%m%dT%H%M%SZ")
    return target / f"axon-{header.kind}-{made}.backup"


async def _upload_keys(place: Place, connection: asyncpg.Connection) -> None:
    """Let PostgreSQL have every key of this node: a person's first may be a moment old."""
    keys = place.key_store()
    try:
        await keys.upload_rest(connection)
    finally:
        await keys.close()


@contextmanager
def _new_file(path: Path, randomness: Randomness) -> Iterator[IO[bytes]]:
    """Lend a file that gets its name when the block ends well, and is deleted when it does not.

    Raises BackupExists or OSError; blocks.
    """
    if path.exists():
        raise BackupExists(str(path))
    disk = SystemDisk()
    draft = path.with_name(f".{path.name}.{randomness.bytes(6).hex()}.partial")
    descriptor = disk.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            disk.sync(file.fileno())
        if path.exists():
            raise BackupExists(str(path))
        disk.rename(draft, path)
        disk.sync_directory(path.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


async def _copy_all(
    connection: asyncpg.Connection, archive: ArchiveWriter, kind: str, progress: Progress
) -> Manifest:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        tables = await tables_of(connection, kind)
        total = sum(table.bytes for table in tables)
        copies: list[TableCopy] = []
        done = 0
        for table in tables:
            progress(table.place, done, total)
            copies.append(await _Copying(connection, archive, table).run())
            done += table.bytes
        progress("all tables", total, total)
        migrations: dict[str, dict[str, str]] = {room: {} for room in schemas()}
        for room, number, checksum in await connection.fetch(_MIGRATIONS):
            migrations.setdefault(room, {})[str(number)] = checksum.hex()
        return Manifest(
            tables=copies,
            migrations=migrations,
            cursors={row[0]: row[1] for row in await connection.fetch(_CURSORS)},
            sequences=await sequences_of(connection) if kind == CONTENT else {},
        )


class _Copying:
    """One table on its way into the archive."""

    def __init__(
        self, connection: asyncpg.Connection, archive: ArchiveWriter, table: Table
    ) -> None:
        self._connection = connection
        self._archive = archive
        self._table = table
        self._piece = bytearray()
        self._pieces = 0
        self._bytes = 0
        self._hash = hashlib.sha256()

    async def run(self) -> TableCopy:
        """Copy it; raises DatabaseAway when PostgreSQL stands still, OSError when the disk does."""
        table = self._table
        try:
            async with asyncio.timeout(STALL_S) as self._stall:
                status = await self._connection.copy_from_table(
                    table.name,
                    schema_name=table.schema,
                    columns=table.columns,
                    output=self._take,
                    format="binary",
                    timeout=COPY_TIMEOUT_S,
                )
        except TimeoutError:
            raise DatabaseAway(f"{table.place}: nothing came for {STALL_S:.0f} s") from None
        await self._write()
        return TableCopy(
            schema=table.schema,
            name=table.name,
            columns=table.columns,
            rows=int(status.split()[-1]),
            bytes=self._bytes,
            sha256=self._hash.hexdigest(),
            since_us=table.since_us,
        )

    async def _take(self, data: bytes) -> None:
        self._piece += data
        if len(self._piece) >= PIECE_BYTES:
            await self._write()
        self._stall.reschedule(asyncio.get_running_loop().time() + STALL_S)

    async def _write(self) -> None:
        """Add what has come so far to the archive; compressing and writing are a thread's."""
        piece = bytes(self._piece)
        self._piece.clear()
        self._hash.update(piece)
        self._bytes += len(piece)
        await asyncio.to_thread(self._archive.add, f"{self._table.place}/{self._pieces:06d}", piece)
        self._pieces += 1
