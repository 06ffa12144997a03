"""One child process: described as a value, started so that it dies with its parent."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl
"""Looked up here: between fork and exec nothing may be loaded."""

TREE_SCANS_MAX = 50
"""A process tree is scanned until it stops growing; a fork bomb must not hold us for ever."""

LOG_TAIL_BYTES = 2000


def _nothing() -> None:
    """Do nothing: most programs need no preparation."""


async def _always() -> bool:
    """Return True: a program without a check is ready once it runs."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How one server or role is started, found ready and stopped; starts nothing by itself."""

    role: str
    command: tuple[str, ...]
    log_path: Path | None
    """Where its output is appended; None: it writes where we do."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    pass_fds: tuple[int, ...] = ()
    instance: str = ""
    """Its name among several programs of one role; empty: it is the only one."""
    before_start: Callable[[], None] = _nothing
    is_ready: Callable[[], Awaitable[bool]] = _always
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    held: frozenset[signal.Signals] = frozenset()
    """Signals that wait until it unblocks them: while it still starts, they would end it."""
    stop_within_s: float = 5.0

    @property
    def name(self) -> str:
        """Return what a person calls it."""
        return self.instance or self.role


def launch(program: Program) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own and return its process; raises OSError.

    Run `before_start` first; it may block. The kernel sends it `death_signal` when the calling
    *thread* ends (prctl(2)), so call this from the main thread only.
    """
    parent = os.getpid()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, program.held)
        _PRCTL(_PR_SET_PDEATHSIG, int(program.death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent was gone before the kernel knew whom to watch

    with ExitStack() as opened:
        log = None
        if program.log_path is not None:
            program.log_path.parent.mkdir(parents=True, exist_ok=True)
            log = opened.enter_context(open(program.log_path, "ab", opener=_private))
        return subprocess.Popen(
            program.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(program.environment),
            pass_fds=program.pass_fds,
            preexec_fn=prepare,
            start_new_session=True,
        )


def last_words(program: Program) -> str:
    """Return the end of what the program wrote to its log, for a person to read."""
    try:
        log = program.log_path.read_bytes() if program.log_path is not None else b""
    except FileNotFoundError:
        return ""
    return log[-LOG_TAIL_BYTES:].decode(errors="replace").strip()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def tree_of(pid: int) -> list[int]:
    """Return `pid` and all its living descendants, parents first."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            children.setdefault(_parent_of(int(entry)), []).append(int(entry))
    tree = [pid]
    for member in tree:
        tree.extend(children.get(member, ()))
    return tree


def _parent_of(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended while we looked
    return int(status.rpartition(")")[2].split()[1])


def freeze(pid: int) -> None:
    """Stop the whole tree with SIGSTOP; the parent first, so that it starts no more children."""
    frozen: set[int] = set()
    for _ in range(TREE_SCANS_MAX):
        running = [member for member in tree_of(pid) if member not in frozen]
        if not running:
            return
        for member in running:
            send(member, signal.SIGSTOP)
        frozen.update(running)


def thaw(pid: int) -> None:
    """Let a frozen tree run on; harmless when it is not frozen."""
    for member in tree_of(pid):
        send(member, signal.SIGCONT)


def kill(pid: int) -> None:
    """Kill the whole tree with SIGKILL, as a crash would; blocks for nothing."""
    for member in tree_of(pid):
        send(member, signal.SIGKILL)


def send(pid: int, signal_number: signal.Signals) -> bool:
    """Send a signal; return False when there is no such process any more."""
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return False
    return True
