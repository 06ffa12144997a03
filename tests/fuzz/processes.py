"""How large processes are: resident memory and open files, from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Sizes(NamedTuple):
    """Of some processes together."""

    resident_bytes: int
    open_files: int

    @classmethod
    def of(cls, pids: Iterable[int]) -> "Sizes":
        """Return what these processes hold now; one that has ended raises FileNotFoundError."""
        resident = files = 0
        for pid in pids:
            process = Path("/proc", str(pid))
            resident += int((process / "statm").read_text().split()[1]) * _PAGE_BYTES
            files += len(list((process / "fd").iterdir()))
        return cls(resident, files)
