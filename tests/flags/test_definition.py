"""Documents: what can be read, and every mistake told at once with its place."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from axon.flags import DISABLED, DefinitionInvalid, read_definitions
from axon.flags.logic import Compiler
from axon.flags.metadata import _READERS, REQUIRES
from axon.flags.operators import OPERATORS
from tests.flags.definitions import flag_set, half, mistakes_of, someone, switch

ROOT = Path(__file__).resolve().parents[2]
NO_VARIANT = '"yes" is no variant of the flag "flag"'
WEIGHT = "a weight is a whole number of at least 0"
SUM, LIMITS = "the weights add up to", "not 1 to 2147483647"
ONE_NAME = "an operation is an object with exactly one name"
FIELDS = "not one of state, variants, defaultVariant, targeting, metadata"


def test_all_mistakes_are_told_at_once_with_their_places() -> None:
    flags = {
        "first": {**switch(), "state": "ON", "varients": {}},
        "a flag": {"state": "ENABLED", "variants": {"x": 1, "y": "z"}, "defaultVariant": "q"},
        "third": switch({"if": [{"nope": 1}, "yes", {"var": ["a", "b", "c"]}]}, unti="user"),
    }
    found = mistakes_of(flags, **{"$evaluators": {"r": {"in": [1]}}, "metadata": [], "flag": 1})
    assert [(path, message) for path, message in found] == [
        ("$.metadata", "not an object"),
        ("$.flag", "not one of $schema, flags, $evaluators, metadata"),
        ("$.$evaluators.r.in", "takes 2 values, not 1"),
        ("$.flags.first.varients", FIELDS),
        ("$.flags.first.state", "neither ENABLED nor DISABLED"),
        ('$.flags["a flag"].variants.y', "of kind string, and others are of kind number"),
        ('$.flags["a flag"].defaultVariant', "no variant of the flag"),
        ("$.flags.third.metadata[\"axon.unti\"]", "there is no such name"),
        ("$.flags.third.targeting.if[0].nope", "there is no such operation"),
        ("$.flags.third.targeting.if[1]", '"yes" is no variant of the flag "third"'),
        ("$.flags.third.targeting.if[2].var", "takes 0 to 2 values, not 3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("targeting", "path", "message"),
    [
        ("yes", "", "not an object"),
        ({"if": [True, "yes"]}, ".if[1]", NO_VARIANT),
        ({"if": [True, "on", "yes"]}, ".if[2]", NO_VARIANT),
        ({"or": [{"var": "a"}, "yes"]}, ".or[1]", NO_VARIANT),
        ({"fractional": [["yes", 1]]}, ".fractional[0][0]", NO_VARIANT),
        ({"if": [True, {"fractional": [["yes"]]}, "on"]}, ".if[1].fractional[0][0]", NO_VARIANT),
        ({"fractional": [["on", 0.5]]}, ".fractional[0][1]", WEIGHT),
        ({"fractional": [["on", -1]]}, ".fractional[0][1]", WEIGHT),
        ({"fractional": [["on", 0]]}, ".fractional", f"{SUM} 0, {LIMITS}"),
        (
            {"fractional": [["on", 2**30], ["off", 2**30]]},
            ".fractional",
            f"{SUM} 2147483648, {LIMITS}",
        ),
        ({"fractional": "email"}, ".fractional", "a split needs variants"),
        (
            {"fractional": [{"var": "email"}, "on"]},
            ".fractional[1]",
            "a variant stands in a list, alone or with its weight",
        ),
        ({"sem_ver": [{"var": "v"}, "=>", "1"]}, ".sem_ver[1]", "not one of = != < <= > >= ^ ~"),
        ({"sem_ver": [{"var": "v"}, "=", "one"]}, ".sem_ver[2]", "not a semantic version"),
        ({"==": [1]}, ".==", "takes 2 values, not 1"),
        ({"!": {"==": [1, 2], "!=": [1, 2]}}, ".!", ONE_NAME),
        ({"var": "$flagd.region"}, ".var", "$flagd says only flagKey and timestamp"),
        ({"$ref": "none"}, ".$ref", 'there is no shared rule "none"'),
        ({"$ref": ["r"]}, ".$ref", "the name of a shared rule is a text"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_targeting(targeting: Any, path: str, message: str) -> None:
    found = mistakes_of({"flag": switch(targeting)})
    path = path.replace(".==", '["=="]').replace(".!", '["!"]')
    assert found == [(f"$.flags.flag.targeting{path}", message)]


def test_a_rule_that_comes_back_to_itself_is_refused() -> None:
    rules = {"a": {"!": {"$ref": "b"}}, "b": {"!": {"$ref": "a"}}}
    found = mistakes_of({"flag": switch({"$ref": "a"})}, **{"$evaluators": rules})
    assert {message for _, message in found} == {
        'the shared rule "a" comes back to itself',
        'the shared rule "b" comes back to itself',
    }


def test_a_mistake_in_a_shared_rule_is_told_once_and_where_it_stands() -> None:
    flags = {f"flag-{number}": switch({"if": [{"$ref": "r"}, "on", "off"]}) for number in range(9)}
    found = mistakes_of(flags, **{"$evaluators": {"r": {"oops": []}}})
    assert found == [("$.$evaluators.r.oops", "there is no such operation")]


@pytest.mark.parametrize(
    ("flag", "path"),
    [
        ([], ""),
        ({"state": "ENABLED"}, ".variants"),
        ({"state": "ENABLED", "variants": {}}, ".variants"),
        ({"state": "ENABLED", "variants": {"a": None}}, ".variants.a"),
        ({"state": "ENABLED", "variants": {"a": [1]}}, ".variants.a"),
        ({"state": "ENABLED", "variants": {"": 1}}, '.variants[""]'),
        ({"variants": {"a": 1}}, ".state"),
        ({**switch(), "defaultVariant": True}, ".defaultVariant"),
        ({**switch(), "targeting": None}, ".targeting"),
        ({**switch(), "metadata": {"owner": None}}, ".metadata.owner"),
        ({**switch(), "variants": {"on": True, "off": 2**53}}, ".variants.off"),
    ],
)
def test_what_is_wrong_with_a_flag(flag: Any, path: str) -> None:
    assert f"$.flags.flag{path}" in [found.path for found in mistakes_of({"flag": flag})]


@pytest.mark.parametrize(
    "document",
    [
        b"", b"{", b"[]", b"7", b"{}", b'{"flags":[]}', b'{"flags":{}} x', b"\xff{}",
        b'{"flags":{},"metadata":{"a":NaN}}', b'{"flags":{},"metadata":{"a":1e999}}',
        b'{"flags":{},"metadata":{"a":"\\ud800"}}', b"[" * 100_000, b'{"flags":{"":{}}}',
        b"9" * 5_000,
    ],
)  # fmt: skip
def test_what_is_no_document(document: bytes) -> None:
    with pytest.raises(DefinitionInvalid):
        read_definitions(document)


def test_names_that_stand_twice_are_told() -> None:
    flag = json.dumps(switch())
    with pytest.raises(DefinitionInvalid) as refused:
        read_definitions(f'{{"flags": {{"a": {flag}, "b": {flag}, "a": {flag}}}}}'.encode())
    assert refused.value.errors == (("$.flags", "names stand twice: a"),)
    assert str(refused.value) == (
        "The flag definitions cannot be used. ($.flags: names stand twice: a)"
    )


def test_what_flagd_writes_itself_can_be_read() -> None:
    exported = {**switch(default="on"), "source": "file.json", "selector": "set=a"}
    flags = flag_set({"flag": exported}, **{"$schema": "https://flagd.dev/schema/v0/flags.json"})
    assert flags.evaluate("flag", someone()).variant == "on"


def test_metadata_of_the_set_holds_for_every_flag_that_says_nothing_else() -> None:
    flags = flag_set(
        {"a": half(), "b": half(bucketing="v3")},
        metadata={"axon.bucketing": "v2", "team": "search"},
    )
    assert flags.metadata == {"axon.bucketing": "v2", "team": "search"}
    first, second = flags.evaluate_all(someone())
    assert (first.bucketing_version, second.bucketing_version) == ("v2", "v3")
    assert second.metadata == {"axon.bucketing": "v3", "team": "search"}


def test_an_empty_document_holds_no_flags() -> None:
    assert flag_set({}).evaluate_all(someone()) == []


def test_the_documents_example_and_names_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "flag-definitions.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    flags = read_definitions(example.encode())
    assert flags.evaluate("assistant-model", someone()).reason == DISABLED  # it begins later
    table = page.partition("## What `metadata` can say")[2].partition("##")[0]
    names = set(re.findall(r"`(axon\.[a-z_]+\.?)", table.partition("|---|")[2]))
    assert names == {*_READERS, REQUIRES}
    operations = page.partition("Operations: ")[2].partition("They mean")[0]
    named = set(re.findall(r"`([^`]+)`", operations))
    assert named == {*OPERATORS, *Compiler._SPECIAL}
