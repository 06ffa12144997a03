"""The measurement of taking events runs, and says what it saw."""

import subprocess
import sys

import msgspec

from bench.compiled import ROOT
from bench.ingest import BATCHES, Rate, render


def test_it_measures_every_size_of_request() -> None:
    command = [sys.executable, "-m", "bench.ingest", "--json", "--rounds", "1", "--seconds", "0.2"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rates = msgspec.json.decode(done.stdout, type=list[Rate])
    assert [rate.batch for rate in rates] == [0, *BATCHES]
    for rate in rates:
        assert 0 < rate.projected_per_s <= rate.events_per_s
    assert "10,000 a request" in render(rates)
