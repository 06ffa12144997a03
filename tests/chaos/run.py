"""`make chaos CYCLES=300`: kill everything at random under load and count what was lost.

Exits 0 when every acknowledged turn is there, whole, once and in order.
"""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.campaign import TARGETS, Campaign, run_campaign
from tests.chaos.installation import Installation
from tests.chaos.oracle import PEOPLE
from tests.chaos.report import figures


def main() -> int:
    """Run one campaign in a fresh folder and print its verdict."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--cycles", type=int, default=300)
    parser.add_argument("--minutes", type=float, help="so long instead of a number of cycles")
    parser.add_argument("--serving", type=int, default=1, help="serving processes")
    parser.add_argument("--workers", type=int, default=0, help="worker processes")
    parser.add_argument("--people", type=int, default=PEOPLE, help="people who chat at once")
    parser.add_argument(
        "--persistent",
        action="store_true",
        help="they retry and resume as a good client does; only serving processes and workers are "
        "killed, and nobody may see an error that does not say when to try again",
    )
    parser.add_argument("--seed", type=int, help="repeat an earlier campaign's order of kills")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if chosen.seed is None else chosen.seed
    folder = Path(tempfile.mkdtemp(prefix="axon-chaos-"))
    print(f"seed {seed}, files in {folder}", flush=True)
    options = ["--serving", str(chosen.serving), "--workers", str(chosen.workers)]
    several = chosen.serving > 1 or chosen.workers > 0
    installation = Installation(folder=folder, options=tuple(options) if several else ())
    one_by_one = [(f"serving {number + 1}",) for number in range(chosen.serving)]
    one_by_one += [(f"worker {number + 1}",) for number in range(chosen.workers)]
    targets = TARGETS + tuple(one_by_one if several else ())
    try:
        outcome = run_campaign(
            Campaign(
                cycles=chosen.cycles,
                minutes=chosen.minutes,
                seed=seed,
                targets=tuple(one_by_one) if chosen.persistent else targets,
                people=chosen.people,
                persistent=chosen.persistent,
            ),
            installation,
            lambda text: print(text, flush=True),
        )
    finally:
        installation.stop()
    print(*figures(outcome.strikes, outcome.attempts), sep="\n")
    print(f"{len(outcome.strikes)} cycles, power losses took {outcome.unsynced_bytes} bytes")
    print(outcome.verdict)
    for kind, found in outcome.verdict.findings().items():
        for finding in found:
            print(f"{kind}: {finding}")
    if outcome.verdict.kept:
        shutil.rmtree(folder)
    return 0 if outcome.verdict.kept else 1


if __name__ == "__main__":
    sys.exit(main())
