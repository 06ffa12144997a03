"""Asks flagd's own core and Axon the same: `python -m tests.flags.agreement --bucketing v3`.

flagd-core 2.0.0 hashes as v3 and is among the packages of the tests; 1.0.0 hashes as v2 and is in a
folder of its own, `flagd-v2` in the environment, because one environment has one version of a
package. So each is asked by a process of its own.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext as FlagdContext
from openfeature.exception import OpenFeatureError

from axon.flags import (
    ERROR,
    SPLIT,
    TARGETING_MATCH,
    EvaluationContext,
    FlagSet,
    read_definitions,
)
from tests.flags.corpus import NOW_S, Corpus, user

CORES = {"v2": "1.0.0", "v3": "2.0.0"}
V2_FOLDER = Path(sys.prefix, "flagd-v2")
SHOWN_MAX = 5

Answer = tuple[str | None, Any, str]


def in_own_process(bucketing: str, *arguments: str) -> dict[str, Any]:
    """Return what a process found that has the core of this bucketing; raises when it failed."""
    assert V2_FOLDER.is_dir(), "flagd-core 1.0.0 is missing: make install"
    path = [str(V2_FOLDER)] if bucketing == "v2" else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*path, *sys.path])}
    command = [sys.executable, "-m", "tests.flags.agreement", "--bucketing", bucketing, *arguments]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, timeout=1_800, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class Core:
    """flagd's core, with our clock."""

    def __init__(self, document: dict[str, Any]) -> None:
        logging.disable(logging.CRITICAL)  # it tells of every weight it cannot read
        core = sys.modules["openfeature.contrib.tools.flagd.core.targeting.targeting"]
        # It asks the wall clock for $flagd.timestamp and takes no other.
        core.time = SimpleNamespace(time=lambda: NOW_S)  # type: ignore[attr-defined]
        self._core = FlagdCore()
        self._core.set_flags(json.dumps(document))
        self._resolve: dict[str, Any] = {
            "boolean": (self._core.resolve_boolean_value, False),
            "string": (self._core.resolve_string_value, ""),
            "number": (self._core.resolve_float_value, 0.0),
            "object": (self._core.resolve_object_value, {}),
        }

    def answer(self, key: str, kind: str, context: FlagdContext) -> Answer:
        resolve, default = self._resolve[kind]
        try:
            found = resolve(key, default, context)
        except (OpenFeatureError, ArithmeticError, AttributeError, TypeError, ValueError):
            return None, None, ERROR
        if found.variant is None:
            return None, None, str(found.reason)
        return found.variant, found.value, str(found.reason)


def ours(flags: FlagSet, key: str, context: EvaluationContext) -> Answer:
    found = flags.evaluate(key, context)
    return found.variant, found.value, found.reason


def same(mine: Answer, other: Answer) -> bool:
    """Return whether two answers are one; flagd does not tell splits from other matches."""
    reason = TARGETING_MATCH if mine[2] == SPLIT else mine[2]
    return (*mine[:2], reason) == other


def compare(bucketing: str, users: int, flags: int, each: int, seed: int) -> dict[str, Any]:
    """Ask both, every user `each` flags in turn, and return what differs."""
    corpus = Corpus(seed)
    document = corpus.document(flags, bucketing)
    core = Core(document)
    axon = read_definitions(json.dumps(document).encode())
    keys = list(axon.flags)
    different = []
    reasons: dict[str, int] = {}
    for index in range(users):
        context = user(index)
        known: Any = {name: value for name, value in context.data.items() if name != "targetingKey"}
        theirs = FlagdContext(context.targeting_key or None, known)
        for turn in range(each):
            key = keys[(index * each + turn) % len(keys)]
            mine = ours(axon, key, context)
            other = core.answer(key, axon.flags[key].kind, theirs)
            reasons[mine[2]] = reasons.get(mine[2], 0) + 1
            if not same(mine, other):
                different.append((key, index, mine, other))
    return {
        "core": version("openfeature-flagd-core"),
        "asked": users * each,
        "flags": len(keys),
        "operators": sorted(corpus.used),
        "reasons": reasons,
        "differences": len(different),
        "shown": different[:SHOWN_MAX],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bucketing", choices=list(CORES), required=True)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--flags", type=int, default=300)
    parser.add_argument("--each", type=int, default=300, help="flags each user is asked")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    found = compare(asked.bucketing, asked.users, asked.flags, asked.each, asked.seed)
    assert found["core"] == CORES[asked.bucketing], found["core"]
    json.dump(found, sys.stdout, indent=1, default=str)


if __name__ == "__main__":
    main()
