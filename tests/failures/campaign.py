"""A campaign of freezes: load through the oracle of tests/chaos, one thing frozen at a time."""

import itertools
import math
import os
import signal
import subprocess
import sys
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from axon.app.embedded import freeze, thaw
from axon.journal import read_cursor, read_durable
from tests.chaos.installation import ENGINE, ROOT, Installation, NotReady
from tests.chaos.ledger import Attempt, read_ledger
from tests.chaos.oracle import DRAIN_S, TIMEOUT_S
from tests.chaos.stored import read_stored
from tests.chaos.verdict import Verdict, judge
from tests.promises.outages import status

TARGETS = ("valkey", "postgres", ENGINE)
DEPENDENCY = {"valkey": "valkey", "postgres": "postgresql", ENGINE: "upstream"}
"""What the log lines call it."""

TURNS_BETWEEN = 3
"""Each person has had about so many turns before the next freeze. A Valkey that was frozen is not
believed afterwards, so each conversation has to be read from PostgreSQL once."""

TURNS_WITHIN_S = 120.0

CAUGHT_UP_WITHIN_S = 60.0
"""The bound of the acceptance: PostgreSQL has everything so soon after a freeze."""

ENGINE_FREEZE_S_MAX = 20.0
"""A client of the oracle waits 30 s for the next word, and no longer."""

LOG_LAG_S = 1.0
"""Lines are gathered for 20 ms before they are written, by a thread that may have to wait."""

_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Freezes:
    """How long, what, and under how many streams."""

    rounds: int
    frozen_s: float
    people: int = 64
    targets: tuple[str, ...] = TARGETS
    minutes: float | None = None
    """How long it lasts, instead of a number of rounds."""


@dataclass(slots=True, kw_only=True)
class Freeze:
    """One freeze and what it cost."""

    target: str
    began_ns: int
    frozen_s: float
    caught_up_s: float = math.nan
    """Seconds after the thaw until PostgreSQL had everything that was durable then."""
    lines: list[str] = field(default_factory=list)
    """Log lines of the serving process about it, requests aside."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What was done and the judgement."""

    freezes: list[Freeze] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def failed(self) -> list[Attempt]:
        """Return the attempts that were not acknowledged."""
        return [attempt for attempt in self.attempts if not attempt.acknowledged]


def run_freezes(wanted: Freezes, installation: Installation, say: Callable[[str], None]) -> Outcome:
    """Run the campaign and return the judgement; raises NotReady when Axon does not heal."""
    outcome = Outcome()
    installation.wait_ready()
    oracle = _start_oracle(installation, wanted.people)
    ends_s = time.monotonic() + 60 * wanted.minutes if wanted.minutes else math.inf
    try:
        for target in _targets(wanted, ends_s):
            _wait_turns(installation, TURNS_BETWEEN * wanted.people)
            found = _freeze(target, wanted.frozen_s, installation)
            outcome.freezes.append(found)
            say(
                f"{found.target}: frozen {found.frozen_s:.0f} s, caught up after "
                f"{found.caught_up_s:.1f} s, {len(found.lines)} log lines"
            )
    finally:
        oracle.send_signal(signal.SIGTERM)
        code = oracle.wait(TIMEOUT_S + DRAIN_S)
    assert code == 0, "the oracle itself failed; its error is above"
    installation.wait_projected()
    outcome.attempts = read_ledger(installation.ledger)
    stored = read_stored(installation.base_url, installation.api_key, outcome.attempts)
    outcome.verdict = judge(outcome.attempts, stored.items, stored.endings)
    return outcome


