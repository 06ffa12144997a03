"""The folders the embedded servers live in, private to the user who starts them."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from axon.base import AxonError

SOCKET_PATH_BYTES_MAX = 106
"""A unix socket's path has 108 bytes in sockaddr_un, with its closing zero; PostgreSQL wants one
more to itself."""

_LONGEST_SOCKET_NAME = "/.s.PGSQL.5432.lock"


class FolderNotPrivate(AxonError):
    """A folder for server sockets is not ours alone; remove it and start again."""


def private_folder(path: Path) -> Path:
    """Return `path` as a folder of mode 0700 that we own; raises FolderNotPrivate."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise FolderNotPrivate(str(path))
    path.chmod(0o700)
    return path


def socket_folder(data: Path, longest_name: str = _LONGEST_SOCKET_NAME) -> Path:
    """Return the private folder for the sockets of this data folder.

    It is `<data>/run`; a data path too long for an address with the longest name gets a short
    folder named by its hash in the temporary directory, the same one at every start.
    """
    folder = data / "run"
    if len(os.fsencode(f"{folder}{longest_name}")) > SOCKET_PATH_BYTES_MAX:
        name = hashlib.blake2s(os.fsencode(data), digest_size=8).hexdigest()
        folder = Path(tempfile.gettempdir()) / f"axon-{name}"
    return private_folder(folder)
