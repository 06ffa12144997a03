"""A document that has changed a little: what is as it was is not compiled again."""

import json
from typing import Any

from axon.flags import EMPTY, FlagSet, read_definitions
from axon.flags.logic import LOGIC_NODES_IN_ALL_MAX, SharedRules
from axon.flags.mistakes import Mistakes
from tests.flags.corpus import Corpus, user
from tests.flags.definitions import half, switch


def read(flags: dict[str, Any], before: FlagSet = EMPTY, **members: Any) -> FlagSet:
    return read_definitions(json.dumps({"flags": flags, **members}).encode(), before)


def test_only_what_changed_is_made_again() -> None:
    first = read({"a": half(), "b": half(), "c": switch()})
    changed = {"b": half(bucketing="v2"), "c": switch(), "a": half(), "d": half()}
    second = read(changed, first)
    assert list(second.flags) == ["b", "c", "a", "d"]
    kept = [key for key, flag in second.flags.items() if flag is first.flags.get(key)]
    assert kept == ["c", "a"]
    assert second.version != first.version
    assert second.version == read(changed).version


def test_what_holds_for_all_flags_makes_all_again() -> None:
    rule = switch({"if": [{"$ref": "r"}, "on", "off"]})
    first = read({"a": rule, "b": switch()}, EMPTY, **{"$evaluators": {"r": True}})
    changes: list[dict[str, Any]] = [
        {"$evaluators": {"r": False}},
        {"$evaluators": {"r": True}, "metadata": {"axon.unit": "org"}},
    ]
    for members in changes:
        second = read({"a": rule, "b": switch()}, first, **members)
        assert not set(map(id, first.flags.values())) & set(map(id, second.flags.values()))


def test_a_flag_asks_the_flags_of_its_own_set() -> None:
    needy = switch(default="on", **{"requires.base": "on"})
    first = read({"needy": needy, "base": switch(default="on")})
    second = read({"needy": needy, "base": switch(default="off")}, first)
    assert first.evaluate("needy", user(1)).variant == "on"
    assert second.evaluate("needy", user(1)).variant is None


def test_a_truth_is_not_the_number_one() -> None:
    def answers(value: object) -> dict[str, Any]:
        return {"state": "ENABLED", "variants": {"on": {"x": value}}, "defaultVariant": "on"}

    before = read({"flag": answers(True)})
    assert read({"flag": answers(1)}, before).evaluate("flag", user(1)).value == {"x": 1}
    assert read({"flag": answers(1)}, before).flags["flag"] is not before.flags["flag"]


def test_a_set_read_step_by_step_answers_as_one_read_at_once() -> None:
    document = Corpus(5).document(60, "v3")
    members = {"$evaluators": document["$evaluators"]}
    flags: dict[str, Any] = {}
    grown = EMPTY
    for key, flag in document["flags"].items():
        flags[key] = flag
        grown = read(flags, grown, **members)
    whole = read(flags, EMPTY, **members)
    assert grown.version == whole.version
    for index in range(50):
        assert grown.evaluate_all(user(index)) == whole.evaluate_all(user(index))


def test_what_is_kept_counts_towards_the_bound_of_all() -> None:
    shared = SharedRules({}, Mistakes())
    assert shared.take(LOGIC_NODES_IN_ALL_MAX) and not shared.take(1)
    first = read({"a": half()})
    assert read({"a": half()}, first).flags["a"].nodes == first.flags["a"].nodes > 4
