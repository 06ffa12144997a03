"""The file that lets a process start and decide while PostgreSQL is away."""

import os
import tempfile
from pathlib import Path

import msgspec

from axon.base import MIB
from axon.flags.kept import Defined

SNAPSHOT_BYTES_MAX = 64 * MIB
"""Largest file we read; a document of flags has a few. A larger one is not ours."""

_decoder = msgspec.json.Decoder(Defined)


def write_snapshot(path: Path, defined: Defined) -> None:
    """Replace the file at `path`, readable by its owner only; blocks; raises OSError.

    Not synced to the disk: after a power cut the file may be cut short, which reads as none.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:  # mkstemp made it 0600
            file.write(msgspec.json.encode(defined))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def read_snapshot(path: Path) -> Defined | None:
    """Return what the file says, None when there is none; blocks.

    Raises OSError or ValueError for one that cannot be read.
    """
    try:
        if path.stat().st_size > SNAPSHOT_BYTES_MAX:
            raise ValueError(f"it is larger than {SNAPSHOT_BYTES_MAX} bytes")
        found = _decoder.decode(path.read_bytes())  # msgspec's errors are ValueErrors
    except FileNotFoundError:
        return None
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if found.format != 1:
        raise ValueError(f"its format is {found.format}")
    return found
