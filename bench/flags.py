"""What a flag's answer costs, beside flagd's core, GrowthBook, Unleash and LaunchDarkly in one run.

`make bench-flags` installs their Python clients into an environment of its own (bench/flags.in).
Everybody is first asked about everybody, and must be right (flag_peers.check); then all are asked
in turns, one round after the other, about the same people, and the medians of the rounds are shown.
Time is the processor's: what others do meanwhile is not counted.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec

from axon.base import SystemClock
from axon.flags import EvaluationContext, FlagSet, read_definitions
from axon.turns import TurnRequest
from axon.turns.known_answers import KnownAnswers
from axon.turns.steering import steer
from bench.flag_peers import (
    REGIONS,
    AnswersWrong,
    Peer,
    Person,
    check,
    flag_keys,
    flagd_document,
    peers,
)

STATIC_GOAL_US = 0.3
RULE_GOAL_US = 2.0
GATED_GOAL_US = 4.0
STEP_GOAL_US = 20.0
STEP_FLAGS = 50
"""Flags of the whole step of a turn: a fifth of them rules with splits, the others static."""

PEOPLE = 10_000
STEP_PEOPLE_FEWER = 50
"""A step is fifty questions: it is asked for so many times fewer people."""
NOW_US = 1_764_547_200_000_000


class Question(NamedTuple):
    """What everybody is asked, or one of us alone."""

    what: str
    goal_us: float
    runs: dict[str, Callable[[], int]]
    """By who is asked: asks it for many people and returns for how many."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one question costs, in microseconds."""

    what: str
    goal_us: float
    took_us: dict[str, float]
    """By who was asked."""


class FlagCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found."""

    load_before: float
    same_as_ours: dict[str, int]
    """By who was asked: for how many of `people` the split says what ours says."""
    people: int
    costs: list[Cost]


def measure(rounds: int, people: int) -> FlagCosts:
    """Return the costs; nothing else may run beside it. Raises AnswersWrong."""
    load_before = os.getloadavg()[0]
    persons = [Person(f"user-{number}", REGIONS[number % 2]) for number in range(people)]
    keys = flag_keys(STEP_FLAGS)
    with tempfile.TemporaryDirectory() as folder:
        asked = [_ours(keys), *peers(keys, Path(folder))]
        answers = {one.name: check(one, persons, keys) for one in asked}
        questions = [*_of_everybody(asked, persons, keys), *_of_ours(people)]
        costs = [_cost(question, rounds) for question in questions]
    ours, *others = answers.values()
    same = [sum(a is b for a, b in zip(ours, theirs, strict=True)) for theirs in others]
    names = [one.name for one in asked[1:]]
    if any(count < people for name, count in zip(names, same, strict=True) if "flagd" in name):
        raise AnswersWrong("flagd's core, whose hashing is ours, decides for somebody otherwise")
    return FlagCosts(
        load_before=load_before,
        same_as_ours=dict(zip(names, same, strict=True)),
        people=people,
        costs=costs,
    )


OURS = "Axon"


def _ours(keys: dict[str, str]) -> Peer:
    flags = read_definitions(json.dumps(flagd_document(keys)).encode())
    return Peer(OURS, new_context, lambda key, context: flags.evaluate(key, context).value)


def _of_everybody(asked: list[Peer], people: list[Person], keys: dict[str, str]) -> list[Question]:
    """Return the questions that everybody can be asked."""
    flags = read_definitions(json.dumps(flagd_document(keys)).encode())
    static, split, step = {}, {}, {}
    few = people[: max(1, len(people) // STEP_PEOPLE_FEWER)]
    for one in asked:
        ask = flags.evaluate if one.name == OURS else one.ask
        contexts = [one.context(person) for person in people]
        static[one.name] = _asks(ask, "flag-1", contexts)
        split[one.name] = _asks(ask, "flag-0", contexts)
        step[one.name] = _asks_all(one, list(keys), few)
    step[OURS] = _asks_our_set(flags, few)
    return [
        Question("static flag", STATIC_GOAL_US, static),
        Question("region rule and split", RULE_GOAL_US, split),
        Question(f"{STEP_FLAGS} flags and their context", STEP_GOAL_US, step),
    ]


def _asks(ask: Callable[[str, Any], object], key: str, contexts: list[Any]) -> Callable[[], int]:
    def run() -> int:
        for context in contexts:
            ask(key, context)
        return len(contexts)

    return run


def _asks_all(peer: Peer, keys: list[str], people: list[Person]) -> Callable[[], int]:
    def run() -> int:
        for person in people:
            context = peer.context(person)
            for key in keys:
                peer.ask(key, context)
        return len(people)

    return run


def _asks_our_set(flags: FlagSet, people: list[Person]) -> Callable[[], int]:
    def run() -> int:
        for person in people:
            flags.evaluate_all(new_context(person))
        return len(people)

    return run


def _of_ours(asked: int) -> list[Question]:
    """Return the questions that nobody else has an answer to."""
    document = flagd_document({"flag-0": "split"})
    split = document["flags"]["flag-0"]
    gates = {"axon.bucketing": "v3", "axon.holdout": "quiet", "axon.holdout_percent": 5}
    gates["axon.ramp"] = "2025-01-01T00:00:00Z 10, 2026-01-01T00:00:00Z 100"
    document["flags"]["v2"] = {**split, "metadata": {"axon.bucketing": "v2"}}
    document["flags"]["gated"] = {**split, "metadata": gates}
    flags = read_definitions(json.dumps(document).encode())
    contexts = [new_context(Person(f"user-{number}", REGIONS[0])) for number in range(asked)]
    steps = {
        "turn without flags of turns": (STATIC_GOAL_US, 0),
        "step of a turn, one flag": (STEP_GOAL_US, 1),
        f"step of a turn, {STEP_FLAGS} flags": (STEP_GOAL_US, STEP_FLAGS),
    }
    return [
        Question("the same, hashed as v2", RULE_GOAL_US, {OURS: _asks_for(flags, "v2", contexts)}),
        Question(
            "with holdout and ramp", GATED_GOAL_US, {OURS: _asks_for(flags, "gated", contexts)}
        ),
        *(
            Question(what, goal_us, {OURS: turn_step(flag_count, asked)})
            for what, (goal_us, flag_count) in steps.items()
        ),
    ]


def _asks_for(flags: FlagSet, key: str, contexts: list[EvaluationContext]) -> Callable[[], int]:
    return _asks(flags.evaluate, key, contexts)


def turn_step(count: int, asked: int) -> Callable[[], int]:
    """Return what a turn does about flags when it is accepted, with so many that are for turns."""
    flags = flagd_document(flag_keys(count))["flags"]
    for key, definition in flags.items():
        flags[key] = {
            **definition,
            "metadata": {"axon.turn": True},
            "variants": {"on": {}, "off": {}},
        }
    flag_set = read_definitions(json.dumps({"flags": flags}).encode())
    fields = {"messages": msgspec.Raw(b'[{"role":"user","content":"hello"}]')}
    request = TurnRequest(
        org_id="org-17",
        user=4711,
        credential_id="key",
        surface="chat",
        model="small",
        streamed=True,
        stored=False,
        body=b"",
        fields=fields,
        region="eu-west",
        tier="pro",
    )
    rooms: Any = SimpleNamespace(
        flag_set=lambda: flag_set, clock=SystemClock(), known_answers=KnownAnswers(), models=None
    )

    def run() -> int:
        for _ in range(asked):
            steer(rooms, request, "")
        return asked

    return run


def new_context(person: Person) -> EvaluationContext:
    """Return the context of a turn of somebody."""
    return EvaluationContext(
        now_us=NOW_US,
        targeting_key=person.key,
        user=person.key,
        org="org-17",
        region=person.region,
        tier=person.tier,
        model="small",
    )


def _cost(question: Question, rounds: int) -> Cost:
    """Return the medians of everybody, asked in turns."""
    took: dict[str, list[float]] = {name: [] for name in question.runs}
    for _ in range(rounds):
        for name, run in question.runs.items():
            start = time.process_time()
            asked = run()
            took[name].append((time.process_time() - start) / asked * 1e6)
    medians = {name: statistics.median(each) for name, each in took.items()}
    return Cost(what=question.what, goal_us=question.goal_us, took_us=medians)


def render(found: FlagCosts) -> str:
    """Return the table: microseconds a question, and how many times ours that is."""
    lines = [
        f"microseconds a question, and of others how many times ours (load {found.load_before:.1f})"
    ]
    others = list(found.same_as_ours)
    widths = [max(16, len(name) + 2) for name in others]
    lines.append(
        f"{'':28}{'goal':>6}{OURS:>8}"
        + "".join(f"{name:>{width}}" for name, width in zip(others, widths, strict=True))
    )
    for one in found.costs:
        ours = one.took_us[OURS]
        line = f"{one.what:28}{one.goal_us:6.1f}{ours:8.2f}"
        for name, width in zip(others, widths, strict=True):
            theirs = one.took_us.get(name)
            line += f"{'':{width}}" if theirs is None else _beside(theirs, ours).rjust(width)
        lines.append(line.rstrip())
    counts = "".join(
        f"{found.same_as_ours[name]:>{width},}" for name, width in zip(others, widths, strict=True)
    )
    lines.append(f"{f'split as ours, of {found.people:,}':42}{counts}")
    return "\n".join(lines)


def _beside(theirs: float, ours: float) -> str:
    return f"{theirs:,.2f} ({theirs / ours:.0f}x)"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--people", type=int, default=PEOPLE, help="who are asked about, a round")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.rounds, asked.people)
    sys.stdout.write((msgspec.json.encode(found).decode() if asked.json else render(found)) + "\n")


if __name__ == "__main__":
    main()
