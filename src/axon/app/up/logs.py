"""Keeps the log files of the children within bounds."""

import os
import shutil
from pathlib import Path

from axon.base import MIB

LOG_BYTES_MAX = 64 * MIB
"""A file grows to this, and its predecessor is kept beside it: twice this for each process."""


def trim_logs(folder: Path, bytes_max: int = LOG_BYTES_MAX) -> list[Path]:
    """Move the content of each log file over the bound to `<name>.1`; return those files.

    The children hold their files open for appending, so the file is copied and emptied rather
    than renamed; lines written in between are lost. Blocks on the disk.
    """
    trimmed = []
    for log in folder.glob("*.log"):
        if log.stat().st_size > bytes_max:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)
            trimmed.append(log)
    return trimmed
