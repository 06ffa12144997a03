"""The embedded PostgreSQL: its data folder, how it is started, and when it is ready."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

from axon.app.embedded.binaries import postgres_folder
from axon.app.embedded.folders import private_folder, socket_folder
from axon.app.embedded.ordinary_user import own_for_root, prefix_for_root
from axon.app.embedded.process import Program, send
from axon.base import AxonError

USER = "axon"
DATABASE = "axon"

INITDB_TIMEOUT_S = 120.0
"""It takes half a second; a slow disk may need far longer, and half a cluster is of no use."""

_PROBE_TIMEOUT_S = 2.0

_EVICTION_S = 0.5
"""Backends that outlive their postmaster notice within milliseconds unless they are busy."""

_DEATH = signal.SIGQUIT
"""An "immediate" shutdown: it takes the backends along, and the next start recovers."""

_PARAMETERS = (
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=200",
    "shared_buffers=128MB",
    "jit=off",
    # After a crash every file is synced before the recovery: one call for all of them is done in
    # a tenth of the time that a thousand take beside a busy journal.
    "recovery_init_sync_method=syncfs",
    "log_timezone=UTC",
    "timezone=UTC",
)


class ClusterNotCreated(AxonError):
    """PostgreSQL could not create its data folder."""


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A PostgreSQL cluster under the data folder `data`, reached by a unix socket only."""

    data: Path
    parameters: tuple[str, ...] = ()

    @property
    def cluster(self) -> Path:
        """Return the folder PostgreSQL keeps its files in."""
        return self.data / "postgres"

    def url(self, database: str = DATABASE) -> str:
        """Return the address of one database of this cluster."""
        host = quote(str(socket_folder(self.data)), safe="")
        return f"postgresql://{USER}@/{database}?host={host}"

    def program(self) -> Program:
        """Return how the server is run; raises BinaryMissing or RootRefused."""
        sockets = f"unix_socket_directories={socket_folder(self.data)}"
        settings = [
            part for text in (*_PARAMETERS, sockets, *self.parameters) for part in ("-c", text)
        ]
        binary = str(postgres_folder() / "postgres")
        return Program(
            role="postgres",
            command=(*prefix_for_root(_DEATH.name), binary, "-D", str(self.cluster), *settings),
            log_path=self.data / "logs" / "postgres.log",
            before_start=self._prepare,
            is_ready=self._is_ready,
            stop_signal=signal.SIGINT,  # "fast": disconnect everybody, write a checkpoint
            death_signal=_DEATH,
            stop_within_s=20.0,
        )

    def _prepare(self) -> None:
        """Create the cluster when there is none, and clear what a killed server left behind."""
        if not (self.cluster / "PG_VERSION").exists():
            self._create()
        self._evict()

    def _create(self) -> None:
        """Run initdb in a folder beside the final one, so that half a cluster is never used."""
        private_folder(self.data)
        fresh = self.data / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        options = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions")
        binary = str(postgres_folder() / "initdb")
        fresh.mkdir(mode=0o700)
        own_for_root(fresh)
        prefix = prefix_for_root(_DEATH.name)
        command = (*prefix, binary, "-D", str(fresh), "-U", USER, *options)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INITDB_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            raise ClusterNotCreated(done.stderr.strip()[-2000:])
        fresh.rename(self.cluster)

    def _evict(self) -> None:
        """End backends whose postmaster was killed; drop its lock file if another has its number.

        The data folder's flock is ours, so whatever still works in the cluster is a left-over,
        and a new postmaster would refuse to start beside it.
        """
        deadline = time.monotonic() + _EVICTION_S
        while left := _working_in(self.cluster):
            if time.monotonic() > deadline:
                for pid in left:
                    send(pid, signal.SIGKILL)
            time.sleep(0.01)
        lock = self.cluster / "postmaster.pid"
        if lock.exists() and _is_another_program(lock.read_text().partition("\n")[0]):
            lock.unlink()  # every other stale lock PostgreSQL clears by itself, with more care

    async def _is_ready(self) -> bool:
        """Return True when a connection to our database succeeds; creates it the first time."""
        try:
            if await _answers(self.url()):
                return True
            return await _answers(self.url("postgres"), f"CREATE DATABASE {DATABASE}")
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
            return False
        except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            return False  # an earlier look, given up on a busy machine, is still creating it


async def _answers(url: str, statement: str = "SELECT 1") -> bool:
    """Run a statement; return False when the database does not exist."""
    try:
        connection = await asyncpg.connect(url, timeout=_PROBE_TIMEOUT_S)
    except asyncpg.InvalidCatalogNameError:
        return False
    try:
        await connection.execute(statement, timeout=_PROBE_TIMEOUT_S)
    finally:
        connection.terminate()
    return True


def _is_another_program(pid: str) -> bool:
    """Return whether a process has this number now that is not a PostgreSQL."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() != "postgres"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _working_in(cluster: Path) -> list[int]:
    """Return the living processes whose working folder is this cluster: PostgreSQL's own."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == str(cluster.resolve()):
                found.append(int(entry))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while we looked, or is not ours
    return found
