"""Backups of keys live for 30 days: the next one deletes those that have ended."""

from pathlib import Path

from axon.app.backup.errors import BackupError
from axon.app.backup.manifest import KEYS
from axon.app.backup.verifying import read_header

_NAMES = f"axon-{KEYS}-*.backup"
"""As `axon backup --keys FOLDER` names them; another's files are not looked at."""


def delete_ended(folder: Path, now_us: int) -> list[Path]:
    """Delete the folder's backups of keys that nobody may restore any more; return them. Blocks.

    One that cannot be read, or deleted, stays.
    """
    deleted = []
    for path in sorted(folder.glob(_NAMES)):
        try:
            header = read_header(path)
            if header.kind == KEYS and header.expires_us <= now_us:
                path.unlink()
                deleted.append(path)
        except (BackupError, OSError):
            continue
    return deleted
