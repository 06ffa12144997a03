"""A campaign: load through the oracle, kills at random moments, then the judgement."""

import itertools
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.installation import (
    ENGINE,
    POWER,
    READY_WITHIN_S,
    ROOT,
    SUPERVISOR,
    Installation,
    NotReady,
)
from tests.chaos.ledger import Attempt, read_ledger
from tests.chaos.oracle import DRAIN_S, PEOPLE, TIMEOUT_S
from tests.chaos.power import unsynced
from tests.chaos.report import Strike
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
    (POWER,),
)
"""Killing the supervisor takes every process along, each in its own time. The power takes them all
at one moment, and with them what the journals had not synced."""

QUIET_MIN_S = 0.3
"""The shortest time people chat between two kills."""

RECOVERED_SHARE = 0.7
"""So often a kill waits until Axon is ready; the rest hits it while it recovers."""

NEWS_WITHIN_S = 5.0
"""The power fails soon after somebody was told that a turn is safe: then a lie would be found. If
nobody is told anything for so long, it fails anyway."""

NEXT_ARE_WRITTEN_S = 1.0
"""How long after the news there may be nothing to lose: those told have asked again by then."""

_POLL_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """How long, and in which order."""

    cycles: int
    seed: int
    minutes: float | None = None
    """How long it lasts, instead of a number of cycles."""
    targets: tuple[tuple[str, ...], ...] = TARGETS
    quiet_max_s: float = 2.0
    """The longest time people chat between two kills."""
    people: int = PEOPLE
    persistent: bool = False
    """Whether they retry and resume as a good client does, and must then see no other error. Every
    process is back before the next one is killed: no client's patience is endless."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What was done, what the oracle was told, and the judgement."""

    strikes: list[Strike] = field(default_factory=list)
    unsynced_bytes: int = 0
    """Of the journals; what the power losses took."""
    attempts: list[Attempt] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)


def run_campaign(
    campaign: Campaign, installation: Installation, say: Callable[[str], None]
) -> Outcome:
    """Run it and return the judgement; raises NotReady when Axon does not come back.

    The data is read back twice: at once, while PostgreSQL may be behind, and again after
    everything was killed, started from what is on disk, and PostgreSQL has caught up.
    """
    outcome = Outcome()
    installation.wait_ready()
    oracle = _start_oracle(installation, campaign)
    chance = random.Random(campaign.seed)
    targets = _bag(campaign.targets, chance)
    try:
        if not _wait_for_news(installation.ledger, READY_WITHIN_S):
            raise NotReady("the oracle has not had a single turn")
        ends_s = time.monotonic() + 60 * campaign.minutes if campaign.minutes else math.inf
        of_them = math.inf if campaign.minutes else campaign.cycles
        for cycle in itertools.count():
            if cycle >= of_them or time.monotonic() >= ends_s:
                break
            time.sleep(chance.uniform(QUIET_MIN_S, campaign.quiet_max_s))
            target = next(targets)
            say(f"cycle {cycle + 1}/{of_them}: SIGKILL {' + '.join(target)}")
            _strike(target, installation, outcome)
            if campaign.persistent:
                installation.wait_whole()
            elif chance.random() < RECOVERED_SHARE:
                installation.wait_ready()
        installation.wait_ready()
        time.sleep(QUIET_MIN_S)
    finally:
        oracle.send_signal(signal.SIGTERM)
        code = oracle.wait(TIMEOUT_S + DRAIN_S)
    assert code == 0, "the oracle itself failed; its error is above"
    outcome.attempts = read_ledger(installation.ledger)
    outcome.verdict = _judge(installation, outcome)
    say(f"read at once: {outcome.verdict}")
    if outcome.verdict.kept:
        outcome.unsynced_bytes += installation.lose_power()
        installation.wait_ready()
        installation.wait_projected()
        outcome.verdict = _judge(installation, outcome)
        outcome.verdict.differing = installation.differences()
        say(f"read from PostgreSQL after a restart: {outcome.verdict}")
    return outcome


def _strike(target: tuple[str, ...], installation: Installation, outcome: Outcome) -> None:
    """Kill the roles of one target; what is ours to start again is started again."""
    if POWER in target:
        _wait_for_news(installation.ledger)
        deadline = time.monotonic() + NEXT_ARE_WRITTEN_S
        while not unsynced(installation.journals) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    outcome.strikes.append(Strike(target=target, at_ns=time.monotonic_ns()))
    for role in target:
        if role == POWER:
            outcome.unsynced_bytes += installation.lose_power()
        else:
            installation.kill(role)
    installation.start()


def _judge(installation: Installation, outcome: Outcome) -> Verdict:
    stored = read_stored(installation.base_url, installation.api_key, outcome.attempts)
    return judge(outcome.attempts, stored.items, stored.endings)


def _wait_for_news(ledger: Path, within_s: float = NEWS_WITHIN_S) -> bool:
    """Return True as soon as a turn is acknowledged, False when none is in time."""
    deadline = time.monotonic() + within_s
    with ledger.open("rb") as file:
        file.seek(0, os.SEEK_END)
        while time.monotonic() < deadline:
            if b'"acknowledged":true' in file.read():
                return True
            time.sleep(_POLL_S)
    return False


def _bag(targets: tuple[tuple[str, ...], ...], chance: random.Random) -> Iterator[tuple[str, ...]]:
    """Give every target once in a random order, then all of them again in another."""
    for _ in itertools.count():
        yield from chance.sample(targets, len(targets))


def _start_oracle(installation: Installation, campaign: Campaign) -> subprocess.Popen[bytes]:
    installation.ledger.touch()
    command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.chaos.oracle"]
    command += ["--base-url", installation.base_url, "--api-key", installation.api_key]
    command += ["--ledger", str(installation.ledger), "--people", str(campaign.people)]
    return subprocess.Popen([*command, *["--persistent"][: campaign.persistent]], cwd=ROOT)
