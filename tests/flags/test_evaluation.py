"""What a flag answers, and why it says it does."""

from typing import Any

import pytest

from axon.flags import (
    DEFAULT,
    DISABLED,
    EMPTY,
    ERROR,
    FLAG_NOT_FOUND,
    GENERAL,
    NUMBER,
    SPLIT,
    STATIC,
    TARGETING_MATCH,
    TYPE_MISMATCH,
    EvaluationContext,
    FlagSet,
)
from tests.flags.definitions import NOON_US, flag_set, half, someone, switch


def test_a_static_flag_answers_its_default_to_everybody() -> None:
    found = flag_set({"flag": switch(default="on")}).evaluate("flag", someone())
    assert (found.value, found.variant, found.reason) == (True, "on", STATIC)
    assert (found.error_code, found.detail) == (None, "")


def test_a_flag_without_a_default_leaves_it_to_the_caller() -> None:
    found = flag_set({"flag": switch(default=None)}).evaluate("flag", someone())
    assert (found.value, found.variant, found.reason) == (None, None, DEFAULT)


def test_a_flag_that_is_not_there_is_off() -> None:
    found = EMPTY.evaluate("flag", someone())
    assert (found.key, found.value, found.variant) == ("flag", None, None)
    assert (found.reason, found.error_code) == (ERROR, FLAG_NOT_FOUND)


def test_a_disabled_flag_is_off() -> None:
    flag = {**switch(default="on"), "state": "DISABLED"}
    found = flag_set({"flag": flag}).evaluate("flag", someone())
    assert (found.value, found.variant, found.reason) == (None, None, DISABLED)
    assert found.detail == "its state is DISABLED"


def test_a_flag_of_another_kind_than_asked_is_off() -> None:
    flags = flag_set({"flag": switch(default="on")})
    found = flags.evaluate("flag", someone(), NUMBER)
    assert (found.value, found.reason, found.error_code) == (None, ERROR, TYPE_MISMATCH)
    assert flags.evaluate("flag", someone(), "boolean").variant == "on"


def test_targeting_that_names_nothing_is_the_default() -> None:
    rule = {"if": [{"==": [{"var": "region"}, "eu"]}, "on", None]}
    flags = flag_set({"flag": switch(rule)})
    assert flags.evaluate("flag", someone(region="eu")).reason == TARGETING_MATCH
    found = flags.evaluate("flag", someone(region="us"))
    assert (found.variant, found.reason) == ("off", DEFAULT)


def test_truth_names_the_variants_true_and_false() -> None:
    flag = {
        "state": "ENABLED",
        "variants": {"true": 1, "false": 0},
        "targeting": {"in": ["@x.org", {"var": "email"}]},
    }
    flags = flag_set({"flag": flag})
    assert flags.evaluate("flag", someone(claimed={"email": "a@x.org"})).value == 1
    assert flags.evaluate("flag", someone()).value == 0


def test_a_split_says_so_and_a_rule_before_it_does_not() -> None:
    rule = {"if": [{"==": [{"var": "tier"}, "pro"]}, "on", {"fractional": [["off", 1]]}]}
    flags = flag_set({"flag": switch(rule)})
    assert flags.evaluate("flag", someone(tier="pro")).reason == TARGETING_MATCH
    assert flags.evaluate("flag", someone()).reason == SPLIT


def test_a_split_of_nobody_is_the_default() -> None:
    found = flag_set({"flag": half()}).evaluate("flag", EvaluationContext(now_us=NOON_US))
    assert (found.variant, found.reason) == ("off", DEFAULT)


@pytest.mark.parametrize(
    "rule", [{"cat": ["o", "ff!"]}, {"var": "claims"}, {"/": [1, 0]}, {"merge": ["on"]}]
)
def test_targeting_that_fails_is_off_with_the_reason(rule: object) -> None:
    context = someone(claimed={"claims": "root"})
    found = flag_set({"flag": switch(rule, default="on")}).evaluate("flag", context)
    assert (found.value, found.variant, found.reason) == (None, None, ERROR)
    assert found.error_code == GENERAL
    assert found.detail and "root" not in found.detail  # what a client claims is not told on


