"""What a variant may do to a turn: its shape, its bounds, and two flags that name the same."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from axon.flags import NO_EFFECT, TurnEffect, joined, read_definitions
from axon.flags.definition import TURN_FLAGS_MAX
from axon.flags.turn_effect import SYSTEM_CHARS_MAX
from tests.flags.definitions import flag_set, mistakes_of, switch
from tests.turns.flagged import turn_flag

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("effect", "path"),
    [
        ({"model": ""}, ".model"),
        ({"model": 5}, ".model"),
        ({"system": {}}, ".system"),
        ({"system": {"text": "x" * (SYSTEM_CHARS_MAX + 1)}}, ".system.text"),
        ({"system": {"text": "x", "replace": "yes"}}, ".system.replace"),
        ({"sampling": {"temperature": 2.1}}, ".sampling.temperature"),
        ({"sampling": {"top_p": -0.1}}, ".sampling.top_p"),
        ({"sampling": {"seed": 1.5}}, ".sampling.seed"),
        ({"sampling": {"output_tokens_max": 0}}, ".sampling.output_tokens_max"),
        ({"tools": "off"}, ".tools"),
        ({"safety": "Very strict"}, ".safety"),
        ({"use_rag": 1}, ".use_rag"),
        ({"prompt": "x"}, ""),
        ({"sampling": {"temprature": 1}}, ".sampling"),
    ],
)
def test_what_a_variant_cannot_do_is_refused_with_its_path(
    effect: dict[str, Any], path: str
) -> None:
    (mistake,) = mistakes_of({"tone": turn_flag(effect)})
    assert mistake.path == f"$.flags.tone.variants.on{path}"
    assert mistakes_of({"tone": {**turn_flag(effect), "metadata": {}}}) == []


def test_every_variant_of_a_flag_for_turns_is_an_object() -> None:
    assert {one.path for one in mistakes_of({"tone": switch(turn=True)})} == {
        "$.flags.tone.variants.on",
        "$.flags.tone.variants.off",
    }
    (mistake,) = mistakes_of({"tone": turn_flag({}, metadata={"axon.turn": "yes"})})
    assert mistake.path == '$.flags.tone.metadata["axon.turn"]'


def test_flags_for_turns_are_known_apart_and_in_order() -> None:
    flags = flag_set(
        {
            "b": turn_flag({"model": "m"}),
            "plain": switch(),
            "off": {**turn_flag({}), "state": "DISABLED"},
            "killed": turn_flag({}, metadata={"axon.turn": True, "axon.killed": True}),
            "a": turn_flag({}),
        }
    )
    assert [flag.key for flag in flags.turn_flags] == ["a", "b"]
    effects = flags.flags["b"].effects
    assert effects["on"] == TurnEffect(model="m") and effects["off"] is NO_EFFECT


def test_there_is_a_bound_of_flags_for_turns() -> None:
    flags = {f"flag-{number}": turn_flag({}) for number in range(TURN_FLAGS_MAX)}
    assert mistakes_of(flags) == []
    (mistake,) = mistakes_of({**flags, "one-more": turn_flag({})})
    assert mistake.path == "$.flags"
    before = flag_set(flags)
    again = json.dumps({"flags": {**flags, "one-more": switch()}}).encode()
    assert len(read_definitions(again, before).turn_flags) == TURN_FLAGS_MAX


def test_the_first_of_two_that_name_the_same_decides_it() -> None:
    first = TurnEffect(model="one", tools=True, use_rag=False)
    second = TurnEffect(model="two", tools=False, safety="strict", use_rag=True)
    assert joined(first, second) == TurnEffect(
        model="one", tools=True, safety="strict", use_rag=False
    )
    assert joined(NO_EFFECT, second) == second == joined(second, NO_EFFECT)


def test_the_documents_example_can_be_read() -> None:
    page = (ROOT / "docs" / "flags.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    flags = read_definitions(example.encode())
    assert [flag.key for flag in flags.turn_flags] == ["assistant-prompt"]
    table = page.partition("| member | what it does |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(TurnEffect.__struct_fields__)
