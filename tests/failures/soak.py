"""`make soak MINUTES=30`: run a node under a steady load, and see whether anything grows.

Half an hour of the same load comes before, in which whatever has a bound is filled. Samples the
memory and open files of every process, the journals' bytes and the projection's lag, fits a line to
the minutes behind the warm-up, and exits non-zero when a figure grows, a request failed, a process
was restarted, or PostgreSQL did not catch up at the end.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from axon.base import MIB
from bench.compiled import tool
from bench.gateways import first_line, running
from tests.failures.growth import POINTS_MIN, Bound, Point, fit
from tests.failures.holdings import (
    FILES,
    JOURNAL,
    LAG,
    MEMORY,
    held_by_all,
    held_by_journals,
    processes_of,
)
from tests.failures.soak_load import SoakLoad
from tests.gateway.conftest import RunningAxon, start_axon, stop

OPTIONS = ("--serving", "2", "--workers", "2")

ENVIRONMENT = {
    "AXON_JOURNAL_RETENTION_S": "60",
    "AXON_JOURNAL_SEGMENT_BYTES": str(MIB),
    "AXON_JOURNAL_ENTRY_BYTES_MAX": str(MIB // 2),
    "AXON_CONVERSATIONS_OPENED_BYTES_MAX": str(MIB // 4),
    "AXON_CONVERSATIONS_REMEMBERED_TURNS_MAX": "200",
    "AXON_CONVERSATIONS_IDEMPOTENCY_KEYS_MAX": "200",
}
"""So that the journals' size and all that is remembered settle within the warm-up: what is older
than a minute goes, and what there is no room for."""

EVENTS, EVENT_EVERY_US = 24, 5_000
"""Of a stream: 120 ms, in which a client can go away."""

WARM_UP_MINUTES = 30.0
"""Until whatever has a bound is full: the last are what each of PostgreSQL's connections and the
allocator keep at hand."""

CAUGHT_UP_WITHIN_S = 60.0
"""As after a freeze; a steady load leaves far less behind."""

BOUNDS = {
    MEMORY: Bound(share_per_h=0.02, amount_per_h=1.0),
    FILES: Bound(share_per_h=0.02, amount_per_h=1.0),
    JOURNAL: Bound(share_per_h=0.02, amount_per_h=10.0),
    LAG: Bound(share_per_h=0.02, amount_per_h=50.0),
}
"""Two percent an hour, or what is too little to tell from the steps of an allocator, a connection
more, the saw's teeth of segments that are retired once a minute (what is never retired is some 180
MiB an hour), or the records of two seconds."""

POSTGRES_BOUNDS = {**BOUNDS, MEMORY: Bound(share_per_h=0.02, amount_per_h=4.0),
                   FILES: Bound(share_per_h=0.02, amount_per_h=80.0)}  # fmt: skip
"""Less than one more connection an hour: each has the files open of all that it was ever asked for,
and remembers how it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """How long, how often to look, and how many requests a second."""

    minutes: float
    """Behind the warm-up."""
    warm_up_minutes: float = WARM_UP_MINUTES
    sample_every_s: float = 10.0
    rate_per_s: float = 20.0
    seed: int = 1

    @property
    def warm_s(self) -> float:
        """Return when the warm-up ends."""
        return 60 * self.warm_up_minutes

    @property
    def seconds(self) -> float:
        """Return how long the load lasts."""
        return self.warm_s + 60 * self.minutes


@dataclass(slots=True, kw_only=True)
class Soaked:
    """What was measured, by process and figure, and what went wrong."""

    points: dict[tuple[str, str], list[Point]] = field(default_factory=lambda: defaultdict(list))
    restarts: list[str] = field(default_factory=list)
    done: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    caught_up_s: float | None = None
    """Seconds from the end of the load until PostgreSQL had everything; None: not in time."""

    @property
    def problems(self) -> list[str]:
        """Return what else than growth makes the soak fail."""
        found = [f"{count} x {cause}" for cause, count in self.failed.items()]
        found += [f"{name} was restarted" for name in self.restarts]
        if self.caught_up_s is None:
            found.append(f"PostgreSQL was still behind {CAUGHT_UP_WITHIN_S:.0f} s after the load")
        return found


