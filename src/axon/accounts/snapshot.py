"""The file that lets a process start and serve while PostgreSQL is away."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from axon.accounts.credential import Credential
from axon.accounts.homes import Home
from axon.base import MIB

SNAPSHOT_BYTES_MAX = 256 * MIB
"""Largest file we read: half a million credentials. A larger one is not ours."""


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of the file; one line for each credential follows, then one for each home."""

    format: Literal[1] = 1
    synced_us: int
    seen: int
    credentials: int
    homes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one process knew of the credentials, and how recent that was. Holds no secret."""

    synced_us: int
    """Wall time at which PostgreSQL last confirmed this."""
    seen: int
    """Number of the newest change that is in here."""
    credentials: tuple[Credential, ...]
    homes: tuple[Home, ...] = ()


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Replace the file at `path`, readable by its owner only; blocks; raises OSError.

    Not synced to the disk: after a power cut the file may be cut short, which reads as none.
    """
    head = _Head(
        synced_us=snapshot.synced_us,
        seen=snapshot.seen,
        credentials=len(snapshot.credentials),
        homes=len(snapshot.homes),
    )
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:  # mkstemp made it 0600
            file.write(msgspec.json.encode(head) + b"\n")
            # Line by line: other threads get their turn.
            for one in (*snapshot.credentials, *snapshot.homes):
                file.write(msgspec.json.encode(one) + b"\n")
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def read_snapshot(path: Path) -> Snapshot | None:
    """Return what the file says, None when there is none or it is unreadable; blocks."""
    try:
        if path.stat().st_size > SNAPSHOT_BYTES_MAX:
            return None
        first, *lines = path.read_bytes().splitlines()
        head = msgspec.json.decode(first, type=_Head)
        keys, others = lines[: head.credentials], lines[head.credentials :]
        credentials = tuple(msgspec.json.decode(line, type=Credential) for line in keys)
        homes = tuple(msgspec.json.decode(line, type=Home) for line in others)
    except (OSError, ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    if (len(credentials), len(homes)) != (head.credentials, head.homes):
        return None
    return Snapshot(synced_us=head.synced_us, seen=head.seen, credentials=credentials, homes=homes)
