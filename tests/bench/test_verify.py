"""The measurement of verifying a journal runs, and finds the journal whole."""

import subprocess
import sys

from bench.compiled import ROOT


def test_it_verifies_what_it_wrote() -> None:
    command = [sys.executable, "-m", "bench.verify", "--entries", "3000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("3,000 entries") and "found: nothing" in done.stdout
