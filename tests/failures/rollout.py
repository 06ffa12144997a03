"""`make rollout SECONDS=300`: a rollout from 10 to 100 percent under load, while processes die.

People ask all the time, and each answer says which variant its engine was told of. Meanwhile the
serving process, the projector and Valkey (which keeps nothing) are killed, the share grows, and
Axon is replaced by a version that hashes flags in another way unless they say how. Counted are
people who were given the new variant and then lost it, people whom a split beside the experiment
has moved, and turns whose record says another variant than was served. Exits 0 when there are none.
"""

import argparse
import asyncio
import http.client
import itertools
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

import axon
from axon.app.embedded import EmbeddedPostgres
from axon.app.folders import DataFolder
from axon.app.up import read_running
from tests.gateway.conftest import RunningAxon, start_axon, start_upstream, stop
from tests.gateway.flag_calls import FlagCalls, fresh

PEOPLE = 60
ASKERS = 3
PATIENCE_S = 120.0
SHARES = (10, 50, 100)


def flag_of(name: str) -> dict[str, Any]:
    """Return a flag whose variant `new` tells the engine so."""
    return {
        "state": "ENABLED",
        "variants": {"new": {"system": {"text": f"New is {name}."}}, "old": {}},
        "defaultVariant": "old",
        "targeting": {"fractional": [["new", 50], ["old", 50]]},
        "metadata": {"axon.turn": True},
    }


def split_of() -> dict[str, Any]:
    """Return a flag that places people by a hash and says nothing of how they are hashed."""
    return {
        "state": "ENABLED",
        "variants": {"one": {"sampling": {"seed": 1}}, "other": {"sampling": {"seed": 2}}},
        "defaultVariant": "one",
        "targeting": {"fractional": [["one", 50], ["other", 50]]},
        "metadata": {"axon.turn": True},
    }


class Installation:
    """An Axon that a version of itself takes over, with its data and at its port."""

    def __init__(self, folder: Path, upstream: str) -> None:
        """Start the present version."""
        self._folder, self._upstream = folder, upstream
        self._process, self.axon = start_axon(folder / "data", upstream)

    def upgrade(self) -> None:
        """Stop it, and start one whose flags are hashed in another way when they do not say how."""
        stop(self._process)
        source = self._folder / "next version"
        shutil.copytree(Path(axon.__file__).parent, source / "axon")
        constant = source / "axon" / "flags" / "bucketing.py"
        before = constant.read_text()
        after = before.replace("BUCKETING_DEFAULT: Final = V3", "BUCKETING_DEFAULT: Final = V2")
        assert after != before
        constant.write_text(after)
        self._process, self.axon = start_axon(
            self._folder / "data",
            self._upstream,
            *("--port", str(urlsplit(self.axon.origin).port)),
            environment={"PYTHONPATH": f"{source}:{os.environ.get('PYTHONPATH', '')}"},
        )

    def stop(self) -> None:
        """End it."""
        stop(self._process)


def variant_told(name: str, answer: Any) -> str:
    """Return the variant that the engine was told of, which said what it was told."""
    return "new" if f"New is {name}." in answer["choices"][0]["message"]["content"] else "old"


