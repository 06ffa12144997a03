"""What the processes of one node hold, read from /proc; and how much its journals hold."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from axon.app.embedded import tree_of
from axon.app.folders import DataFolder
from axon.app.up import read_running
from axon.base import KIB, MIB
from axon.journal import read_cursor, read_durable

MEMORY = "memory MiB"
FILES = "open files"
JOURNAL = "journal MiB"
LAG = "lag records"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one process and its children hold now, or all journals together."""

    name: str
    figures: Mapping[str, float]


def processes_of(data: Path) -> dict[str, int]:
    """Return the node's processes by role, numbered where there are several."""
    running = read_running(DataFolder(data))
    assert running is not None, "axon up is not running"
    found = {"supervisor": running.pid}
    for role, pids in sorted(running.pids.items()):
        for number, pid in enumerate(pids, start=1):
            found[f"{role} {number}" if len(pids) > 1 else role] = pid
    return found


def held_by_all(processes: Mapping[str, int]) -> list[Held]:
    """Return what each process holds, its children included where they have no name of their own.

    Memory is what is resident and the process's own (RssAnon): files mapped and buffers shared
    between processes, as PostgreSQL's, have their bound in a setting and are not counted.
    """
    trees = {name: set(tree_of(pid)) for name, pid in processes.items()}
    return [
        _held_by(name, tree - _named_below(name, processes, trees)) for name, tree in trees.items()
    ]


def _named_below(
    name: str, processes: Mapping[str, int], trees: Mapping[str, set[int]]
) -> set[int]:
    """Return the members of a tree that belong to other names: the supervisor's children."""
    return {
        member
        for other, pid in processes.items()
        if other != name and pid in trees[name]
        for member in trees[other]
    }


def _held_by(name: str, members: set[int]) -> Held:
    memory = sum(_own_memory(member) for member in members)
    files = sum(_open_files(member) for member in members)
    return Held(name=name, figures={MEMORY: memory / MIB, FILES: float(files)})


def held_by_journals(folder: Path) -> Held:
    """Return the bytes of all journals, and how many of their entries PostgreSQL lacks."""
    journals = [path for path in folder.glob("*") if path.is_dir()]
    size = sum(_size(file) for journal in journals for file in journal.iterdir())
    lag = sum(read_durable(journal) - read_cursor(journal) for journal in journals)
    return Held(name="journals", figures={JOURNAL: size / MIB, LAG: float(max(lag, 0))})


def _own_memory(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended while we looked
    lines = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return sum(int(line.split()[1]) * KIB for line in lines)


def _open_files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0  # retired while we looked