def figures(outcome: Outcome) -> list[str]:
    """Return the lines of a table: an attempt belongs to the last freeze before its end."""
    starts = [one.began_ns for one in outcome.freezes]
    names = ["(before)", *(one.target for one in outcome.freezes)]
    acknowledged: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for attempt in outcome.attempts:
        name = names[bisect_right(starts, attempt.ended_ns)]
        (acknowledged if attempt.acknowledged else failed)[name] += 1
    lines = [
        f"{'frozen':12}{'times':>6}{'acknowledged':>14}{'failed':>8}{'lines':>7}{'caught up':>11}"
    ]
    for name, times in Counter(names).items():
        mine = [one for one in outcome.freezes if one.target == name]
        most = max((len(one.lines) for one in mine), default=0)
        slowest = max((one.caught_up_s for one in mine), default=0.0)
        lines.append(
            f"{name:12}{times:6}{acknowledged[name]:14}{failed[name]:8}{most:7}{slowest:9.1f} s"
        )
    causes = Counter(attempt.error[:90] for attempt in outcome.failed)
    return [*lines, *(f"  {count} x {cause}" for cause, count in causes.most_common(5))]


def _wait_turns(installation: Installation, count: int) -> None:
    """Wait until so many more turns have been acknowledged."""
    began = time.monotonic()
    with installation.ledger.open("rb") as file:
        file.seek(0, os.SEEK_END)
        while count > 0:
            if time.monotonic() - began > TURNS_WITHIN_S:
                raise NotReady(f"{count} turns are missing")
            time.sleep(_POLL_S)
            count -= file.read().count(b'"acknowledged":true')


def _targets(wanted: Freezes, ends_s: float) -> Iterator[str]:
    """Give the targets over and over, until the rounds or the time are over."""
    for number in itertools.count():
        if wanted.minutes is None and number >= wanted.rounds * len(wanted.targets):
            return
        if time.monotonic() >= ends_s:
            return
        yield wanted.targets[number % len(wanted.targets)]


def _freeze(target: str, frozen_s: float, installation: Installation) -> Freeze:
    pids = _pids(target, installation)
    log = installation.data / "logs" / "serving.log"
    read_from = log.stat().st_size
    seconds = min(frozen_s, ENGINE_FREEZE_S_MAX) if target == ENGINE else frozen_s
    found = Freeze(target=target, began_ns=time.monotonic_ns(), frozen_s=seconds)
    for pid in pids:
        freeze(pid)
    try:
        time.sleep(seconds)
    finally:
        for pid in pids:
            thaw(pid)
    found.caught_up_s = _wait_caught_up(installation)
    _wait_whole(installation)
    time.sleep(LOG_LAG_S)
    with log.open("rb") as file:
        file.seek(read_from)
        found.lines = _about(DEPENDENCY[target], file.read().decode(errors="replace"))
    return found


def _pids(target: str, installation: Installation) -> list[int]:
    if target != ENGINE:
        return installation.pids(target)
    assert installation._engine is not None  # it is no role of `axon up`
    return [installation._engine.pid]


def _about(dependency: str, text: str) -> list[str]:
    lines = [line for line in text.splitlines() if '"event.action":"http.request"' not in line]
    return [line for line in lines if dependency in line.lower()]


def _wait_caught_up(installation: Installation) -> float:
    """Return how many seconds PostgreSQL took to have what is durable now."""
    began = time.monotonic()
    journals = [folder for folder in installation.journals.glob("*") if folder.is_dir()]
    wanted = {folder: read_durable(folder) for folder in journals}
    while any(read_cursor(folder) < through for folder, through in wanted.items()):
        if time.monotonic() - began > 2 * CAUGHT_UP_WITHIN_S:
            raise NotReady(f"PostgreSQL does not catch up with {wanted}")
        time.sleep(_POLL_S)
    return time.monotonic() - began


def _wait_whole(installation: Installation) -> None:
    """Wait until Axon says that it does without nothing; only then has the log had its say."""
    origin = installation.base_url.removesuffix("/v1")
    began = time.monotonic()
    while found := status(origin)["degraded"]:
        if time.monotonic() - began > CAUGHT_UP_WITHIN_S:
            raise NotReady(f"still without {found}")
        time.sleep(_POLL_S)


def _start_oracle(installation: Installation, people: int) -> "subprocess.Popen[bytes]":
    installation.ledger.touch()
    command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.chaos.oracle"]
    command += ["--base-url", installation.base_url, "--api-key", installation.api_key]
    command += ["--ledger", str(installation.ledger), "--people", str(people)]
    return subprocess.Popen(command, cwd=ROOT)
