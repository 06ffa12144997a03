"""What a flag's answer costs, beside flagd's own Python core in the same run.

`python -m bench.flags` asks both the same in turns, one round after the other, and prints the
median of the rounds. Time is the processor's: what others do meanwhile is not counted.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext as FlagdContext

from axon.base import SystemClock
from axon.flags import EvaluationContext, FlagSet, read_definitions
from axon.turns import TurnRequest
from axon.turns.known_answers import KnownAnswers
from axon.turns.steering import steer

STATIC_GOAL_US = 0.3
RULE_GOAL_US = 2.0
GATED_GOAL_US = 4.0
STEP_GOAL_US = 20.0
STEP_FLAGS = 50
"""Flags of the whole step of a turn: a fifth of them rules with splits, the others static."""

ASKED = 20_000
FLAGD_ASKED_LESS = 10
NOW_US = 1_764_547_200_000_000


class Case(NamedTuple):
    """A question, to us and to flagd."""

    what: str
    goal_us: float
    ours: Callable[[], object]
    flagd: Callable[[], object] | None


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one question costs, in microseconds."""

    what: str
    ours_us: float
    flagd_us: float | None
    """None where flagd has nothing like it."""
    goal_us: float


class FlagCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found."""

    load_before: float
    costs: list[Cost]


def definitions() -> dict[str, Any]:
    """Return a document with the flags of a turn."""
    static = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    rule = {
        "if": [
            {"in": [{"var": "region"}, ["eu-central", "eu-west"]]},
            {"fractional": [["on", 50], ["off", 50]]},
            "off",
        ]
    }
    flags = {
        f"flag-{number}": static if number % 5 else {**static, "targeting": rule}
        for number in range(STEP_FLAGS)
    }
    gated = {"axon.bucketing": "v3", "axon.holdout": "quiet", "axon.holdout_percent": 5}
    ramp = {"axon.ramp": "2025-01-01T00:00:00Z 10, 2026-01-01T00:00:00Z 100"}
    flags["v2"] = {**flags["flag-0"], "metadata": {"axon.bucketing": "v2"}}
    flags["gated"] = {**flags["flag-0"], "metadata": {**gated, **ramp}}
    return {"flags": flags}


def measure(rounds: int, asked: int) -> FlagCosts:
    """Return the costs; nothing else may run beside it."""
    load_before = os.getloadavg()[0]
    document = definitions()
    flags = read_definitions(json.dumps(document).encode())
    of_a_turn = definitions()
    for extra in ("v2", "gated"):
        del of_a_turn["flags"][extra]
    step = read_definitions(json.dumps(of_a_turn).encode())
    core = FlagdCore()
    core.set_flags(json.dumps(document))
    context = new_context()
    theirs = FlagdContext("user-4711", {"region": "eu-west", "tier": "pro"})

    def flagd(key: str) -> Callable[[], object]:
        return lambda: core.resolve_boolean_value(key, False, theirs)

    def whole_step() -> object:
        return step.evaluate_all(new_context())

    def flagd_step() -> object:
        return [core.resolve_boolean_value(key, False, theirs) for key in step.flags]

    rule = "region rule and split"
    cases = [
        Case("static flag", STATIC_GOAL_US, asks(flags, "flag-1", context), flagd("flag-1")),
        Case(f"{rule}, v3", RULE_GOAL_US, asks(flags, "flag-0", context), flagd("flag-0")),
        Case(f"{rule}, v2", RULE_GOAL_US, asks(flags, "v2", context), None),
        Case("the same with holdout and ramp", GATED_GOAL_US, asks(flags, "gated", context), None),
        Case(
            f"{STEP_FLAGS} flags of a turn, with its context", STEP_GOAL_US, whole_step, flagd_step
        ),
        Case("what a turn pays without flags of turns", STATIC_GOAL_US, turn_step(0), None),
        Case("the step of a turn, one flag", STEP_GOAL_US, turn_step(1), None),
        Case(f"the step of a turn, {STEP_FLAGS} flags", STEP_GOAL_US, turn_step(STEP_FLAGS), None),
    ]
    return FlagCosts(load_before=load_before, costs=[cost(case, rounds, asked) for case in cases])


def turn_step(count: int) -> Callable[[], object]:
    """Return what a turn does about flags when it is accepted, with so many that are for turns."""
    document = definitions()
    flags = dict(list(document["flags"].items())[:count])
    for definition in flags.values():
        definition["metadata"] = {"axon.turn": True}
        definition["variants"] = {"on": {}, "off": {}}
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
    return lambda: steer(rooms, request, "")


def new_context() -> EvaluationContext:
    """Return the context of a turn."""
    return EvaluationContext(
        now_us=NOW_US,
        targeting_key="user-4711",
        user="user-4711",
        org="org-17",
        region="eu-west",
        tier="pro",
        model="small",
    )


def asks(flags: FlagSet, key: str, context: EvaluationContext) -> Callable[[], object]:
    """Return the question a turn asks."""
    evaluate = flags.evaluate
    return lambda: evaluate(key, context)


def cost(case: Case, rounds: int, asked: int) -> Cost:
    """Return the medians of both, asked in turns."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        ours.append(per_call_us(case.ours, asked))
        if case.flagd is not None:
            theirs.append(per_call_us(case.flagd, max(1, asked // FLAGD_ASKED_LESS)))
    return Cost(
        what=case.what,
        ours_us=statistics.median(ours),
        flagd_us=statistics.median(theirs) if theirs else None,
        goal_us=case.goal_us,
    )


def per_call_us(call: Callable[[], object], asked: int) -> float:
    """Return microseconds of processor time a call, with the loop's own share of it."""
    start = time.process_time()
    for _ in range(asked):
        call()
    return (time.process_time() - start) / asked * 1e6


def render(found: FlagCosts) -> str:
    """Return the table."""
    lines = [f"load average {found.load_before:.1f} at the start", ""]
    lines.append(f"{'':40}{'Axon us':>9}{'goal us':>9}{'flagd us':>10}{'times':>8}")
    for one in found.costs:
        line = f"{one.what:40}{one.ours_us:9.2f}{one.goal_us:9.1f}"
        if one.flagd_us is not None:
            line += f"{one.flagd_us:10.1f}{one.flagd_us / one.ours_us:8.0f}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--asked", type=int, default=ASKED, help="questions a round")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.rounds, asked.asked)
    sys.stdout.write((msgspec.json.encode(found).decode() if asked.json else render(found)) + "\n")


if __name__ == "__main__":
    main()
