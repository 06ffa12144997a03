"""The file that lets a process start and charge while PostgreSQL is away."""

import os
import tempfile
from pathlib import Path

import msgspec

from axon.base import MIB
from axon.metering.price import Price

SNAPSHOT_BYTES_MAX = 256 * MIB
"""Largest file we read: half a million prices. A larger one is not ours."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What one process knew of the prices."""

    format: int = 1
    seen: int
    """Number of the newest change that is in here."""
    prices: tuple[Price, ...]


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Replace the file at `path`, readable by its owner only; blocks; raises OSError.

    Not synced to the disk: after a power cut the file may be cut short, which reads as none.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(snapshot))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def read_snapshot(path: Path) -> Snapshot | None:
    """Return what the file says, None when there is none or it is unreadable; blocks."""
    try:
        if path.stat().st_size > SNAPSHOT_BYTES_MAX:
            return None
        snapshot = msgspec.json.decode(path.read_bytes(), type=Snapshot)
    except (OSError, ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    return snapshot if snapshot.format == 1 else None