@dataclass
class Rollout:
    """What was served, in the order in which each person saw it."""

    axon: RunningAxon
    flag: str = field(default_factory=lambda: fresh("rollout"))
    split: str = field(default_factory=lambda: fresh("split"))
    served: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Of each person: turn and variant."""
    over: threading.Event = field(default_factory=threading.Event)
    killed: int = 0

    @property
    def turns(self) -> int:
        """Return how many turns were answered."""
        return sum(len(turns) for turns in list(self.served.values()))

    @property
    def moved_back(self) -> list[str]:
        """Return the people who lost the new variant."""
        found = []
        for person, turns in self.served.items():
            variants = [variant for _, variant in turns]
            if variants != sorted(variants, reverse=True):  # "old" before "new"
                found.append(person)
        return found

    def ask(self, people: list[str]) -> None:
        """Ask as one person after another until it is over; what was not answered is no turn."""
        calls = FlagCalls(self.axon)
        for person in itertools.cycle(people):
            if self.over.is_set():
                return
            asked = {
                "model": "fake-model",
                "user": person,
                "messages": [{"role": "user", "content": "[[echo]]"}],
            }
            try:
                answer = calls("POST", "/v1/chat/completions", asked)
            except (OSError, http.client.HTTPException):
                continue  # its process was killed
            if answer.status == 200:
                variant = variant_told(self.flag, answer.body)
                self.served.setdefault(person, []).append((answer.body["id"], variant))

    def until_turns(self, more: int) -> None:
        """Wait for so many more answers."""
        wanted, ends = self.turns + more, time.monotonic() + PATIENCE_S
        while self.turns < wanted:
            assert time.monotonic() < ends, "nobody is answered any more"
            time.sleep(0.05)

    def must(self, method: str, path: str, body: Any) -> Any:
        """Do it, again while processes are down; return the answer."""
        calls, ends = FlagCalls(self.axon), time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = calls(method, path, body)
                if answer.status == 200:
                    return answer.body
                assert answer.status >= 500, answer.body
            except (OSError, http.client.HTTPException):
                pass
            assert time.monotonic() < ends, "it could not be done"
            time.sleep(0.1)

    def kill(self, role: str) -> None:
        """Kill a process as the kernel would, however it is now."""
        running = read_running(DataFolder(self.axon.data))
        assert running is not None
        for pid in running.pids[role]:
            os.kill(pid, signal.SIGKILL)
            self.killed += 1


def play(rollout: Rollout, turns: int, upgrade: Callable[[], None]) -> None:
    """Roll a flag out, with so many answers between two blows; `rollout` has what was served."""
    experiment = f"/v1/experiments/{rollout.flag}"
    described = {
        "flag": rollout.flag,
        "hypothesis": "It does no harm.",
        "control": "old",
        "control_gets_rest": True,
        "shares": {"new": SHARES[0]},
        "primary": ["error_rate"],
    }
    rollout.must("PUT", f"/v1/flags/{rollout.flag}", {"definition": flag_of(rollout.flag)})
    rollout.must("PUT", f"/v1/flags/{rollout.split}", {"definition": split_of()})
    rollout.must("PUT", experiment, {"experiment": described})
    rollout.must("POST", f"{experiment}/start", {})
    people = [f"person {number}" for number in range(PEOPLE)]
    askers = [
        threading.Thread(target=rollout.ask, args=(people[number::ASKERS],))
        for number in range(ASKERS)
    ]
    for asker in askers:
        asker.start()
    try:
        for share in SHARES:
            if share != SHARES[0]:
                rollout.must("POST", f"{experiment}/shares", {"shares": {"new": share}})
            for role in ("serving", "valkey", "projector"):
                rollout.until_turns(turns)
                rollout.kill(role)
            rollout.until_turns(turns)
            if share == SHARES[1]:
                upgrade()
    finally:
        rollout.over.set()
        for asker in askers:
            asker.join()


async def moved(rollout: Rollout) -> list[int]:
    """Return the people who had more than one variant of the split; call once all is recorded."""
    connection = await asyncpg.connect(EmbeddedPostgres(rollout.axon.data).url())
    try:
        rows = await connection.fetch(
            "SELECT user_id FROM flags.assignments WHERE flag = $1"
            " GROUP BY user_id HAVING count(DISTINCT variant) > 1",
            rollout.split,
        )
        return [row["user_id"] for row in rows]
    finally:
        await connection.close()


async def recorded(rollout: Rollout) -> dict[str, str]:
    """Return what records say of the turns that were served, by turn; waits for all of them."""
    turns = [turn for served in rollout.served.values() for turn, _ in served]
    ends = time.monotonic() + PATIENCE_S
    connection = await asyncpg.connect(EmbeddedPostgres(rollout.axon.data).url())
    try:
        while True:
            rows = await connection.fetch(
                "SELECT turn_id, variant FROM flags.assignments"
                " WHERE flag = $1 AND turn_id = ANY($2)",
                rollout.flag,
                turns,
            )
            if len(rows) == len(turns):
                return {row["turn_id"]: row["variant"] for row in rows}
            assert time.monotonic() < ends, f"{len(rows)} of {len(turns)} turns have records"
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


def main() -> int:
    """Roll out again and again for a while; print what it came to."""
    parser = argparse.ArgumentParser(prog="make rollout", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    ends = time.monotonic() + parser.parse_args().seconds
    folder = Path(tempfile.mkdtemp(prefix="axon-rollout-"))
    wrong = 0
    upstream, address = start_upstream()
    with upstream:
        for number in itertools.count():
            if time.monotonic() >= ends:
                break
            installed = Installation(folder / str(number), address)
            try:
                wrong += once(installed)
            finally:
                installed.stop()
        upstream.kill()
    shutil.rmtree(folder)
    return 1 if wrong else 0


def once(installed: Installation) -> int:
    """Roll out, print what it came to and return how much of it was wrong."""
    rollout = Rollout(installed.axon)
    play(rollout, turns=300, upgrade=installed.upgrade)
    records = asyncio.run(recorded(rollout))
    served = {turn: one for turns in rollout.served.values() for turn, one in turns}
    others = sum(records[turn] != one for turn, one in served.items())
    by_split = len(asyncio.run(moved(rollout)))
    print(
        f"{rollout.turns} turns of {len(rollout.served)} people, {rollout.killed} processes"
        f" killed, one upgrade: moved back {len(rollout.moved_back)}, moved by the split"
        f" {by_split}, records that say otherwise {others}",
        flush=True,
    )
    return others + by_split + len(rollout.moved_back)


if __name__ == "__main__":
    sys.exit(main())
