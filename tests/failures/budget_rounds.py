"""`make budgets ROUNDS=50`: streams against budgets while processes die; counts every nano-unit.

Exits 0 when no budget was overspent, no counter differs from the journal, nobody was refused with
money left, and `axon reconcile` finds nothing.
"""

import argparse
import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.failures.budgets import KINDS, figures, play_all, prepare
from tests.gateway.commands import axon_command
from tests.gateway.conftest import start_axon, start_upstream, stop


def main() -> int:
    """Play the rounds in a fresh folder and print what they came to."""
    parser = argparse.ArgumentParser(prog="make budgets", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, help="repeat an earlier run's chances")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if chosen.seed is None else chosen.seed
    folder = Path(tempfile.mkdtemp(prefix="axon-budgets-"))
    print(f"seed {seed}, files in {folder}", flush=True)
    kinds = [KINDS[number % len(KINDS)] for number in range(chosen.rounds)]
    upstream, address = start_upstream()
    with upstream:
        process, axon = start_axon(folder / "data", address)
        try:
            key = prepare(axon, axon_command)
            rounds = asyncio.run(play_all(axon, key, kinds, seed))
            words = [sys.executable, "-m", "axon.app.cli", "reconcile", "--data", str(axon.data)]
            agrees = subprocess.run(words, check=False, timeout=600).returncode == 0
        finally:
            stop(process)
            upstream.kill()
    print(*figures(rounds), sep="\n")
    print("reconcile agrees" if agrees else "RECONCILE FINDS DIFFERENCES")
    kept = agrees and all(one.kept for one in rounds)
    if kept:
        shutil.rmtree(folder)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