def test_all_flags_answer_in_the_order_of_the_document() -> None:
    flags = flag_set({"b": switch(), "a": half(), "c": {**switch(), "state": "DISABLED"}})
    assert [found.key for found in flags.evaluate_all(someone())] == ["b", "a", "c"]


@pytest.mark.parametrize("unit", ["user", "org", "conversation"])
def test_a_split_places_its_unit(unit: str) -> None:
    flags = flag_set({"flag": half(unit=unit)})
    same = {"user": "u", "org": "o", "conversation": "c"}
    other = {"user": "x", "org": "x", "conversation": "x"}
    expected = flags.evaluate("flag", placed(same))
    assert (expected.reason, expected.unit) == (SPLIT, unit)
    for number in range(50):
        ids = {**{name: f"{name}-{number}" for name in other}, unit: same[unit]}
        assert flags.evaluate("flag", placed(ids)).variant == expected.variant


def placed(ids: dict[str, str]) -> EvaluationContext:
    return someone(ids["user"], org=ids["org"], conversation=ids["conversation"])


def test_what_the_server_knows_is_never_what_a_client_claims() -> None:
    names = ("region", "user", "org", "conversation", "model", "tier")
    for name in names:
        rule = {"if": [{"==": [{"var": name}, "mine"]}, "on", "off"]}
        flags = flag_set({"flag": switch(rule)})
        claims = {"region": "mine", name: "mine"}
        assert flags.evaluate("flag", someone(claimed=claims)).variant == "off"
        assert flags.evaluate("flag", someone(claimed=claims, **{name: "other"})).variant == "off"
        assert flags.evaluate("flag", someone(**{name: "mine"})).variant == "on"


def test_a_claimed_key_or_time_is_not_read() -> None:
    flags = flag_set(
        {
            "flag": half(),
            "time": switch({"if": [{"<": [{"var": "$flagd.timestamp"}, 9]}, "on", "off"]}),
        }
    )
    claims: Any = {"targetingKey": "user-7", "$flagd": {"timestamp": 1}}
    nobody = EvaluationContext(now_us=NOON_US, claimed=claims)
    assert flags.evaluate("flag", nobody).reason == DEFAULT
    assert flags.evaluate("time", nobody).variant == "off"


def test_rules_read_the_instant_and_the_flags_key() -> None:
    rule = {
        "if": [
            {"and": [
                {"==": [{"var": "$flagd.timestamp"}, NOON_US // 1_000_000]},
                {"===": [{"var": "$flagd.flagKey"}, "flag"]},
                {"===": [{"var": "$flagd.flagKey"}, {"var": [{"cat": ["$flagd.", "flagKey"]}]}]},
            ]},
            "on",
            "off",
        ]
    }  # fmt: skip
    assert flag_set({"flag": switch(rule)}).evaluate("flag", someone()).variant == "on"


def test_an_answer_names_the_definition_it_comes_from() -> None:
    rules = {"eu": {"==": [{"var": "region"}, "eu"]}, "us": {"==": [{"var": "region"}, "us"]}}
    first = {"a": switch({"if": [{"$ref": "eu"}, "on", "off"]}), "b": half()}
    again = {"b": dict(reversed(half().items())), "a": first["a"]}
    before = flag_set(first, **{"$evaluators": rules})
    after = flag_set(again, **{"$evaluators": {**rules, "eu": rules["us"]}})
    assert version_of(before, "a") != version_of(after, "a")  # a rule it refers to has changed
    assert version_of(before, "b") == version_of(after, "b")
    assert before.version != after.version
    assert before.version == flag_set(again, **{"$evaluators": rules}).version
    pinned = flag_set({"b": half(bucketing="v2")})
    assert version_of(pinned, "b") != version_of(before, "b")
    assert pinned.evaluate("b", someone()).bucketing_version == "v2"
    assert before.evaluate("b", someone()).bucketing_version == "v3"


def version_of(flags: FlagSet, key: str) -> str:
    found = flags.evaluate(key, someone())
    assert found.definition_version == flags.flags[key].version
    return found.definition_version
