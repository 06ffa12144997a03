"""`make bench`: Axon beside nginx, a raw fdatasync loop and PostgreSQL, in one interleaved run.

Absolute figures belong to the machine; the ratios are what is compared between versions.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from axon.app.embedded import EmbeddedPostgres, EmbeddedServer
from bench import gateways
from bench.compiled import BUILD, ROOT
from bench.cores import Cores
from bench.durable_append import AppendReport
from bench.gateways import Gateway
from bench.load import CHAT, CHAT_STREAM, TURN, Case, Measured, Pace, measure
from bench.results import AppendRow, LatencyRow, RateRow, Results
from bench.table import render

LATENCY_RATE_PER_S = 100.0
LATENCY_CONNECTIONS = 16
_APPEND_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured; every figure is the median of `rounds` interleaved runs."""

    rounds: int
    clients: tuple[int, ...]
    append_seconds: float
    rate: Pace
    latency: Pace


FULL = Plan(
    rounds=3,
    clients=(1, 16, 64, 256),
    append_seconds=3.0,
    rate=Pace(seconds=5.0, warmup_s=1.0),
    latency=Pace(
        seconds=10.0,
        warmup_s=1.0,
        connections=LATENCY_CONNECTIONS,
        rate_per_s=LATENCY_RATE_PER_S,
    ),
)

QUICK = Plan(
    rounds=1,
    clients=(1, 16),
    append_seconds=0.3,
    rate=Pace(seconds=0.5, warmup_s=0.2, connections=8),
    latency=Pace(seconds=1.0, warmup_s=0.2, connections=4, rate_per_s=LATENCY_RATE_PER_S),
)
"""Shows that the bench works; its figures mean nothing."""


def append_once(kind: str, clients: int, seconds: float, url: str) -> AppendReport:
    """Run one measurement of durable_append in its own process and a fresh folder."""
    with scratch() as folder:
        command = [sys.executable, "-m", "bench.durable_append", kind, str(clients), str(seconds)]
        done = subprocess.run(
            [*command, str(folder), url],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            stdout=subprocess.PIPE,
            timeout=_APPEND_TIMEOUT_S,
            check=True,
        )
    return msgspec.json.decode(done.stdout, type=AppendReport)


def measure_appends(plan: Plan, say: Callable[[str], None]) -> list[AppendRow]:
    """Return the journal, one commit a message and the raw disk at each number of clients."""
    runs: dict[tuple[str, int], list[AppendReport]] = {}
    with scratch() as folder:
        embedded = EmbeddedPostgres(folder)
        server = EmbeddedServer(embedded.program(), embedded.url())
        server.start()
        try:
            for round_number in range(plan.rounds):
                for clients in plan.clients:
                    for kind in ("fdatasync", "postgres", "journal"):
                        if kind == "fdatasync" and clients > 1:
                            continue  # a loop without group commit has one client
                        say(f"round {round_number + 1}: {kind}, {clients} clients")
                        report = append_once(kind, clients, plan.append_seconds, embedded.url())
                        runs.setdefault((kind, clients), []).append(report)
        finally:
            server.stop()
    return [AppendRow.median_of(reports) for reports in runs.values()]


@contextlib.contextmanager
def all_gateways() -> Iterator[tuple[dict[str, Gateway], tuple[Path, Cores]]]:
    """Run the upstream, nginx and Axon; the upstream itself is the gateway that adds nothing."""
    cores = Cores.of_this_machine()
    with scratch() as folder, contextlib.ExitStack() as stack:
        engine = stack.enter_context(gateways.upstream(folder, cores))
        nginx = stack.enter_context(gateways.nginx(folder, cores, engine))
        axon = stack.enter_context(gateways.axon(folder, cores, engine))
        yield {"direct": engine, "nginx": nginx, "axon": axon}, (folder, cores)


def measure_gateways(
    plan: Plan, say: Callable[[str], None]
) -> tuple[list[RateRow], list[LatencyRow]]:
    """Return the rates on one core, then the latencies at a fixed rate."""
    rates: dict[tuple[str, Case], list[Measured]] = {}
    latencies: dict[tuple[str, Case], list[Measured]] = {}
    rated = [("nginx", CHAT), ("axon", CHAT), ("nginx", CHAT_STREAM), ("axon", CHAT_STREAM)]
    timed = [("direct", CHAT), ("nginx", CHAT), ("axon", CHAT), ("axon", TURN)]
    with all_gateways() as (by_name, place):
        for round_number in range(plan.rounds):
            for kind, runs, cases, pace in (
                ("rate", rates, [*rated, ("axon", TURN)], plan.rate),
                ("latency", latencies, timed, plan.latency),
            ):
                for name, case in cases:
                    say(f"round {round_number + 1}: {kind}, {case.name} through {name}")
                    measured = measure(by_name[name], case, pace, place)
                    runs.setdefault((name, case), []).append(measured)
    return rate_rows(rates), latency_rows(latencies)


def rate_rows(runs: dict[tuple[str, Case], list[Measured]]) -> list[RateRow]:
    """Return the medians, each as a ratio to nginx relaying the same kind of answer."""
    rate = {key: statistics.median(run.report.rate_per_s for run in runs[key]) for key in runs}
    cpu_us = {key: statistics.median(run.cpu_us for run in runs[key]) for key in runs}
    rows = []
    for name, case in runs:
        mine, reference = (name, case), ("nginx", CHAT if case.durable else case)
        rows.append(
            RateRow(
                case=case.name,
                gateway=name,
                rate_per_s=rate[mine],
                cpu_us=cpu_us[mine],
                p50_ms=median_ms([run.report.p50_us for run in runs[mine]]),
                p99_ms=median_ms([run.report.p99_us for run in runs[mine]]),
                ratio_to_nginx=rate[mine] / rate[reference],
                cpu_ratio_to_nginx=cpu_us[reference] / cpu_us[mine] if cpu_us[mine] else 0.0,
            )
        )
    return rows


def latency_rows(runs: dict[tuple[str, Case], list[Measured]]) -> list[LatencyRow]:
    """Return the medians and what each adds to asking the upstream directly."""

    p50 = {key: median_ms([run.report.p50_us for run in runs[key]]) for key in runs}
    p99 = {key: median_ms([run.report.p99_us for run in runs[key]]) for key in runs}
    direct = ("direct", CHAT)
    return [
        LatencyRow(
            case=key[1].name,
            gateway=key[0],
            p50_ms=p50[key],
            p99_ms=p99[key],
            added_p50_ms=p50[key] - p50[direct],
            added_p99_ms=p99[key] - p99[direct],
        )
        for key in runs
    ]


def median_ms(values_us: list[int]) -> float:
    """Return the median of microseconds in milliseconds."""
    return statistics.median(values_us) / 1e3


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder on the working tree's disk, not in a memory file system; then remove it."""
    BUILD.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=BUILD))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that it works; a few seconds")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON line")
    parser.add_argument("--only", choices=("appends", "gateways"), help="measure one part")
    chosen = parser.parse_args()
    plan = QUICK if chosen.quick else FULL

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    load_before = os.getloadavg()[0]
    appends = measure_appends(plan, say) if chosen.only != "gateways" else []
    rates, latencies = measure_gateways(plan, say) if chosen.only != "appends" else ([], [])
    results = Results(
        appends=appends,
        rates=rates,
        latencies=latencies,
        load_before=load_before,
        separate_cores=Cores.of_this_machine().separate,
    )
    print(msgspec.json.encode(results).decode() if chosen.json else render(results))


if __name__ == "__main__":
    main()
