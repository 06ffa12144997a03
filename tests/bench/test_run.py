"""The bench runs from end to end and prints what it promises; its figures are not judged here."""

import subprocess
import sys

import msgspec
import pytest

from bench.compiled import ROOT
from bench.results import AppendRow, LatencyRow, RateRow, Results
from bench.table import render


@pytest.fixture(scope="module")
def results() -> Results:
    done = subprocess.run(
        [sys.executable, "-m", "bench.run", "--quick", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return msgspec.json.decode(done.stdout, type=Results)


def test_every_part_is_measured(results: Results) -> None:
    assert {row.kind for row in results.appends} == {"fdatasync", "postgres", "journal"}
    rated = {(row.case, row.gateway) for row in results.rates}
    assert ("chat", "nginx") in rated
    assert ("durable turn", "axon") in rated
    timed = {(row.case, row.gateway) for row in results.latencies}
    assert {("chat", "direct"), ("durable turn", "axon")} <= timed


def test_the_table_shows_every_row(results: Results) -> None:
    table = render(results)
    for row in results.rates:
        assert f"{row.case:24}{row.gateway:8}" in table


def test_the_table_names_the_ratios_and_a_noisy_machine() -> None:
    costs = {"p50_ms": 1.0, "p99_ms": 2.0}
    append = AppendRow(kind="journal", clients=64, rate_per_s=50_000, cpu_us=9, **costs)
    beside = AppendRow(kind="postgres", clients=64, rate_per_s=5_000, cpu_us=90, **costs)
    ratios = {"ratio_to_nginx": 0.25, "cpu_ratio_to_nginx": 0.31}
    rate = RateRow(case="chat", gateway="axon", rate_per_s=8_000, cpu_us=90, **ratios, **costs)
    latency = LatencyRow(case="chat", gateway="axon", added_p50_ms=0.75, added_p99_ms=1.25, **costs)
    table = render(
        Results(
            appends=[append, beside],
            rates=[rate],
            latencies=[latency],
            load_before=3.0,
            separate_cores=False,
        )
    )
    for text in ("NOT QUIET", "ONE CORE", "  10.0", "0.250", "0.310", "0.75", "1.25"):
        assert text in table
