"""Whom an experiment gives which variant: nobody ever moves."""

import json
import random

import pytest

from axon.flags import (
    PLACES,
    Allocation,
    AllocationWrong,
    DefinitionInvalid,
    EvaluationContext,
    Flag,
    place_of,
    read_allocation,
    read_definitions,
    write_allocation,
)

EXPERIMENT = "warmer-words"


def flag(allocation: Allocation | None, **more: object) -> Flag:
    metadata = {"axon.allocation": write_allocation(allocation)} if allocation else {}
    definition = {
        "state": "ENABLED",
        "variants": {"on": 1, "off": 0, "third": 3},
        "defaultVariant": "off",
        "metadata": {**metadata, **more.pop("metadata", {})},  # type: ignore[dict-item]
        **more,
    }
    return read_definitions(json.dumps({"flags": {"tone": definition}}).encode()).flags["tone"]


def asked(found: Flag, key: str, *, tier: str = "", placed: str = "") -> tuple[str | None, str]:
    context = EvaluationContext(now_us=1, targeting_key=key, tier=tier, placed=placed)
    answer = found.evaluate(context)
    return answer.variant, answer.reason


@pytest.mark.parametrize("seed", range(30))
def test_whoever_has_a_variant_keeps_it_whatever_is_raised(seed: int) -> None:
    draw = random.Random(seed)
    rest = draw.choice(["", "off"])
    named = ["on", "third"] if rest else ["on", "third", "off"]
    places = dict.fromkeys(named, 0)
    line = Allocation(EXPERIMENT, rest=rest)
    for _ in range(draw.randint(1, 15)):
        places[draw.choice(named)] += draw.randint(0, PLACES - sum(places.values())) // 2
        before, line = line, line.raised({name: one / 100 for name, one in places.items()})
        had = [before.variant_at(place) for place in range(PLACES)]
        has = [line.variant_at(place) for place in range(PLACES)]
        assert all(one in ("", rest, other) for one, other in zip(had, has, strict=True))
        assert read_allocation(write_allocation(line)) == line
        counts = dict.fromkeys(named, 0)
        for place in range(PLACES):
            if (variant := line.variant_at(place)) in counts:
                counts[variant] += 1
        assert counts == places


@pytest.mark.parametrize(
    ("shares", "variant"),
    [({"on": 9}, "on"), ({}, "on"), ({"on": 60, "third": 41}, "on"), ({"on": 10.001}, "on"),
     ({"on": 20, "third": -1}, "third")],
)  # fmt: skip
def test_a_share_that_falls_or_is_too_large_is_refused(
    shares: dict[str, float], variant: str
) -> None:
    line = Allocation(EXPERIMENT).raised({"on": 10})
    with pytest.raises(AllocationWrong) as refused:
        line.raised(shares)
    assert refused.value.variant == variant


def test_the_control_of_a_rollout_has_what_is_left() -> None:
    line = Allocation(EXPERIMENT, rest="off").raised({"on": 10})
    assert line.shares() == {"on": 1000, "off": 9000}
    with pytest.raises(AllocationWrong, match="whatever the others have not"):
        line.raised({"on": 10, "off": 20})


def test_places_are_for_ever() -> None:
    """A change of these moves everybody in every experiment that runs."""
    assert [place_of(EXPERIMENT, f"{user:016x}") for user in range(6)] == [
        2062,
        6314,
        1348,
        1283,
        1042,
        1989,
    ]
    assert place_of("another", f"{0:016x}") != place_of(EXPERIMENT, f"{0:016x}")


def test_the_experiment_stands_in_place_of_the_split_whatever_its_weights_and_hashing() -> None:
    line = Allocation(EXPERIMENT).raised({"on": 30, "off": 30})
    split = {"fractional": [["on", 99], ["off", 1]]}
    flags = [
        flag(line),
        flag(line, targeting=split),
        flag(line, targeting={"fractional": [["third", 1]]}),
        flag(line, targeting=split, metadata={"axon.bucketing": "v2"}),
    ]
    for user in range(300):
        key = f"{user:016x}"
        variant = line.variant_of(key)
        wanted = (variant, "SPLIT") if variant else ("off", "DEFAULT")
        assert {asked(one, key)[0] for one in flags} == {wanted[0]}
        assert asked(flags[1], key) == wanted


def test_rules_that_split_nobody_go_before_the_experiment() -> None:
    line = Allocation(EXPERIMENT).raised({"on": 50, "off": 50})
    rule = {"if": [{"==": [{"var": "tier"}, "staff"]}, "third", {"fractional": [["on", 1]]}]}
    found = flag(line, targeting=rule)
    assert asked(found, "ada", tier="staff") == ("third", "TARGETING_MATCH")
    assert asked(found, "ada", tier="free") == (line.variant_of("ada"), "SPLIT")


def test_who_was_there_before_signing_in_is_placed_as_then() -> None:
    found = flag(Allocation(EXPERIMENT).raised({"on": 50, "off": 50}))
    for user in range(50):
        as_then = asked(found, f"anonymous {user}")
        assert asked(found, f"user {user}", placed=f"anonymous {user}") == as_then


def test_a_killed_flag_is_off_for_everybody_in_the_experiment() -> None:
    line = Allocation(EXPERIMENT).raised({"on": 50, "off": 50})
    found = flag(line, metadata={"axon.killed": True})
    assert asked(found, "ada") == (None, "DISABLED")


def test_without_a_unit_it_cannot_be_told() -> None:
    line = Allocation(EXPERIMENT).raised({"on": 50, "off": 50})
    found = flag(line, metadata={"axon.unit": "conversation"})
    assert asked(found, "ada") == (None, "ERROR")


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", '{"experiment":"x","parts":[[0,10001,"on"]]}', '{"experiment":"","parts":[]}',
        '{"experiment":"x","parts":[[5,9,"on"],[0,5,"off"]]}',
        '{"experiment":"x","parts":[[0,5,"other"]]}', '{"experiment":"x","more":1}',
    ],
)  # fmt: skip
def test_what_is_no_allocation_is_refused_with_its_path(text: str) -> None:
    definition = {"state": "ENABLED", "variants": {"on": 1, "off": 0}, "defaultVariant": "off"}
    metadata = {"metadata": {"axon.allocation": text}}
    document = json.dumps({"flags": {"tone": {**definition, **metadata}}}).encode()
    with pytest.raises(DefinitionInvalid) as refused:
        read_definitions(document)
    assert refused.value.errors[0].path == '$.flags.tone.metadata["axon.allocation"]'
