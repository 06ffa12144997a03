"""A backup taken under load, a crash, PostgreSQL lost: the oracle must find nothing missing."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.installation import POWER, READY_WITHIN_S, ROOT, Installation
from tests.chaos.ledger import read_ledger
from tests.chaos.stored import read_stored
from tests.chaos.verdict import judge

PEOPLE = 12
NEWS = 5
"""So many acknowledged turns before the backup, and as many between it and the crash."""

_POLL_S = 0.02


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(folder=tmp_path)
    yield made
    made.stop()


def axon(installation: Installation, *arguments: str) -> str:
    command = [sys.executable, "-m", "axon.app.cli", *arguments, "--data", str(installation.data)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=READY_WITHIN_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_oracle(installation: Installation) -> "subprocess.Popen[bytes]":
    installation.ledger.touch()
    command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.chaos.oracle"]
    command += ["--base-url", installation.base_url, "--api-key", installation.api_key]
    command += ["--ledger", str(installation.ledger), "--people", str(PEOPLE)]
    return subprocess.Popen(command, cwd=ROOT)


def acknowledged(installation: Installation) -> int:
    return installation.ledger.read_text().count('"acknowledged":true')


def wait_for_news(installation: Installation) -> None:
    """Return when so many more turns are acknowledged."""
    wanted = acknowledged(installation) + NEWS
    deadline = time.monotonic() + READY_WITHIN_S
    while acknowledged(installation) < wanted:
        assert time.monotonic() < deadline, "nobody is answered"
        time.sleep(_POLL_S)


def test_every_acknowledged_turn_is_there_once_and_in_order(installation: Installation) -> None:
    installation.wait_ready()
    oracle = start_oracle(installation)
    wait_for_news(installation)
    backup = installation.folder / "content.backup"
    axon(installation, "backup", str(backup))
    wait_for_news(installation)
    installation.kill(POWER)
    oracle.send_signal(signal.SIGTERM)
    assert oracle.wait(READY_WITHIN_S) == 0
    shutil.rmtree(installation.data / "postgres")

    assert "records of the journal applied" in axon(installation, "restore", str(backup))
    installation.wait_ready()
    installation.wait_projected()
    attempts = read_ledger(installation.ledger)
    stored = read_stored(installation.base_url, installation.api_key, attempts)
    verdict = judge(attempts, stored.items, stored.endings)
    assert verdict.acknowledged >= 2 * NEWS
    assert verdict.kept, verdict.findings()
    assert installation.differences() == []
