"""Commands on one Axon that the suite's hooks run: each is a process of its own.

    python -m tests.conformance.installation start FOLDER
    python -m tests.conformance.installation stall|heal|kill|stop FOLDER

FOLDER holds `upstream` (the engine's address), `port`, and after the start `ready.json`. PostgreSQL
is what is stalled: it is the storage that the other servers of the comparison have too.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from axon.app.embedded import freeze, kill, thaw, tree_of

READY_WITHIN_S = 60.0
_POLL_S = 0.05


def start(folder: Path) -> None:
    """Start `axon up` and wait until it says that it is ready."""
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "axon.app.cli", "up", "--json", "--data", str(folder / "data"),
        "--port", (folder / "port").read_text(), "--upstream", (folder / "upstream").read_text(),
    ]  # fmt: skip
    with open(folder / "axon.log", "ab") as log, open(ready, "wb") as out:
        up = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True
        )
    (folder / "pid").write_text(str(up.pid))
    deadline = time.monotonic() + READY_WITHIN_S
    while not ready.read_text().endswith("\n"):
        if up.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"Axon is not ready:\n{(folder / 'axon.log').read_text()[-3000:]}")
        time.sleep(_POLL_S)


def main() -> None:
    """Do the one thing that the command line says."""
    word, folder = sys.argv[1], Path(sys.argv[2])
    if word == "start":
        start(folder)
        return
    up = int((folder / "pid").read_text())
    if word == "kill":
        pids = tree_of(up)
        kill(up)
        _wait_gone(pids)
    elif word == "stop":
        os.kill(up, signal.SIGINT)
        _wait_gone([up])
    else:
        state = json.loads((folder / "data" / "up.json").read_text())
        for pid in state["pids"]["postgres"]:
            {"stall": freeze, "heal": thaw}[word](int(pid))


def _wait_gone(pids: list[int]) -> None:
    """Return when none of the processes runs; zombies that nobody reaps count as gone."""
    deadline = time.monotonic() + READY_WITHIN_S
    while any(map(_runs, pids)):
        if time.monotonic() > deadline:
            sys.exit("a process did not end")
        time.sleep(_POLL_S)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


if __name__ == "__main__":
    main()
