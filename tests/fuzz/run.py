"""`make fuzz MINUTES=10`: made-up bytes for every reader, made-up requests for a whole Axon.

Half of the time goes to the coverage-guided engine, target by target (or to Hypothesis where the
engine has no wheel), half to the requests. Exits 0 when nothing was found.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded

from tests.fuzz.api import ApiFuzz, Found
from tests.fuzz.coverage_guided.guided import NO_ENGINE, has_engine, run_guided
from tests.fuzz.mutations import near
from tests.fuzz.processes import Sizes
from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.tenants import with_meters
from tests.gateway.conftest import start_axon, start_upstream, stop

EXAMPLES = 15
"""Of each operation and mode in one round: a round takes less than a minute."""

TARGET_EXAMPLES = 2000
"""Of one target in one go, where Hypothesis stands in for the engine."""

MARGIN_S = 60.0
"""Beyond its time an engine may take this long to start and to end."""

WARM_ROUNDS = 2
"""After so many rounds the caches are full; from there on the processes must not grow."""

GROWTH_BYTES_MAX = 64 * 1024 * 1024
FILES_MAX = 32
"""What memory and open files may swing by between rounds."""


def main() -> int:
    """Fuzz for the time given and print what was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="repeat an earlier run")
    parser.add_argument("--only", choices=["api", *TARGETS], help="one target, or the requests")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 31) if chosen.seed is None else chosen.seed
    folder = Path(tempfile.mkdtemp(prefix="axon-fuzz-"))
    print(f"seed {seed}, files in {folder}", flush=True)
    targets = [name for name in TARGETS if chosen.only in (None, name)]
    parts = (1 if targets else 0) + (1 if chosen.only in (None, "api") else 0)
    seconds = chosen.minutes * 60 / parts
    found = 0
    for name in targets:
        found += _fuzz_target(name, folder, seconds / len(targets), seed)
    if chosen.only in (None, "api"):
        found += _fuzz_api(folder, seconds, seed)
    print(f"{found} findings" if found else "nothing found")
    if not found:
        shutil.rmtree(folder)
    return 1 if found else 0


def _fuzz_target(name: str, folder: Path, seconds: float, seed: int) -> int:
    """Return how many findings there were: the engine ends at the first."""
    if not has_engine():
        print(f"{name}: with Hypothesis, because {NO_ENGINE}", flush=True)
        return _by_hypothesis(TARGETS[name], seconds, seed)
    bound = f"-max_total_time={max(1, int(seconds))}"
    ran = run_guided(name, folder / name, bound, seconds + MARGIN_S, seed)
    figures = [line for line in ran.said.splitlines() if line.startswith("Done")]
    print(f"{name}: {ran.said if ran.found else ' '.join(figures)}", flush=True)
    return int(ran.found)


def _by_hypothesis(target: Target, seconds: float, seed: int) -> int:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        seed += 1

        @seeded(seed)
        @settings(
            max_examples=TARGET_EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(near(target.seeds))
        def read(data: bytes) -> None:
            target.read(data)

        read()
    return 0


def _fuzz_api(folder: Path, seconds: float, seed: int) -> int:
    """Return how many operations gave an answer they should not give, and how many leaks."""
    upstream, address = start_upstream()
    process, axon = start_axon(folder / "data", address, environment=with_meters(folder))
    try:
        fuzz = ApiFuzz(axon)
        until_s = time.monotonic() + seconds
        found, sizes = 0, [Sizes.of(axon.pids["serving"])]
        while time.monotonic() < until_s:
            number = seed + len(sizes)
            try:
                asked = fuzz.run(number, EXAMPLES)
                print(f"round {number}: {asked.requests} requests, {sizes[-1]}", flush=True)
            except* Found as group:
                for one in group.exceptions:
                    print(f"round {number}: {one}", flush=True)
                found += len(group.exceptions)
            sizes.append(Sizes.of(axon.pids["serving"]))
        return found + _leaks(sizes)
    finally:
        stop(process)
        with upstream:
            upstream.kill()


def _leaks(sizes: list[Sizes]) -> int:
    """Return 1 when the serving processes grew after they were warm, else 0; says how much."""
    warm = sizes[WARM_ROUNDS:]
    if len(warm) < WARM_ROUNDS:
        print("too short to judge whether memory grows")
        return 0
    grown = warm[-1].resident_bytes - warm[0].resident_bytes
    files = warm[-1].open_files - warm[0].open_files
    print(f"in {len(warm) - 1} rounds: {grown} bytes and {files} open files more")
    return int(grown > GROWTH_BYTES_MAX or files > FILES_MAX)


if __name__ == "__main__":
    sys.exit(main())
