"""Every bound is reached: documents are refused with their place, rules end as an error."""

import json
from typing import Any

import pytest

from axon.flags import ERROR, DefinitionInvalid, read_definitions
from axon.flags.coercion import (
    INTEGER_BITS_MAX,
    LIST_ITEMS_MAX,
    NUMBER_CHARS_MAX,
    TEXT_CHARS_MAX,
    WORK_MAX,
    to_number,
)
from axon.flags.definition import EVALUATORS_MAX, FLAGS_MAX, KEY_CHARS_MAX, VARIANTS_MAX
from axon.flags.document import (
    DOCUMENT_BYTES_MAX,
    DOCUMENT_DEPTH_MAX,
    INTEGER_MAX,
    NAME_CHARS_MAX,
)
from axon.flags.document import TEXT_CHARS_MAX as WRITTEN_CHARS_MAX
from axon.flags.logic import LOGIC_DEPTH_MAX, LOGIC_NODES_IN_ALL_MAX, LOGIC_NODES_MAX
from axon.flags.metadata import RAMP_POINTS_MAX
from axon.flags.mistakes import MISTAKES_MAX
from axon.flags.operators import INDEX_CHARS_MAX
from axon.flags.relations import REQUIRED_MAX
from tests.flags.definitions import flag_set, mistakes_of, someone, switch


def nested(levels: int, inner: Any, name: str = "!") -> Any:
    for _ in range(levels):
        inner = {name: [inner]}
    return inner


def test_a_document_is_only_so_large() -> None:
    document = json.dumps({"flags": {}}).encode()
    assert read_definitions(document.ljust(DOCUMENT_BYTES_MAX)).flags == {}
    with pytest.raises(DefinitionInvalid, match="bytes"):
        read_definitions(document.ljust(DOCUMENT_BYTES_MAX + 1))


def test_a_document_is_only_so_deep() -> None:
    deep: Any = {}
    for _ in range(DOCUMENT_DEPTH_MAX - 4):  # under $, flags, flag, variants
        deep = {"a": deep}
    flag = {"state": "ENABLED", "variants": {"on": deep}}
    assert mistakes_of({"flag": flag}) == []
    flag = {"state": "ENABLED", "variants": {"on": {"a": deep}}}
    (found,) = mistakes_of({"flag": flag})
    assert found.message == f"more than {DOCUMENT_DEPTH_MAX} levels"
    assert found.path.startswith("$.flags.flag.variants.on.a.a")


@pytest.mark.parametrize(
    ("wide", "message"),
    [
        ("x" * (WRITTEN_CHARS_MAX + 1), f"a text of more than {WRITTEN_CHARS_MAX} characters"),
        ({"x" * (NAME_CHARS_MAX + 1): 1}, f"a text of more than {NAME_CHARS_MAX} characters"),
        ({"n": INTEGER_MAX + 1}, f"a number beyond {INTEGER_MAX}"),
        ({"n": -INTEGER_MAX - 1}, f"a number beyond {INTEGER_MAX}"),
    ],
)
def test_a_value_is_only_so_large(wide: Any, message: str) -> None:
    found = mistakes_of({"flag": {"state": "ENABLED", "variants": {"on": wide}}})
    assert [one.message for one in found] == [message]


def test_a_long_prompt_can_be_a_variant() -> None:
    flag = {"state": "ENABLED", "variants": {"on": {"prompt": "x" * WRITTEN_CHARS_MAX}}}
    assert mistakes_of({"flag": flag}) == []


def test_a_set_holds_only_so_many_flags_and_shared_rules() -> None:
    flags = {f"flag-{number}": switch() for number in range(FLAGS_MAX)}
    assert len(flag_set(flags).flags) == FLAGS_MAX
    assert mistakes_of({**flags, "more": switch()}) == [("$.flags", f"more than {FLAGS_MAX}")]
    rules = {f"rule-{number}": True for number in range(EVALUATORS_MAX + 1)}
    found = mistakes_of({}, **{"$evaluators": rules})
    assert found == [("$.$evaluators", f"more than {EVALUATORS_MAX}")]


def test_a_flag_has_only_so_many_variants_with_only_so_long_names() -> None:
    variants: dict[str, Any] = {f"v{number}": number for number in range(VARIANTS_MAX)}
    assert mistakes_of({"flag": {"state": "ENABLED", "variants": variants}}) == []
    found = mistakes_of({"flag": {"state": "ENABLED", "variants": {**variants, "more": 1}}})
    assert found == [("$.flags.flag.variants", f"more than {VARIANTS_MAX}")]
    assert mistakes_of({"k" * KEY_CHARS_MAX: switch()}) == []
    (found_key,) = mistakes_of({"k" * (KEY_CHARS_MAX + 1): switch()})
    assert found_key.message == f"a name has 1 to {KEY_CHARS_MAX} characters"


