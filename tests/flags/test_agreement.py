"""One definition means one thing: flagd's own core answers the same, by either hashing."""

import json

import pytest

from axon.flags import EvaluationContext, read_definitions
from axon.flags.logic import Compiler
from axon.flags.operators import OPERATORS
from tests.flags.agreement import CORES, in_own_process

USERS = 10_000
FLAGS = 300
OURS_ALONE = {"log"}
"""flagd's core writes on stdout then, and its schema does not know it."""


@pytest.mark.parametrize("bucketing", CORES)
def test_flagd_answers_the_same_for_every_user_over_flags_of_every_operator(
    bucketing: str,
) -> None:
    """Each user asks six flags in turn; `python -m tests.flags.agreement` asks all of each."""
    found = in_own_process(bucketing, "--users", str(USERS), "--flags", str(FLAGS), "--each", "6")
    assert found["core"] == CORES[bucketing]
    assert (found["differences"], found["shown"]) == (0, [])
    assert found["asked"] == USERS * 6 and found["flags"] == FLAGS
    assert set(found["operators"]) == {*OPERATORS, *Compiler._SPECIAL} - OURS_ALONE
    assert found["reasons"].keys() == {
        "STATIC", "TARGETING_MATCH", "SPLIT", "DEFAULT", "DISABLED", "ERROR",
    }  # fmt: skip
    assert found["reasons"]["SPLIT"] > USERS


def test_the_two_hashings_disagree_for_half_of_all_people() -> None:
    """Why a flag pins one: it is not a detail."""
    flag = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "off",
        "targeting": {"fractional": [["on", 50], ["off", 50]]},
    }
    placed = []
    for bucketing in CORES:
        pinned = {**flag, "metadata": {"axon.bucketing": bucketing}}
        flags = read_definitions(json.dumps({"flags": {"split": pinned}}).encode())
        contexts = (EvaluationContext(now_us=0, targeting_key=f"user-{n}") for n in range(USERS))
        placed.append([flags.evaluate("split", context).variant for context in contexts])
    moved = sum(one != other for one, other in zip(*placed, strict=True))
    assert 0.48 * USERS < moved < 0.52 * USERS
