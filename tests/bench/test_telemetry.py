"""The measurement of telemetry runs, and says what it saw."""

import subprocess
import sys

import msgspec

from bench.compiled import ROOT
from bench.telemetry import Telemetry, render


def test_it_measures_costs_and_every_state_of_the_collector() -> None:
    command = [sys.executable, "-m", "bench.telemetry", "--json", "--rounds", "1"]
    command += ["--seconds", "1", "--rate", "20", "--ratio", "1"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = msgspec.json.decode(done.stdout, type=Telemetry)
    assert found.cost.off_us > 0 and found.cost.on_us > 0
    for phase in (found.well, found.frozen, found.killed):
        assert 0 < phase.p50_ms <= phase.p99_ms
    assert f"{found.rounds} rounds" in render(found)
