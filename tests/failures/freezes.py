"""`make freezes ARGS="--minutes 10"`: freeze Valkey, PostgreSQL and the engine in turn, under load.

Exits 0 when no request failed, every acknowledged turn is there once and in order, PostgreSQL
caught up in time after each freeze, and the log stayed quiet.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.installation import Installation
from tests.failures.campaign import CAUGHT_UP_WITHIN_S, TARGETS, Freezes, figures, run_freezes

LINES_MAX = 10
"""Log lines about one freeze."""


def main() -> int:
    """Run one campaign in a fresh folder and print its verdict."""
    parser = argparse.ArgumentParser(prog="make freezes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how often each is frozen")
    parser.add_argument("--minutes", type=float, help="so long instead of a number of rounds")
    parser.add_argument("--frozen", type=float, default=60.0, help="seconds of one freeze")
    parser.add_argument("--people", type=int, default=64, help="people who chat at once")
    parser.add_argument("--only", choices=TARGETS, help="freeze nothing else")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="axon-freezes-"))
    print(f"files in {folder}", flush=True)
    installation = Installation(folder=folder)
    try:
        outcome = run_freezes(
            Freezes(
                rounds=chosen.rounds,
                minutes=chosen.minutes,
                frozen_s=chosen.frozen,
                people=chosen.people,
                targets=(chosen.only,) if chosen.only else TARGETS,
            ),
            installation,
            lambda text: print(text, flush=True),
        )
    finally:
        installation.stop()
    print(*figures(outcome), sep="\n")
    print(outcome.verdict)
    for kind, found in outcome.verdict.findings().items():
        for finding in found:
            print(f"{kind}: {finding}")
    loud = [one for one in outcome.freezes if len(one.lines) > LINES_MAX]
    late = [one for one in outcome.freezes if one.caught_up_s > CAUGHT_UP_WITHIN_S]
    for one in loud:
        print(f"{one.target} was logged {len(one.lines)} times", *one.lines[:LINES_MAX], sep="\n")
    well = outcome.verdict.kept and not outcome.failed and not loud and not late
    if well:
        shutil.rmtree(folder)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
