"""The bench of flags runs from end to end; its figures are not judged here."""

from typing import Any

import pytest

from bench.flag_peers import REGIONS, SPLIT, STATIC, AnswersWrong, Peer, Person, check
from bench.flags import OURS, measure, render

_PEOPLE = [Person(f"user-{number}", REGIONS[0]) for number in range(200)]
_KEYS = {"static": STATIC, "split": SPLIT}


def test_it_measures_every_question() -> None:
    found = measure(rounds=1, people=20)
    assert all(one.took_us[OURS] > 0 for one in found.costs)
    beside = [one.what for one in found.costs if len(one.took_us) > 1]
    assert beside == ["static flag", "region rule and split", "50 flags and their context"]
    assert "step of a turn, 50 flags" in render(found)
    # The one whose hashing is ours, and who is among what the tests install.
    assert found.same_as_ours["openfeature-flagd-core 2.0.0"] == 20


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda key, one: key == "split", "the static flag is off"),
        (lambda key, one: key == "static" or int(one.key[5:]) % 2, "is on in us-east"),
        (lambda key, one: True, "is on in us-east"),
        (lambda key, one: key == "static", "the split is on for 0 of 200"),
        (lambda key, one: key == "static" or one.region == REGIONS[0], "is on for 200 of 200"),
    ],
)
def test_who_answers_wrongly_is_not_measured(wrong: Any, why: str) -> None:
    with pytest.raises(AnswersWrong, match=why):
        check(Peer("somebody", lambda one: one, wrong), _PEOPLE, _KEYS)
