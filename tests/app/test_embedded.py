"""The embedded servers: found, started, stopped, killed, and never left behind."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from axon.app.embedded import (
    BinaryMissing,
    EmbeddedPostgres,
    EmbeddedServer,
    EmbeddedValkey,
    ServerFailed,
    ordinary_user,
    postgres_folder,
    tree_of,
    valkey_binary,
)
from axon.app.embedded.folders import SOCKET_PATH_BYTES_MAX, FolderNotPrivate, socket_folder
from axon.app.embedded.process import Program, launch

ENDS_WITHIN_S = 20

PARENT = """
import sys, time
from pathlib import Path
from axon.app.embedded import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
data = Path(sys.argv[1])
for embedded in (EmbeddedPostgres(data, ("fsync=off",)), EmbeddedValkey(data)):
    server = EmbeddedServer(embedded.program(), embedded.url())
    server.start()
    print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def postgres(server_folder: Path) -> Iterator[EmbeddedServer]:
    embedded = EmbeddedPostgres(server_folder / "own", ("fsync=off",))
    server = EmbeddedServer(embedded.program(), embedded.url())
    server.start()
    yield server
    server.kill()


async def test_looks_that_overlap_create_the_database_once(
    postgres: EmbeddedServer, server_folder: Path
) -> None:
    """A look that was given up on a busy machine still creates it while the next one does."""
    embedded = EmbeddedPostgres(server_folder / "own", ("fsync=off",))
    assert postgres.running
    admin = await asyncpg.connect(embedded.url("postgres"))
    await admin.execute("DROP DATABASE axon")
    await admin.close()
    is_ready = embedded.program().is_ready
    assert True in await asyncio.gather(*(is_ready() for _ in range(4)))
    assert await is_ready()


def wait_until_gone(pids: list[int]) -> None:
    """Wait for the end of processes that are not our children; fails when one stays."""
    for pid in pids:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([watch], [], [], ENDS_WITHIN_S)[0], f"process {pid} lives on"
        finally:
            os.close(watch)


def test_kill_9_of_the_parent_leaves_no_server(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    servers = [int(parent.stdout.readline()) for _ in range(2)]
    family = [pid for server in servers for pid in tree_of(server)]
    assert len(family) > len(servers)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until_gone(family)


async def test_a_killed_postgres_starts_again_at_the_same_address_with_its_data(
    postgres: EmbeddedServer,
) -> None:
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    await connection.close()
    first = postgres.pid
    postgres.kill()
    postgres.start()
    assert postgres.pid != first
    connection = await asyncpg.connect(postgres.url)
    assert await connection.fetchval("SELECT answer FROM kept") == 42
    await connection.close()


async def test_postgres_starts_though_backends_of_a_killed_one_are_still_there(
    postgres: EmbeddedServer,
) -> None:
    connection = await asyncpg.connect(postgres.url)
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)  # so that it cannot notice the death of its parent
    server = postgres.pid
    os.kill(server, signal.SIGKILL)
    wait_until_gone([server])
    postgres.start()
    wait_until_gone([backend])
    connection.terminate()


async def test_a_frozen_server_keeps_its_connections_and_answers_again(
    postgres: EmbeddedServer,
) -> None:
    connection = await asyncpg.connect(postgres.url)
    postgres.freeze()
    with pytest.raises(TimeoutError):
        await connection.fetchval("SELECT 1", timeout=0.2)
    postgres.thaw()
    postgres.wait_ready()
    await connection.close()


def test_a_lock_file_whose_number_another_program_has_is_no_obstacle(
    postgres: EmbeddedServer, server_folder: Path
) -> None:
    postgres.kill()
    lock = server_folder / "own" / "postgres" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:5]]) + "\n")
    postgres.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must become somebody else")
def test_root_runs_postgres_also_where_user_namespaces_are_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    works = ordinary_user._works
    monkeypatch.setattr(
        ordinary_user, "_works", lambda prefix: prefix[0] == "setpriv" and works(prefix)
    )
    embedded = EmbeddedPostgres(tmp_path, ("fsync=off",))
    server = EmbeddedServer(embedded.program(), embedded.url())
    server.start()
    try:
        assert Path(f"/proc/{server.pid}").stat().st_uid == ordinary_user.NOBODY
        server.kill()
        server.start()
    finally:
        server.kill()


