"""`make powerloss CYCLES=200`: cut the power under load, count what was lost, and prove the count.

Exits 0 when the power took something, when every acknowledged turn is there all the same, whole,
once and in order, and when a campaign with an acknowledgement before the fsync planted loses some.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.campaign import Campaign, Outcome, run_campaign
from tests.chaos.installation import POWER, ROOT
from tests.chaos.oracle import PEOPLE
from tests.chaos.report import figures
from tests.powerloss.installation import PoweredInstallation
from tests.powerloss.loop_disk import CannotMount

CONTROL_CYCLES = 3
"""Of the planted bug: it shows in most single power losses."""

PLANTED = ROOT / "tests/chaos/planted"
SLOW = {"PLANTED": "slow-fsync", "SYNC_TAKES_S": "0.1"}
"""A stopped process finishes the flush it is in, so only before one is anything unflushed: a flush
that begins late leaves time to cut the power there."""

BUG = {"PLANTED": "slow-fsync,early-acknowledgement", "SYNC_TAKES_S": "1.5"}
"""So slow that also on a busy machine the power fails between the two."""


def lose_power(folder: Path, campaign: Campaign, planted: dict[str, str]) -> Outcome:
    """Run a campaign of power losses on a disk of its own; raises CannotMount and NotReady."""
    installation = PoweredInstallation(folder=folder, python_path=(PLANTED,), environment=planted)
    try:
        return run_campaign(campaign, installation, lambda text: print(text, flush=True))
    finally:
        installation.stop()


def power_losses(cycles: int, seed: int, people: int = PEOPLE) -> Campaign:
    """Return a campaign of nothing but power losses."""
    return Campaign(cycles=cycles, seed=seed, targets=((POWER,),), quiet_max_s=1.0, people=people)


def main() -> int:
    """Run the campaign and its negative control, each in a fresh folder; print both verdicts."""
    parser = argparse.ArgumentParser(prog="make powerloss", description=__doc__)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--people", type=int, default=PEOPLE, help="people who chat at once")
    parser.add_argument("--seed", type=int, help="repeat an earlier campaign's order")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # the disk is unmounted then
    seed = random.SystemRandom().randrange(1 << 32) if chosen.seed is None else chosen.seed
    folder = Path(tempfile.mkdtemp(prefix="axon-powerloss-"))
    print(f"seed {seed}, files in {folder}", flush=True)
    began_s = time.monotonic()
    try:
        (folder / "kept").mkdir()
        campaign = power_losses(chosen.cycles, seed, chosen.people)
        kept = lose_power(folder / "kept", campaign, SLOW)
        took_s = time.monotonic() - began_s
        print("The negative control: the journal acknowledges before the fsync", flush=True)
        (folder / "control").mkdir()
        control = lose_power(folder / "control", power_losses(CONTROL_CYCLES, seed), BUG)
    except CannotMount as error:
        print(f"{CannotMount.__doc__} {error}")
        return 2
    print(*figures(kept.strikes, kept.attempts), sep="\n")
    print(f"{len(kept.strikes)} power losses in {took_s:.0f} s took {kept.unsynced_bytes} bytes")
    print(kept.verdict)
    for kind, found in kept.verdict.findings().items():
        for finding in found:
            print(f"{kind}: {finding}")
    print(f"control: {len(control.verdict.lost)} acknowledged turns lost, as must be")
    if not kept.verdict.kept or not kept.unsynced_bytes or not control.verdict.lost:
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
