"""Backups of PostgreSQL's content and of the data keys, apart, and how they are restored."""

from axon.app.backup.errors import BackupError
from axon.app.backup.making import Made, make_backup
from axon.app.backup.manifest import CONTENT, KEYS, KEYS_LIVE_US, Header
from axon.app.backup.place import Place, database_in_use, database_to_replace
from axon.app.backup.replaying import Replay, replay_journals
from axon.app.backup.restoring import Allowed, Restored, restore_content
from axon.app.backup.restoring_keys import RestoredKeys, restore_keys
from axon.app.backup.verifying import Verified, verify_backup

__all__ = [
    "CONTENT",
    "KEYS",
    "KEYS_LIVE_US",
    "Allowed",
    "BackupError",
    "Header",
    "Made",
    "Place",
    "Replay",
    "Restored",
    "RestoredKeys",
    "Verified",
    "database_in_use",
    "database_to_replace",
    "make_backup",
    "replay_journals",
    "restore_content",
    "restore_keys",
    "verify_backup",
]