def test_postgres_is_reached_by_a_private_socket_only(postgres: EmbeddedServer) -> None:
    listening = subprocess.run(
        ["cat", f"/proc/{postgres.pid}/net/tcp"], capture_output=True, text=True, check=True
    )
    inodes = {os.readlink(f"/proc/{postgres.pid}/fd/{fd}") for fd in _fds(postgres.pid)}
    ours = [
        line for line in listening.stdout.splitlines() if f"socket:[{line.split()[9]}]" in inodes
    ]
    assert ours == []


def _fds(pid: int) -> list[str]:
    return os.listdir(f"/proc/{pid}/fd")


@pytest.fixture
def _short_temporary_folder(server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what falls back to the temporary folder leave nothing there."""
    monkeypatch.setattr("tempfile.tempdir", str(server_folder))


@pytest.mark.usefixtures("_short_temporary_folder")
@pytest.mark.parametrize("length", [20, 100, 220])
def test_a_data_path_of_any_length_gives_a_socket_path_that_fits(
    tmp_path: Path, length: int
) -> None:
    data = tmp_path / ("x" * length)
    embedded = EmbeddedValkey(data)
    assert len(os.fsencode(embedded.socket)) <= SOCKET_PATH_BYTES_MAX
    server = EmbeddedServer(embedded.program(), embedded.url())
    server.start()
    server.stop()
    assert not server.running


@pytest.mark.usefixtures("_short_temporary_folder")
def test_two_long_data_paths_do_not_share_their_sockets(tmp_path: Path) -> None:
    one, other = tmp_path / ("x" * 200), tmp_path / ("x" * 199 + "y")
    assert socket_folder(one) != socket_folder(other)
    assert socket_folder(one) == socket_folder(one)


def test_a_socket_folder_that_is_somebody_elses_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "run").symlink_to(tmp_path / "real")
    with pytest.raises(FolderNotPrivate):
        socket_folder(tmp_path / "data")


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    command = ("sh", "-c", "echo no such luck >&2; exit 3")

    async def never() -> bool:
        return False

    log = tmp_path / "log"
    server = EmbeddedServer(Program(role="x", command=command, log_path=log, is_ready=never), "")
    with pytest.raises(ServerFailed, match="no such luck"):
        server.start()


def test_a_program_that_does_not_stop_is_killed_with_its_children(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 600 & echo $!; wait; wait"
    program = Program(
        role="stubborn",
        command=("sh", "-c", script),
        log_path=tmp_path / "log",
        stop_within_s=0.2,
    )
    server = EmbeddedServer(program, "")
    server.start()
    family = tree_of(server.pid)
    server.stop()
    wait_until_gone(family)


def test_the_log_of_a_server_is_private(tmp_path: Path) -> None:
    log = tmp_path / "log"
    launch(Program(role="x", command=("true",), log_path=log)).wait()
    assert log.stat().st_mode & 0o777 == 0o600


def test_the_operator_chooses_the_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("postgres", "initdb", "valkey-server"):
        (tmp_path / name).touch()
    monkeypatch.setenv("AXON_PG_BINDIR", str(tmp_path))
    monkeypatch.setenv("AXON_VALKEY_BIN", str(tmp_path / "valkey-server"))
    assert postgres_folder() == tmp_path
    assert valkey_binary() == tmp_path / "valkey-server"


def test_a_chosen_program_that_is_not_there_is_not_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AXON_PG_BINDIR", str(tmp_path))
    monkeypatch.setenv("AXON_VALKEY_BIN", str(tmp_path / "nothing"))
    with pytest.raises(BinaryMissing, match="AXON_PG_BINDIR"):
        postgres_folder()
    with pytest.raises(BinaryMissing, match="AXON_VALKEY_BIN"):
        valkey_binary()
