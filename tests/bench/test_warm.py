"""The bench of a wiped cache runs from end to end; its figures are not judged here."""

import subprocess
import sys

import msgspec

from bench.compiled import ROOT
from bench.warm import Warming, render


def test_it_measures_cold_and_warm_turns() -> None:
    command = [sys.executable, "-m", "bench.warm", "--json"]
    done = subprocess.run(
        [*command, "--conversations", "60", "--concurrency", "8"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = msgspec.json.decode(done.stdout, type=Warming)
    assert found.loads == found.conversations == 60
    assert found.statements_per_cold_turn >= 1
    assert "times that of a warm one" in render(found)