def test_only_so_many_mistakes_are_told() -> None:
    flags: dict[str, Any] = {f"flag-{number}": [] for number in range(2 * MISTAKES_MAX)}
    assert len(mistakes_of(flags)) == MISTAKES_MAX


def test_operations_stand_only_so_deep_in_each_other() -> None:
    rule = {"if": [nested(LOGIC_DEPTH_MAX - 2, {"var": "x"}), "on", "off"]}
    assert flag_set({"flag": switch(rule)}).evaluate("flag", someone()).variant in ("on", "off")
    rule = {"if": [nested(LOGIC_DEPTH_MAX + 1, True), "on", "off"]}
    (found,) = mistakes_of({"flag": switch(rule)})
    assert found.message == f"more than {LOGIC_DEPTH_MAX} levels of operations"


def test_references_cannot_stand_for_billions() -> None:
    rules: dict[str, Any] = {"rule-0": {"var": "x"}}
    for number in range(1, 20):
        rules[f"rule-{number}"] = {"or": [{"$ref": f"rule-{number - 1}"}] * 4}
    flags = {"flag": switch({"if": [{"$ref": "rule-19"}, "on", "off"]})}
    found = mistakes_of(flags, **{"$evaluators": rules})
    assert {one.message for one in found} == {f"more than {LOGIC_NODES_MAX} operations and values"}


