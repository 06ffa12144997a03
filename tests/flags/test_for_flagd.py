"""What readers of flagd's own format are told of our flags."""

import json
from typing import Any

import pytest

from axon.flags import DefinitionInvalid, for_flagd

SPLIT = {"fractional": [["on", 50], ["off", 50]]}


def flag(targeting: object = None, **metadata: object) -> bytes:
    found = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
    targets = {} if targeting is None else {"targeting": targeting}
    return json.dumps({**found, **targets, "metadata": metadata}).encode()


def told(
    definitions: dict[str, bytes], hashing: str = "v3"
) -> tuple[dict[str, Any], dict[str, str]]:
    document, left_out = for_flagd(definitions, hashing)
    return json.loads(document)["flags"], left_out


def test_what_flagd_decides_alike_is_told_as_it_is() -> None:
    region = {"if": [{"==": [{"var": "region"}, "eu"]}, "on", "off"]}
    flags, left_out = told(
        {
            "plain": flag(),
            "region": flag(region, team="a"),
            "split": flag(SPLIT, **{"axon.bucketing": "v3"}),
        }
    )
    assert set(flags) == {"plain", "region", "split"} and left_out == {}
    assert flags["region"]["targeting"] == region
    assert flags["region"]["metadata"]["team"] == "a"


def test_a_killed_flag_is_a_disabled_one_whatever_else_it_says() -> None:
    killed = flag(SPLIT, **{"axon.killed": True, "axon.ramp": "2026-12-01T09:00:00Z 10"})
    flags, left_out = told({"killed": killed})
    assert flags["killed"]["state"] == "DISABLED" and left_out == {}


def test_people_are_placed_in_one_way_only() -> None:
    rule = json.dumps(SPLIT).encode()
    definitions = {
        "old": flag(SPLIT, **{"axon.bucketing": "v2"}),
        "new": flag(SPLIT),
        "old-by-rule": flag({"$ref": "halves"}, **{"axon.bucketing": "v2"}),
        "old-unsplit": flag({"var": "wanted"}, **{"axon.bucketing": "v2"}),
        "$halves": rule,
    }
    flags, left_out = told(definitions)
    assert set(flags) == {"new", "old-unsplit"}
    assert set(left_out) == {"old", "old-by-rule"} and "v2" in left_out["old"]
    flags, left_out = told(definitions, "v2")
    assert set(flags) == {"old", "old-by-rule", "old-unsplit"} and set(left_out) == {"new"}


@pytest.mark.parametrize(
    "metadata",
    [
        {"axon.starts": "2026-12-01T09:00:00Z"},
        {"axon.ends": "2026-12-01T09:00:00Z"},
        {"axon.requires.plain": "on"},
        {"axon.holdout": "rest", "axon.holdout_percent": 5},
        {"axon.layer": "line", "axon.layer_from": 0, "axon.layer_to": 50},
        {"axon.ramp": "2026-12-01T09:00:00Z 10"},
    ],
)
def test_what_axon_alone_decides_is_left_out_and_said(metadata: dict[str, object]) -> None:
    flags, left_out = told({"plain": flag(), "gated": flag(**metadata)})
    assert set(flags) == {"plain"} and left_out["gated"]


def test_what_cannot_be_read_is_not_told() -> None:
    with pytest.raises(DefinitionInvalid):
        for_flagd({"broken": b'{"state": "ON"}'}, "v3")
