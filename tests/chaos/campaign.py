"""A campaign: load through the oracle, kills at random moments, then the judgement."""

import itertools
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.installation import ENGINE, ROOT, SUPERVISOR, Installation
from tests.chaos.ledger import read_ledger
from tests.chaos.oracle import DRAIN_S, TIMEOUT_S
from tests.chaos.stored import read_stored
from tests.chaos.verdict import Verdict, judge

TARGETS: tuple[tuple[str, ...], ...] = (
    ("serving",),
    ("postgres",),
    ("valkey",),
    (ENGINE,),
    ("projector",),
    (SUPERVISOR,),
    ("postgres", "valkey"),
    ("serving", "valkey"),
    ("serving", "postgres"),
)
"""Killing the supervisor takes every process of the installation along at once."""

QUIET_MIN_S, QUIET_MAX_S = 0.3, 2.0
"""How long people chat between two kills."""

RECOVERED_SHARE = 0.7
"""So often a kill waits until Axon is ready; the rest hits it while it recovers."""


def _nothing(data: Path) -> None:
    """Do nothing while everything is down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """How long, in which order, and under which conditions.

    `while_down` is called with the data folder whenever the whole installation is dead: the place
    where a negative control drops what was never synced.
    """

    cycles: int
    seed: int
    targets: tuple[tuple[str, ...], ...] = TARGETS
    while_down: Callable[[Path], None] = _nothing


def run_campaign(
    campaign: Campaign, installation: Installation, say: Callable[[str], None]
) -> Verdict:
    """Run it and return the judgement; raises NotReady when Axon does not come back.

    The data is read back twice: at once, while PostgreSQL may be behind, and again after
    everything was killed, started from what is on disk, and PostgreSQL has caught up.
    """
    ledger = installation.folder / "ledger.jsonl"
    installation.wait_ready()
    oracle = _start_oracle(installation, ledger)
    chance = random.Random(campaign.seed)
    targets = _bag(campaign.targets, chance)
    try:
        for cycle in range(campaign.cycles):
            time.sleep(chance.uniform(QUIET_MIN_S, QUIET_MAX_S))
            target = next(targets)
            say(f"cycle {cycle + 1}/{campaign.cycles}: SIGKILL {' + '.join(target)}")
            _strike(target, campaign, installation)
            if chance.random() < RECOVERED_SHARE:
                installation.wait_ready()
        installation.wait_ready()
        time.sleep(QUIET_MAX_S)
    finally:
        oracle.send_signal(signal.SIGTERM)
        code = oracle.wait(TIMEOUT_S + DRAIN_S)
    assert code == 0, "the oracle itself failed; its error is above"
    first = _judge(installation, ledger)
    say(f"read at once: {first}")
    if not first.kept:
        return first
    _strike((SUPERVISOR,), campaign, installation)
    installation.wait_ready()
    installation.wait_projected()
    second = _judge(installation, ledger)
    say(f"read from PostgreSQL after a restart: {second}")
    return second


def _strike(target: tuple[str, ...], campaign: Campaign, installation: Installation) -> None:
    """Kill the roles of one target; what is ours to start again is started again."""
    for role in target:
        installation.kill(role)
    if SUPERVISOR in target:
        campaign.while_down(installation.data)
    installation.start()


def _judge(installation: Installation, ledger: Path) -> Verdict:
    attempts = read_ledger(ledger)
    stored = read_stored(installation.base_url, installation.api_key, attempts)
    return judge(attempts, stored.items, stored.endings)


def _bag(targets: tuple[tuple[str, ...], ...], chance: random.Random) -> Iterator[tuple[str, ...]]:
    """Give every target once in a random order, then all of them again in another."""
    for _ in itertools.count():
        yield from chance.sample(targets, len(targets))


def _start_oracle(installation: Installation, ledger: Path) -> subprocess.Popen[bytes]:
    command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.chaos.oracle"]
    command += ["--base-url", installation.base_url, "--api-key", installation.api_key]
    return subprocess.Popen([*command, "--ledger", str(ledger)], cwd=ROOT)
