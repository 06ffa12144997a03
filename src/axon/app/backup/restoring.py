"""Restoring the content: one transaction, behind which the journals go on."""

import asyncio
import json
from typing import NamedTuple

import asyncpg

from axon.accounts import revoke_again
from axon.app.backup.errors import BackupDamaged, DatabaseNotEmpty
from axon.app.backup.journals import (
    JournalGoesOn,
    journals_behind,
    lower_marks,
    records_behind,
    refuse_missing,
)
from axon.app.backup.loading import load
from axon.app.backup.place import Place, refuse_connected
from axon.app.backup.schema import (
    bring_forward,
    drop_content,
    make_tables,
    refuse_unknown_schema,
)
from axon.app.backup.tables import tables_holding_data
from axon.app.backup.verifying import Progress, Verified
from axon.conversations import LostPlaces
from axon.deeds import note_deed
from axon.journal import SystemDisk

_SET_CURSOR = """
INSERT INTO projection.cursors (instance, sequence) VALUES ($1, $2)
ON CONFLICT (instance) DO UPDATE SET sequence = excluded.sequence
"""


class Allowed(NamedTuple):
    """What the operator allowed."""

    replace: bool
    """To delete what the database holds."""
    accept_loss: bool
    """To go on without the entries that neither backup nor journal has."""


class Restored(NamedTuple):
    """A content that was restored."""

    rows: int
    lost: list[JournalGoesOn]
    """Journals of which entries are missing, which was allowed."""
    shortened: int
    """Conversations that lack places in the middle for that."""
    revoked: int
    """API keys that the backup holds as valid and this node knew to be revoked."""


async def restore_content(
    place: Place, backup: Verified, allowed: Allowed, progress: Progress
) -> Restored:
    """Make the database what the backup says, ready for the journals to be replayed.

    All or nothing. Raises KeyringDiffers, BackupNewer, SchemaDiffers, DatabaseInUse,
    DatabaseNotEmpty, JournalNotTheBackups, EntriesMissing, DatabaseAway; the database is then as
    it was before.
    """
    place.refuse_other_keyring(backup.header)
    refuse_unknown_schema(backup.header, backup.manifest)
    journals = await asyncio.to_thread(journals_behind, place.folder, backup.manifest.cursors)
    if not allowed.accept_loss:
        refuse_missing(journals)
    lost = [journal for journal in journals if journal.missing]
    async with place.connection() as connection:
        await refuse_connected(connection)
        async with connection.transaction():
            if held := await tables_holding_data(connection):
                if not allowed.replace:
                    raise DatabaseNotEmpty(", ".join(held))
            await drop_content(connection)
            await make_tables(connection, backup.manifest)
            try:
                await load(connection, backup, progress)
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
                raise BackupDamaged(str(error)) from error
            await bring_forward(connection)
            revoked = await revoke_again(connection, place.folder.accounts_snapshot)
            shortened = await _go_on_without(connection, lost, journals) if lost else 0
            await note_restored(connection, backup)
            await asyncio.to_thread(_forget_what_was_known, place, journals)
        await _upload_keys(place, connection)
    rows = sum(table.rows for table in backup.manifest.tables)
    return Restored(rows, lost, shortened, revoked)


async def note_restored(connection: asyncpg.Connection, backup: Verified) -> None:
    """Write down who restored what, within the open transaction."""
    made = json.dumps({"backup_made_us": backup.header.created_us})
    await note_deed(connection, f"{backup.header.kind}.restored", backup.path.name, made)


async def _go_on_without(
    connection: asyncpg.Connection, lost: list[JournalGoesOn], journals: list[JournalGoesOn]
) -> int:
    """Put the cursors behind what is missing, and let conversations go on behind it too."""
    for journal in lost:
        await connection.execute(_SET_CURSOR, journal.instance, journal.cursor)
    places = LostPlaces(connection)
    await places.open()
    for journal in journals:
        pages = records_behind(journal)
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            await places.note(page)
    return await places.skip()


def _forget_what_was_known(place: Place, journals: list[JournalGoesOn]) -> None:
    """Take away what speaks of the database as it was; blocks.

    Before the commit: all of it is made anew when missing, and none may outlive what it is about.
    Without the epoch's file nothing that Valkey remembers is believed any more, and without the
    snapshots the keys, prices, limits and flags come from the restored tables.
    """
    lower_marks(journals)
    place.folder.valkey_epoch.unlink(missing_ok=True)
    place.folder.accounts_snapshot.unlink(missing_ok=True)
    place.folder.prices_snapshot.unlink(missing_ok=True)
    place.folder.limits_snapshot.unlink(missing_ok=True)
    place.folder.flags_snapshot.unlink(missing_ok=True)
    SystemDisk().sync_directory(place.folder.root)


async def _upload_keys(place: Place, connection: asyncpg.Connection) -> None:
    """Give PostgreSQL the data keys of this node, for it may never have had them."""
    keys = place.key_store()
    try:
        await keys.upload_all(connection)
    finally:
        await keys.close()
