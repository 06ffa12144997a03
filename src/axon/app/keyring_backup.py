"""Copies the keyring to a safe place, and remembers when it and the data keys were backed up."""

import hashlib
import os
from pathlib import Path

import msgspec

from axon.app.folders import DataFolder
from axon.base import AxonError, Clock


class NoKeyring(AxonError):
    """There is no keyring in this data folder yet: `axon up` makes it."""


class BackupExists(AxonError):
    """A file stands where the backup should go; choose another name, nothing is overwritten."""


class BackupNote(msgspec.Struct, frozen=True, kw_only=True):
    """When the keyring was backed up, and which content it had."""

    backed_up_us: int
    sha256: str


def back_up(folder: DataFolder, target: Path, clock: Clock) -> Path:
    """Copy the keyring to `target`, a file or a folder; return the file written (0600).

    Raises NoKeyring, BackupExists or OSError.
    """
    try:
        content = folder.keyring.read_bytes()
    except FileNotFoundError:
        raise NoKeyring(str(folder.root)) from None
    path = target / folder.keyring.name if target.is_dir() else target
    try:
        with open(path, "xb", opener=_private) as file:
            file.write(content)
    except FileExistsError:
        if path.read_bytes() != content:
            raise BackupExists(str(path)) from None
    note = BackupNote(backed_up_us=clock.now_us(), sha256=hashlib.sha256(content).hexdigest())
    folder.keyring_backup_note.write_bytes(msgspec.json.encode(note))
    return path


def last_backup(folder: DataFolder) -> BackupNote | None:
    """Return when the present keyring was backed up, or None when it never was."""
    try:
        note = msgspec.json.decode(folder.keyring_backup_note.read_bytes(), type=BackupNote)
        present = hashlib.sha256(folder.keyring.read_bytes()).hexdigest()
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return note if note.sha256 == present else None


def note_keys_backup(folder: DataFolder, now_us: int) -> None:
    """Remember that the data keys were backed up."""
    note = BackupNote(backed_up_us=now_us, sha256="")
    folder.keys_backup_note.write_bytes(msgspec.json.encode(note))


def last_keys_backup(folder: DataFolder) -> BackupNote | None:
    """Return when the data keys were last backed up from this folder, or None for never."""
    try:
        return msgspec.json.decode(folder.keys_backup_note.read_bytes(), type=BackupNote)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _private(path: str | Path, flags: int) -> int:
    return os.open(path, flags, 0o600)
