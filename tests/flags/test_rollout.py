"""To whom and when a flag applies: kill switch, windows, prerequisites, holdouts, layers, ramps."""

from typing import Any

import pytest

from axon.flags import DISABLED, ERROR, SPLIT, STATIC, TARGETING_KEY_MISSING
from tests.flags.definitions import (
    DAY_US,
    NOON_US,
    flag_set,
    half,
    mistakes_of,
    people,
    someone,
    switch,
)

PEOPLE = 10_000


def on_for(flags: dict[str, Any], key: str, now_us: int = NOON_US) -> set[str]:
    """Return for whom of PEOPLE the flag is on."""
    made = flag_set(flags)
    keys = (f"user-{number}" for number in range(PEOPLE))
    return {one for one in keys if made.evaluate(key, someone(one, now_us=now_us)).variant == "on"}


def test_a_killed_flag_is_off_whatever_else_is_said() -> None:
    found = flag_set({"flag": switch(default="on", killed=True)}).evaluate("flag", someone())
    assert (found.variant, found.reason, found.detail) == (None, DISABLED, "it was killed")
    assert flag_set({"flag": switch(default="on", killed=False)}).evaluate("flag", someone()).value


def test_the_whole_set_can_be_killed() -> None:
    flags = flag_set({"a": half(), "b": switch()}, metadata={"axon.killed": True})
    assert {found.reason for found in flags.evaluate_all(someone())} == {DISABLED}


def test_a_window_opens_at_its_start_and_closes_at_its_end() -> None:
    window = {"starts": "2025-12-01T13:00:00+01:00", "ends": "2025-12-02T12:00:00Z"}
    flags = flag_set({"flag": switch(default="on", **window)})
    at = {
        NOON_US - 1: ("", DISABLED, "it has not started"),
        NOON_US: ("on", STATIC, ""),
        NOON_US + DAY_US - 1: ("on", STATIC, ""),
        NOON_US + DAY_US: ("", DISABLED, "it has ended"),
    }
    for now_us, expected in at.items():
        found = flags.evaluate("flag", someone(now_us=now_us))
        assert (found.variant or "", found.reason, found.detail) == expected


def test_a_flag_is_on_only_with_what_it_requires() -> None:
    needy = switch(default="on", **{"requires.base": "on", "requires.tier": "gold, silver"})
    tier = {
        "state": "ENABLED",
        "variants": {"gold": 1, "silver": 2, "none": 3},
        "targeting": {"var": "tier"},
    }
    flags = flag_set({"needy": needy, "base": half(), "tier": tier})
    for person in people(50):
        based = flags.evaluate("base", person).variant
        for name in ("gold", "silver", "none", ""):
            found = flags.evaluate("needy", someone(person.targeting_key, tier=name))
            assert (found.variant == "on") == (based == "on" and name in ("gold", "silver"))
            if found.variant is None:
                missing = "base" if based != "on" else "tier"
                assert found.reason == DISABLED
                assert found.detail == f'it requires another "{missing}"'


def test_what_is_required_must_be_there_and_must_not_come_back() -> None:
    flags = {
        "a": switch(**{"requires.b": "on"}),
        "b": switch(**{"requires.c": "on"}),
        "c": switch(**{"requires.a": "on"}),
        "d": switch(**{"requires.a": "yes", "requires.none": "on"}),
        "e": switch(**{"requires.e": "on"}),
    }
    assert mistakes_of(flags) == [
        ('$.flags.d.metadata["axon.requires.a"]', '"yes" is no variant of the flag "a"'),
        ('$.flags.d.metadata["axon.requires.none"]', 'there is no flag "none"'),
        *[
            (f"$.flags.{key}.metadata", "what it requires comes back to itself")
            for key in ("a", "b", "c", "d", "e")
        ],
    ]


def test_a_holdout_keeps_the_same_people_from_every_flag() -> None:
    held = {"holdout": "quiet", "holdout_percent": 10}
    flags = {"a": switch(default="on", **held), "b": switch(default="on", **held)}
    without = on_for(flags, "a")
    assert without == on_for(flags, "b")
    assert 0.88 * PEOPLE < len(without) < 0.92 * PEOPLE
    made = flag_set(flags)
    out = next(person for person in people(PEOPLE) if person.targeting_key not in without)
    found = made.evaluate("a", out)
    assert (found.variant, found.reason, found.detail) == (None, DISABLED, 'held out by "quiet"')


def test_nobody_is_in_two_flags_of_a_layer() -> None:
    flags = {
        "a": switch(default="on", layer="answers", layer_from=0, layer_to=30),
        "b": switch(default="on", layer="answers", layer_from=30, layer_to=100),
        "c": switch(default="on", layer="other", layer_from=0, layer_to=30),
    }
    first, second, other = (on_for(flags, key) for key in flags)
    assert not first & second
    assert len(first | second) == PEOPLE
    assert 0.28 * PEOPLE < len(first) < 0.32 * PEOPLE
    assert 0.07 * PEOPLE < len(first & other) < 0.11 * PEOPLE  # layers know nothing of each other


def test_a_layer_places_first_and_the_split_then_halves_what_is_left() -> None:
    flags = {"a": half(layer="answers", layer_from=0, layer_to=20)}
    assert 0.09 * PEOPLE < len(on_for(flags, "a")) < 0.11 * PEOPLE


