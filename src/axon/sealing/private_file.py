"""Files that hold keys: for their owner's eyes, there whole or not at all, durable before use."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from axon.base import Randomness
from axon.sealing.errors import KeyringRefused

_FOR_OTHERS = 0o077


def check_private(descriptor: int, path: Path) -> None:
    """Raise KeyringRefused unless the open file is ours (or root's) and closed to all others."""
    status = os.fstat(descriptor)
    if status.st_mode & _FOR_OTHERS:
        raise KeyringRefused(f"{path} is open to others: chmod 600 it")
    if status.st_uid not in (os.geteuid(), 0):
        raise KeyringRefused(f"{path} belongs to another user")


def read_private(path: Path) -> bytes:
    """Return the content of a private file; raise FileNotFoundError or KeyringRefused. Blocks."""
    with path.open("rb") as file:
        check_private(file.fileno(), path)
        return file.read()


def create_private(path: Path, content: bytes, randomness: Randomness) -> None:
    """Create the file 0600 with this content unless one is there; durable on return. Blocks.

    Of several processes that do this at once one wins, and none ever sees half a file.
    """
    # Where another process was faster its file counts.
    with _draft_of(path, content, randomness) as draft, suppress(FileExistsError):
        os.link(draft, path)
    fsync_directory(path.parent)


def replace_private(path: Path, content: bytes, randomness: Randomness) -> None:
    """Put this content in the file's place, 0600 and its owner's; durable on return. Blocks.

    Who reads meanwhile reads the old one or the new one, whole.
    """
    owner = path.stat()
    with _draft_of(path, content, randomness) as draft:
        if owner.st_uid != os.geteuid():  # root did it for the user whom Axon runs as
            os.chown(draft, owner.st_uid, owner.st_gid)
        draft.replace(path)
    fsync_directory(path.parent)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory against all others who do so too; blocks until it is free."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _draft_of(path: Path, content: bytes, randomness: Randomness) -> Iterator[Path]:
    """Lend a durable file of this content beside `path`; what is left of it goes."""
    draft = path.with_name(f"{path.name}.{randomness.bytes(8).hex()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def fsync_directory(directory: Path) -> None:
    """Make the names in `directory` durable. Blocks."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
