"""What telemetry costs: `python -m bench.telemetry` runs two Axons in turn under the same load.

One writes only errors, is scraped by nobody and makes no traces; the other writes a line for each
request, is scraped each second and sends traces. Both run the same code: what a turn's record says
of its trace is in both. In each round the collector is also frozen, and killed, and the turns are
compared with those of while it was well.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import statistics
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bench.compiled import tool
from bench.cores import Cores, cpu_seconds
from bench.gateways import Gateway, first_line, free_port, running
from bench.load import TURN, LoadReport, Pace, measure
from bench.run import scratch

CONNECTIONS = 16
SCRAPE_EVERY_S = 1.0

CONFIDENCE = 0.95

_SINK = """
import http.server
class Sink(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", PORT), Sink)
print(server.server_port, flush=True)
server.serve_forever()
"""


Pair = tuple[float, float]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """CPU time of a turn, serving process and projector together, in microseconds."""

    off_us: float
    on_us: float
    percent: float
    """The median of the rounds' ratios, in percent more."""
    interval: tuple[float, float]
    """Where that median lies with a confidence of CONFIDENCE; of less than six rounds with less."""


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """What clients waited in one state of the collector; medians of the rounds."""

    p50_ms: float
    p99_ms: float


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured."""

    rounds: int
    rate_per_s: float
    ratio: float
    """The share of turns that left a trace."""
    cost: Cost
    well: Phase
    killed: Phase
    frozen: Phase
    dropped: float
    """Traces that the collector did not get."""


@contextlib.contextmanager
def _sink(folder: Path, port: int) -> Iterator[int]:
    """Run a collector that throws away what it gets; give its process."""
    log = folder / "sink.log"
    with running([sys.executable, "-c", _SINK.replace("PORT", str(port))], log) as child:
        try:
            first_line(child, log)
            yield child.pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGCONT)


@contextlib.contextmanager
def _axon(folder: Path, name: str, engine: int, settings: dict[str, str]) -> Iterator[Gateway]:
    log = folder / f"{name}.log"
    command = [
        *("env", *(f"{key}={value}" for key, value in settings.items())),
        str(Path(sys.executable).with_name("axon")), "up", "--data", str(folder / name),
        "--port", "0", "--upstream", f"http://127.0.0.1:{engine}/v1", "--json",
    ]  # fmt: skip
    with running(command, log) as child:
        ready = json.loads(first_line(child, log))
        port = urlsplit(ready["base_url"]).port
        assert port is not None
        yield Gateway(
            name=name,
            port=port,
            headers={"authorization": f"Bearer {ready['api_key']}"},
            measured_pids=(*ready["pids"]["serving"], *ready["pids"]["projector"]),
            background_pids=tuple(ready["pids"]["projector"]),
        )


@contextlib.contextmanager
def _scraped(gateway: Gateway) -> Iterator[None]:
    """Scrape each second meanwhile, as Prometheus would."""
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(SCRAPE_EVERY_S):
            _page(gateway)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _page(gateway: Gateway) -> str:
    url = f"http://127.0.0.1:{gateway.port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        page: bytes = answer.read()
    return page.decode()


def _cpu_us(gateway: Gateway, pace: Pace, place: tuple[Path, Cores]) -> float:
    """Return what a turn cost, the projector's work behind it included."""
    before = cpu_seconds(gateway.measured_pids)
    found = measure(gateway, TURN, pace, place)  # returns when the projector has nothing left
    return (cpu_seconds(gateway.measured_pids) - before) / found.report.answered * 1e6


def _cost(off: Gateway, on: Gateway, order: int, run: tuple[Pace, tuple[Path, Cores]]) -> Pair:
    """Measure both, one after the other; who is first changes with the round."""
    found = {}
    for gateway in (off, on) if order % 2 == 0 else (on, off):
        with _scraped(gateway) if gateway is on else contextlib.nullcontext():
            found[gateway.name] = _cpu_us(gateway, *run)
    return found[off.name], found[on.name]


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return between which two of the values their median lies: of any distribution.

    Each value is above the median or below, so how many are is binomial.
    """
    ranked, count = sorted(values), len(values)
    place, tail = 0, 1.0
    while (place + 1) * 2 < count and tail + math.comb(count, place + 1) <= (
        (1 - CONFIDENCE) / 2 * 2**count
    ):
        place += 1
        tail += math.comb(count, place)
    return ranked[place], ranked[count - 1 - place]


def _phase(reports: list[LoadReport]) -> Phase:
    return Phase(
        p50_ms=statistics.median(one.p50_us for one in reports) / 1e3,
        p99_ms=statistics.median(one.p99_us for one in reports) / 1e3,
    )


def measure_all(rounds: int, pace: Pace, ratio: float, folder: Path) -> Telemetry:
    """Run everything; raises LoadFailed when a turn is not acknowledged."""
    place = (folder, Cores.of_this_machine())
    sink_port = free_port()
    with contextlib.ExitStack() as held:
        engine = held.enter_context(running([str(tool("upstream"))], folder / "upstream.log"))
        port = int(json.loads(first_line(engine, folder / "upstream.log"))["port"])
        traced = {
            "AXON_LOG_LEVEL": "info",
            "AXON_TRACES_ENDPOINT": f"http://127.0.0.1:{sink_port}",
            "AXON_TRACES_RATIO": str(ratio),
            "AXON_TRACES_TIMEOUT_S": "2",
        }
        off = held.enter_context(_axon(folder, "off", port, {"AXON_LOG_LEVEL": "error"}))
        on = held.enter_context(_axon(folder, "on", port, traced))
        for gateway in (off, on):
            measure(gateway, TURN, replace(pace, seconds=pace.seconds / 2), place)  # warm
        pairs: list[Pair] = []
        waited: dict[str, list[LoadReport]] = {"well": [], "frozen": [], "killed": []}
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            with _sink(folder, sink_port) as sink_pid:
                pairs.append(_cost(off, on, number, (pace, place)))
                waited["well"].append(measure(on, TURN, pace, place).report)
                os.kill(sink_pid, signal.SIGSTOP)
                waited["frozen"].append(measure(on, TURN, pace, place).report)
            waited["killed"].append(measure(on, TURN, pace, place).report)
        return Telemetry(
            rounds=rounds,
            rate_per_s=pace.rate_per_s,
            ratio=ratio,
            cost=_cost_of(pairs),
            well=_phase(waited["well"]),
            killed=_phase(waited["killed"]),
            frozen=_phase(waited["frozen"]),
            dropped=_dropped(_page(on)),
        )


def _cost_of(pairs: Sequence[Pair]) -> Cost:
    percents = [(on / off - 1) * 100 for off, on in pairs]
    return Cost(
        off_us=statistics.median(off for off, _ in pairs),
        on_us=statistics.median(on for _, on in pairs),
        percent=statistics.median(percents),
        interval=median_interval(percents),
    )


def _dropped(page: str) -> float:
    name = "axon_telemetry_dropped_total"
    lines = [one for one in page.splitlines() if one.startswith(name) and "traces" in one]
    return sum(float(one.split()[-1]) for one in lines)


def render(found: Telemetry) -> str:
    """Return the figures as a table for people."""
    cost = found.cost
    lines = [
        f"{found.rounds} rounds of turns at {found.rate_per_s:g}/s, traces of {found.ratio:.0%}",
        f"CPU of a turn, serving process and projector, in microseconds: {cost.off_us:.0f} without",
        f"telemetry, {cost.on_us:.0f} with it, {cost.percent:+.1f} % (median of the rounds,",
        f"with {CONFIDENCE:.0%} confidence {cost.interval[0]:+.1f} to {cost.interval[1]:+.1f} %)",
        f"{'collector':12}{'p50 ms':>9}{'p99 ms':>9}{'p99 to well':>13}",
    ]
    for name, one in (("well", found.well), ("frozen", found.frozen), ("killed", found.killed)):
        ratio = one.p99_ms / found.well.p99_ms
        lines.append(f"{name:12}{one.p50_ms:9.2f}{one.p99_ms:9.2f}{ratio:13.2f}")
    lines.append(f"traces dropped, and counted: {found.dropped:.0f}")
    return "\n".join(lines)


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.telemetry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each run")
    parser.add_argument("--rate", type=float, default=300.0, help="turns a second")
    parser.add_argument("--ratio", type=float, default=0.1, help="share of turns with a trace")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON line")
    chosen = parser.parse_args()
    pace = Pace(
        seconds=chosen.seconds, warmup_s=0.0, connections=CONNECTIONS, rate_per_s=chosen.rate
    )
    with scratch() as folder:
        found = measure_all(chosen.rounds, pace, chosen.ratio, folder)
    print(msgspec.json.encode(found).decode() if chosen.json else render(found))


if __name__ == "__main__":
    main()
