"""The measurement of a frozen Valkey runs, and says what it saw."""

import subprocess
import sys

import msgspec

from bench.compiled import ROOT
from bench.frozen import Frozen, render


def test_it_measures_every_phase() -> None:
    command = [sys.executable, "-m", "bench.frozen", "--json", "--rounds", "1", "--frozen", "3"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = msgspec.json.decode(done.stdout, type=Frozen)
    for phase in (found.before, found.first, found.after):
        assert phase.turns > 0
        assert 0 < phase.overhead_p50_ms <= phase.overhead_p99_ms <= phase.overhead_max_ms
        assert phase.overhead_max_ms <= phase.waited_max_ms
    assert f"{found.rounds} rounds" in render(found)