def test_all_flags_together_are_only_so_large() -> None:
    width = LOGIC_NODES_MAX - 10  # a reference is three
    rule = {"if": [{"or": [{"$ref": "x"}] * (width // 3)}, "on", "off"]}
    count = LOGIC_NODES_IN_ALL_MAX // width
    flags = {f"flag-{number}": switch(rule) for number in range(count + 2)}
    found = mistakes_of(flags, **{"$evaluators": {"x": {"var": "x"}}})
    message = f"more than {LOGIC_NODES_IN_ALL_MAX} operations in all flags"
    assert {one.message for one in found} == {message}


def test_a_list_of_many_people_is_one_value() -> None:
    listed = [f"user-{number}" for number in range(10 * LOGIC_NODES_MAX)]
    rule = {"if": [{"in": [{"var": "targetingKey"}, listed]}, "on", "off"]}
    flags = flag_set({"flag": switch(rule)})
    assert flags.evaluate("flag", someone("user-19999")).variant == "on"
    assert flags.evaluate("flag", someone("user-20000")).variant == "off"


def test_a_ramp_has_only_so_many_points() -> None:
    points = [f"2025-12-01T00:00:{number:02d}Z 1" for number in range(60)] * 2
    points = sorted(points)[: RAMP_POINTS_MAX + 1]
    assert mistakes_of({"flag": switch(ramp=",".join(points[:-1]))}) == []
    (found,) = mistakes_of({"flag": switch(ramp=",".join(points))})
    assert found.message == f"not 1 to {RAMP_POINTS_MAX} instants with percents"


def test_a_flag_asks_only_so_many_others() -> None:
    flags: dict[str, Any] = {"flag-0": switch()}
    for number in range(1, 7):  # each asks the one before twice, by way of two others
        for side in ("a", "b"):
            flags[f"{side}-{number}"] = switch(**{f"requires.flag-{number - 1}": "on"})
        needs = {f"requires.{side}-{number}": "on" for side in ("a", "b")}
        flags[f"flag-{number}"] = switch(**needs)
    found = mistakes_of(flags)
    assert {one.message for one in found} == {f"asks more than {REQUIRED_MAX} other flags"}
    chain = {"flag-0": switch(default="on")}
    for number in range(1, REQUIRED_MAX + 1):
        chain[f"flag-{number}"] = switch(default="on", **{f"requires.flag-{number - 1}": "on"})
    assert flag_set(chain).evaluate(f"flag-{REQUIRED_MAX}", someone()).variant == "on"


DOUBLING = [{"var": "accumulator"}, {"var": "accumulator"}]


@pytest.mark.parametrize(
    ("rule", "claimed", "detail"),
    [
        (
            {"all": [{"var": "l"}, {"some": [{"var": "l"}, True]}]},
            {"l": [{"l": [1]}] * WORK_MAX},
            f"more than {WORK_MAX} operations",
        ),
        (
            {"reduce": [{"var": "l"}, {"cat": DOUBLING}, "xx"]},
            {"l": [1] * 40},
            f"a text of more than {TEXT_CHARS_MAX} characters",
        ),
        (
            {"reduce": [{"var": "l"}, {"merge": DOUBLING}, [1, 2]]},
            {"l": [1] * 40},
            f"a list of more than {LIST_ITEMS_MAX} items",
        ),
        (
            {"map": [{"merge": [{"var": "l"}, {"var": "l"}]}, 1]},
            {"l": [1] * LIST_ITEMS_MAX},
            f"a list of more than {LIST_ITEMS_MAX} items",
        ),
        (
            {"reduce": [{"var": "l"}, {"*": DOUBLING}, 3]},
            {"l": [1] * 40},
            f"an integer of more than {INTEGER_BITS_MAX} bits",
        ),
        (  # [[x, x], [x, x]] and so on: few objects, endless text
            {"cat": [{"reduce": [{"var": "l"}, DOUBLING, 1]}]},
            {"l": [1] * 60},
            f"more than {WORK_MAX} operations",
        ),
        (
            {"===": [{"reduce": [{"var": "l"}, DOUBLING, 1]}] * 2},
            {"l": [1] * 60},
            f"more than {WORK_MAX} operations",
        ),
        (
            {"map": [{"var": "l"}, {"cat": ["x" * (TEXT_CHARS_MAX - 9), {"var": ""}]}]},
            {"l": [1] * 100},
            f"more than {WORK_MAX} operations",
        ),
        (
            {"map": [{"var": "l"}, [1] * 1_000]},
            {"l": [1] * 500},
            f"more than {WORK_MAX} operations",
        ),
        (
            {"some": [{"var": "l"}, {"in": [{"var": ""}, "x" * 100_000]}]},
            {"l": ["y"] * 500},
            f"more than {WORK_MAX} operations",
        ),
        (
            {"reduce": [{"var": "l"}, {"substr": ["x" * 100_000, 1]}]},
            {"l": [1] * 500},
            f"more than {WORK_MAX} operations",
        ),
        (
            {"some": [{"var": "l"}, {"var": [{"substr": ["." * 100_000, 1]}]}]},
            {"l": ["y"] * 500},
            f"more than {WORK_MAX} operations",
        ),
        (
            {"missing": {"merge": [{"var": "l"}]}},
            {"l": [1] * LIST_ITEMS_MAX},
            f"more than {WORK_MAX} operations",
        ),
        (
            {"cat": [{"var": "l"}]},
            {"l": ["x" * 1_000] * 100},
            f"a text of more than {TEXT_CHARS_MAX} characters",
        ),
        (
            {"fractional": [{"var": "l"}, ["on", 1]]},
            {"l": {"a": [1] * WORK_MAX}},
            f"more than {WORK_MAX} operations",
        ),
    ],
)  # fmt: skip
def test_a_rule_works_only_so_much(rule: Any, claimed: dict[str, Any], detail: str) -> None:
    flags = flag_set({"flag": switch({"if": [rule, "on", "off"]})})
    found = flags.evaluate("flag", someone(claimed=claimed))
    assert (found.variant, found.reason, found.detail) == (None, ERROR, detail)


def test_values_nested_beyond_pythons_stack_are_an_error_or_an_answer() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    for rule in (
        {"==": [{"var": "deep"}, "1"]},
        {"===": [{"var": "deep"}, [1]]},
        {"in": [{"var": "deep"}, [1]]},
        {"in": [1, {"var": "deep"}]},
        {">": [{"var": "deep"}, 0]},
        {"cat": [{"var": "deep"}]},
        {"fractional": [{"cat": {"var": "deep"}}, ["on", 1]]},
    ):
        flags = flag_set({"flag": switch({"if": [rule, "on", "off"]})})
        found = flags.evaluate("flag", someone(claimed={"deep": deep}))
        assert found.variant in ("on", "off") or found.reason == ERROR
    while isinstance(deep, list):  # or Python would take it apart by recursion
        deep = deep.pop()


def test_long_digits_are_no_number_and_no_index() -> None:
    assert to_number("9" * NUMBER_CHARS_MAX) > 1e300
    assert to_number("9" * (NUMBER_CHARS_MAX + 1)) != to_number("9" * (NUMBER_CHARS_MAX + 1))
    index = "0" * INDEX_CHARS_MAX + "1"
    rule = {"if": [{"==": [{"var": [{"cat": ["l.", index]}, "none"]}, "none"]}, "on", "off"]}
    flags = flag_set({"flag": switch(rule)})
    assert flags.evaluate("flag", someone(claimed={"l": [1, 2]})).variant == "on"
