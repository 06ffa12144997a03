"""Restoring data keys: while their backup lives, and never one whose owner was erased."""

from typing import NamedTuple

from axon.app.backup.errors import KeyBackupExpired
from axon.app.backup.loading import load
from axon.app.backup.place import Place
from axon.app.backup.restoring import note_restored
from axon.app.backup.schema import bring_forward, refuse_unknown_schema
from axon.app.backup.verifying import Progress, Verified
from axon.base import utc_from_us


class RestoredKeys(NamedTuple):
    """What became of a backup of keys."""

    keys: int
    """That were not there."""
    buried: int
    """That were erased since the backup, and stay so."""


async def restore_keys(place: Place, backup: Verified, progress: Progress) -> RestoredKeys:
    """Add the backup's keys to PostgreSQL's copy, where every node finds what it lacks.

    The tombstones of this node, of the database and of the backup come first. Raises
    KeyBackupExpired, KeyringDiffers, BackupNewer, SchemaDiffers, DatabaseAway.
    """
    header = backup.header
    if place.clock.now_us() >= header.expires_us:
        ended = utc_from_us(header.expires_us)
        raise KeyBackupExpired(f"this one ended on {ended:%Y-%m-%d %H:%M} UTC")
    place.refuse_other_keyring(header)
    refuse_unknown_schema(header, backup.manifest)
    async with place.connection() as connection:
        async with connection.transaction():
            await bring_forward(connection)
        keys = place.key_store()
        try:
            await keys.upload_all(connection)
        finally:
            await keys.close()
        async with connection.transaction():
            taken = await load(connection, backup, progress)
            await note_restored(connection, backup)
    return RestoredKeys(taken.keys, taken.buried)