async def run_soak(wanted: Soak, axon: RunningAxon, bar: Progress) -> Soaked:
    """Load the node for so long, look at it all the while, and return what was seen."""
    soaked = Soaked()
    processes = processes_of(axon.data)
    client = axon.async_client()
    load = SoakLoad(client=client, rate_per_s=wanted.rate_per_s, seed=wanted.seed)
    began_s = time.monotonic()
    task = bar.add_task("soaking", total=wanted.seconds)
    async with client:
        loading = asyncio.create_task(load.run())
        looks = 0
        while (at_s := time.monotonic() - began_s) < wanted.seconds or looks < POINTS_MIN:
            await asyncio.to_thread(_look, axon.data, processes, at_s, soaked)
            looks += 1
            bar.update(task, completed=at_s, description=f"soaking, {load.done.total()} requests")
            await asyncio.wait([loading], timeout=wanted.sample_every_s)
        load.stop.set()
        await loading
    soaked.done, soaked.failed = load.done, load.failed
    soaked.caught_up_s = await asyncio.to_thread(_catch_up, axon.data)
    return soaked


def _look(data: Path, processes: dict[str, int], at_s: float, soaked: Soaked) -> None:
    """Add one sample of everything; blocks for some milliseconds."""
    now = processes_of(data)
    soaked.restarts += [name for name, pid in processes.items() if now.get(name) != pid]
    processes.update(now)
    for one in [*held_by_all(now), held_by_journals(data / "journal")]:
        for figure, value in one.figures.items():
            soaked.points[one.name, figure].append((at_s, value))


def _catch_up(data: Path) -> float | None:
    began_s = time.monotonic()
    while held_by_journals(data / "journal").figures[LAG]:
        if time.monotonic() - began_s > CAUGHT_UP_WITHIN_S:
            return None
        time.sleep(0.05)
    return time.monotonic() - began_s


def table(soaked: Soaked, warm_s: float) -> tuple[list[str], list[str]]:
    """Return the lines of the table, and the names of what grows from the instant `warm_s` on."""
    columns = f"{'first':>9}{'start':>9}{'end':>9}{'per hour':>11}{'+-':>9}"
    lines = [f"{'process':14}{'figure':13}{columns}  verdict"]
    growing = []
    for (name, figure), points in soaked.points.items():
        after = [point for point in points if point[0] >= warm_s]
        if len(after) < POINTS_MIN:
            lines.append(f"{name:14}{figure:13}{points[0][1]:9.2f}  too few samples")
            continue
        trend = fit(after)
        verdict = trend.verdict((POSTGRES_BOUNDS if name == "postgres" else BOUNDS)[figure])
        if verdict == "grows":
            growing.append(f"{name}: {figure}")
        lines.append(
            f"{name:14}{figure:13}{points[0][1]:9.2f}{trend.start:9.2f}{trend.end:9.2f}"
            f"{trend.per_h:+11.2f}{trend.error_per_h:9.2f}  {verdict}"
        )
    return lines, growing


def main() -> int:
    """Run one soak in a fresh folder and print its table and verdict."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="behind the warm-up")
    parser.add_argument("--warm-up", type=float, default=WARM_UP_MINUTES, help="minutes before")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between samples")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    parser.add_argument("--seed", type=int, default=1, help="of the mixture")
    chosen = parser.parse_args()
    wanted = Soak(
        minutes=chosen.minutes,
        warm_up_minutes=chosen.warm_up,
        sample_every_s=chosen.every,
        rate_per_s=chosen.rate,
        seed=chosen.seed,
    )
    folder = Path(tempfile.mkdtemp(prefix="axon-soak-"))
    print(f"files in {folder}", flush=True)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        soaked = soak_in(folder, wanted, bar)
    (folder / "points.json").write_text(
        json.dumps({" ".join(name): points for name, points in soaked.points.items()})
    )
    lines, growing = table(soaked, wanted.warm_s)
    print(*lines, sep="\n")
    print(", ".join(f"{count} x {name}" for name, count in sorted(soaked.done.items())))
    if soaked.caught_up_s is not None:
        print(f"PostgreSQL had everything {soaked.caught_up_s:.2f} s after the load")
    problems = [f"{what} grows" for what in growing] + soaked.problems
    print(*problems, sep="\n")
    if problems:
        print(f"FAILED; every sample is in {folder / 'points.json'}")
        return 1
    print("nothing grows")
    shutil.rmtree(folder)
    return 0


def soak_in(folder: Path, wanted: Soak, bar: Progress) -> Soaked:
    """Run a node of its own in the folder, soak it and stop it."""
    command = [str(tool("upstream")), "--chunks", str(EVENTS), "--interval-us", str(EVENT_EVERY_US)]
    log = folder / "upstream.log"
    with running(command, log) as engine:
        address = f"http://127.0.0.1:{json.loads(first_line(engine, log))['port']}/v1"
        process, axon = start_axon(folder / "data", address, *OPTIONS, environment=ENVIRONMENT)
        try:
            return asyncio.run(run_soak(wanted, axon, bar))
        finally:
            stop(process)


if __name__ == "__main__":
    sys.exit(main())