@pytest.mark.parametrize(
    ("part", "unit", "name", "message"),
    [
        ((29, 40), "user", "layer_from", 'shares a part of the layer "l" with the flag "a"'),
        ((30, 40), "org", "unit", 'the layer "l" places another unit: a'),
        ((40, 40), "user", "layer_to", "not above axon.layer_from: no part of the layer is left"),
    ],
)
def test_parts_of_a_layer_stay_apart(
    part: tuple[int, int], unit: str, name: str, message: str
) -> None:
    second = switch(layer="l", layer_from=part[0], layer_to=part[1], unit=unit)
    flags = {"a": switch(layer="l", layer_from=0, layer_to=30), "b": second}
    assert mistakes_of(flags) == [(f'$.flags.b.metadata["axon.{name}"]', message)]


def test_a_holdout_is_one_thing_in_all_flags() -> None:
    flags = {
        "a": switch(holdout="h", holdout_percent=5),
        "b": switch(holdout="h", holdout_percent=6, unit="org"),
        "c": switch(holdout="i"),
    }
    assert mistakes_of(flags) == [
        ('$.flags.c.metadata["axon.holdout"]', "holds nobody out without axon.holdout_percent"),
        ('$.flags.b.metadata["axon.holdout_percent"]', '"h" has another percent in a'),
        ('$.flags.b.metadata["axon.unit"]', 'the holdout "h" places another unit: a'),
    ]


def test_a_ramp_grows_and_nobody_who_is_in_leaves() -> None:
    ramp = (
        "2025-12-01T12:00:00Z 10, 2025-12-02T12:00:00Z 10,"
        "2025-12-02T12:00:00Z 50, 2025-12-04T12:00:00Z 100%"
    )
    flags = {"flag": switch(default="on", ramp=ramp)}
    steps = {-1: 0, 0: 10, DAY_US - 1: 10, DAY_US: 50, 2 * DAY_US: 75, 3 * DAY_US: 100}
    before: set[str] = set()
    for after_us, percent in steps.items():
        inside = on_for(flags, "flag", NOON_US + after_us)
        assert before <= inside
        assert abs(len(inside) - PEOPLE * percent / 100) <= 0.02 * PEOPLE
        before = inside
    assert len(before) == PEOPLE


def test_a_wider_ramp_keeps_everybody() -> None:
    narrow = {"flag": switch(default="on", ramp="2025-01-01T00:00:00Z 10")}
    wide = {"flag": switch(default="on", ramp="2025-01-01T00:00:00Z 50")}
    assert on_for(narrow, "flag") < on_for(wide, "flag")


def test_the_ramp_reaches_both_sides_of_a_split_evenly() -> None:
    flags = flag_set({"flag": half(ramp="2025-01-01T00:00:00Z 20")})
    found = [flags.evaluate("flag", person) for person in people(PEOPLE)]
    on = sum(one.variant == "on" for one in found)
    off = sum(one.variant == "off" for one in found)
    assert 0.18 * PEOPLE < on + off < 0.22 * PEOPLE and 0.45 < on / (on + off) < 0.55
    assert {one.detail for one in found if one.variant is None} == {"the ramp has not reached it"}


@pytest.mark.parametrize("placing", ["layer", "holdout", "ramp"])
def test_a_unit_that_is_not_known_cannot_be_placed(placing: str) -> None:
    placings: dict[str, dict[str, Any]] = {
        "layer": {"layer": "l", "layer_from": 0, "layer_to": 100},
        "holdout": {"holdout": "h", "holdout_percent": 1},
        "ramp": {"ramp": "2025-01-01T00:00:00Z 100"},
    }
    flags = flag_set({"flag": half(unit="org", **placings[placing])})
    found = flags.evaluate("flag", someone())
    assert (found.variant, found.reason, found.error_code) == (None, ERROR, TARGETING_KEY_MISSING)
    assert found.detail == "the org is not known"
    assert flags.evaluate("flag", someone(org="o-1")).reason in (SPLIT, DISABLED)


def test_half_a_character_places_nobody() -> None:
    flags = flag_set({"flag": half(ramp="2025-01-01T00:00:00Z 100"), "v2": half(bucketing="v2")})
    assert {found.reason for found in flags.evaluate_all(someone("\ud800"))} == {ERROR}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bucketing", "v4"), ("bucketing", 3), ("unit", "team"), ("killed", "yes"),
        ("starts", "2025-12-01"), ("starts", "2025-12-01T00:00:00"), ("ends", 7),
        ("requires.a", ""), ("requires.a", "on,"), ("requires.a", True),
        ("holdout", ""), ("holdout_percent", 101), ("holdout_percent", True),
        ("layer", 7), ("layer_to", -1), ("ramp", ""), ("ramp", "10"), ("ramp", 10),
        ("ramp", "2025-12-01T00:00:00Z"), ("ramp", "2025-12-01T00:00:00Z 101"),
        ("ramp", "2025-12-01T00:00:00Z 1e999"), ("ramp", "2025-12-01T00:00:00Z nan"),
        ("ramp", "2025-12-02T00:00:00Z 1, 2025-12-01T00:00:00Z 2"), ("experiment", 1),
    ],
)  # fmt: skip
def test_what_our_metadata_cannot_say(name: str, value: Any) -> None:
    found = mistakes_of({"a": switch(), "flag": switch(**{name: value})})
    assert [path for path, _ in found] == [f'$.flags.flag.metadata["axon.{name}"]']


def test_a_window_ends_after_it_starts() -> None:
    window = {"starts": "2025-12-02T00:00:00Z", "ends": "2025-12-01T00:00:00Z"}
    assert mistakes_of({"flag": switch(**window)}) == [
        ('$.flags.flag.metadata["axon.ends"]', "it ends before it starts")
    ]
