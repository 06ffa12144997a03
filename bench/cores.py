"""Which core does what: the measured server has one to itself, everything else the other."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Two cores of this machine; on a machine with one they are the same."""

    server: int
    load: int

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """Return the first two cores this process may use."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(server=usable[0], load=usable[-1] if len(usable) == 1 else usable[1])

    @property
    def separate(self) -> bool:
        """Return whether the server really has its core to itself."""
        return self.server != self.load


def on_core(core: int, command: list[str]) -> list[str]:
    """Return the command pinned to a core and ending with its parent."""
    return ["setpriv", "--pdeathsig", "TERM", "--", "taskset", "--cpu-list", str(core), *command]


def move(pid: int, core: int) -> None:
    """Move a running process with all its threads to one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def yield_to_others(pid: int) -> None:
    """Let a background process that shares a core with the load generator give way to it."""
    os.setpriority(os.PRIO_PROCESS, pid, 10)


def cpu_seconds(pids: tuple[int, ...]) -> float:
    """Return the CPU time, user and system, that the living processes of `pids` have used."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_S


def family_seconds(pid: int) -> float:
    """Return the CPU time of this process, of a server, and of the server's living children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return time.process_time() + cpu_seconds((pid, *map(int, children)))
