"""One `axon up` under test: started, its processes killed by role, found ready again."""

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from axon.app.embedded import freeze, kill, tree_of
from tests.chaos.power import lose_unsynced

ROOT = Path(__file__).resolve().parent.parent.parent

READY_WITHIN_S = 60.0
PROJECTED_WITHIN_S = 120.0
"""A backlog of a campaign's length is applied in a small part of this."""
_POLL_S = 0.02

ENGINE = "engine"
SUPERVISOR = "supervisor"
POWER = "power"
"""No role: killing it kills every process of Axon at the same moment, as a power loss does."""


class NotReady(Exception):
    """Axon, or the engine behind it, did not come back within READY_WITHIN_S."""


@dataclass(slots=True, kw_only=True)
class Installation:
    """Axon in front of the chaos engine; the engine is ours, so the role `engine` is too."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    python_path: tuple[Path, ...] = ()
    """Where Axon's processes look for modules first."""
    options: tuple[str, ...] = ()
    """More options of `axon up`."""
    base_url: str = ""
    api_key: str = ""
    _port: int = 0
    _engine_port: int = 0
    _up: subprocess.Popen[str] | None = None
    _engine: subprocess.Popen[str] | None = None

    @property
    def data(self) -> Path:
        """Return the data folder of `axon up`."""
        return self.folder / "data"

    @property
    def ledger(self) -> Path:
        """Return the file the oracle writes."""
        return self.folder / "ledger.jsonl"

    @property
    def journals(self) -> Path:
        """Return the folder that holds one folder for each journal."""
        return self.data / "journal"

    def start(self) -> None:
        """Start what does not run and wait until it is ready; raises NotReady."""
        self._port = self._port or _free_port()
        self._engine_port = self._engine_port or _free_port()
        if self._engine is None:
            self._engine = self._child("tests.chaos.engine", "--port", str(self._engine_port))
            _first_line(self._engine)
        if self._up is None:
            upstream = f"http://127.0.0.1:{self._engine_port}/v1"
            self._up = self._child(
                "axon.app.cli", "up", "--data", str(self.data), "--port", str(self._port),
                "--upstream", upstream, "--json", *self.options,
            )  # fmt: skip
            ready = json.loads(_first_line(self._up))
            self.base_url, self.api_key = ready["base_url"], ready["api_key"]

    def kill(self, role: str) -> None:
        """Send SIGKILL to every process of the role that lives now; `serving 2` is one of them."""
        if role == POWER:
            self._kill_everything()
        if role in {ENGINE, SUPERVISOR, POWER}:
            self._reap_child(role)
            return
        role, _, number = role.partition(" ")
        pids = self.pids(role)
        for pid in pids[int(number) - 1 : int(number)] if number else pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def lose_power(self) -> int:
        """Kill everything at one moment; return how many bytes of the journals that took."""
        self.kill(POWER)
        return lose_unsynced(self.journals)

    def pids(self, role: str) -> list[int]:
        """Return the processes of a role as `axon up` names them in its state file."""
        state = json.loads((self.data / "up.json").read_text())
        return [int(pid) for pid in state["pids"].get(role, [])]

    def wait_ready(self) -> None:
        """Start what we own and wait until Axon says that it is ready; raises NotReady."""
        self.start()
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._is_ready():
            if time.monotonic() > deadline:
                raise NotReady(self._log())
            time.sleep(_POLL_S)

    def wait_whole(self) -> None:
        """Wait until every serving process is ready, each asked on its own socket."""
        self.wait_ready()
        deadline = time.monotonic() + READY_WITHIN_S
        for address in sorted((self.data / "run").glob("*.http.sock")):
            while not _answers(address):
                if time.monotonic() > deadline:
                    raise NotReady(self._log())
                time.sleep(_POLL_S)

    def wait_projected(self) -> None:
        """Wait until PostgreSQL holds every record; raises NotReady, also when one is parked."""
        asked_us = time.time_ns() // 1000
        deadline = time.monotonic() + PROJECTED_WITHIN_S
        status = self.journals / "projector.json"
        while True:
            said = json.loads(status.read_text()) if status.exists() else {"at_us": 0}
            is_news = said["at_us"] > asked_us
            if is_news and not said["lag_records"] and not said["parked"] and not said["waiting"]:
                return
            if time.monotonic() > deadline:
                raise NotReady(f"PostgreSQL is behind: {said}\n{self._log()}")
            time.sleep(_POLL_S)

    def differences(self) -> list[str]:
        """Return what `axon reconcile` finds, one line each; Axon must be running."""
        reconcile = self._child("axon.app.cli", "reconcile", "--data", str(self.data), "--json")
        said, _ = reconcile.communicate(timeout=PROJECTED_WITHIN_S)
        assert reconcile.returncode in {0, 1}, self._log()
        assert said, self._log()
        found = json.loads(said)["differences"]
        return [" ".join(one[key] for key in ("kind", "name", "side", "finding")) for one in found]

    def stop(self) -> None:
        """Stop Axon in order, then the engine."""
        for child in (self._up, self._engine):
            if child is not None:
                child.terminate()
                child.wait(READY_WITHIN_S)
                _close(child)
        self._up = self._engine = None

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _kill_everything(self) -> None:
        """Kill Axon's whole tree and return when none of it runs any more."""
        assert self._up is not None
        freeze(self._up.pid)  # nothing is done, and nothing is started, after the first death
        watches = [os.pidfd_open(pid) for pid in tree_of(self._up.pid)]
        kill(self._up.pid)
        for watch in watches:
            gone, _, _ = select.select([watch], [], [], READY_WITHIN_S)
            assert gone, "a process survives SIGKILL"
            os.close(watch)

    def _reap_child(self, role: str) -> None:
        """Kill one of our own children, if it still lives, and bury it."""
        child = self._engine if role == ENGINE else self._up
        assert child is not None
        child.kill()
        child.wait(READY_WITHIN_S)
        _close(child)
        if role == ENGINE:
            self._engine = None
        else:
            self._up = None

    def _child(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        path = [*self.python_path, ROOT / "src", ROOT]
        with (self.folder / "children.log").open("a") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env={**os.environ, **self.environment, "PYTHONPATH": ":".join(map(str, path))},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _log(self) -> str:
        logs = [self.folder / "children.log", *sorted((self.data / "logs").glob("*.log"))]
        tails = [f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs]
        return "\n".join(tails)


def _answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(address))
            connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: axon\r\nconnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def _first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line.strip():
        raise NotReady(f"{child.args!r} ended before it was ready; see children.log")
    return line


def _close(child: subprocess.Popen[str]) -> None:
    if child.stdout is not None:
        child.stdout.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
