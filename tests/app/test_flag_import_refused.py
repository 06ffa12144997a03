"""What cannot be kept of other vendors' flags is refused, with its place and a reason."""

from typing import Any

import pytest

from axon.app.flag_import import FlagFileUnusable, import_flags
from tests.app.imported_flags import RANDOM, feature, imported, of_rules

_NO_GROUP = {"name": "gradualRolloutUserId", "parameters": {"percentage": "5"}}
_RANGE = {"name": "remoteAddress", "parameters": {"IPs": "10.0.0.0/8"}}


def constraint(**members: Any) -> dict[str, Any]:
    named = {"contextName": "plan", "operator": "IN", **members}
    return {"name": "default", "constraints": [named]}


@pytest.mark.parametrize(
    ("document", "path", "why"),
    [
        (feature(RANDOM), "strategies[0].parameters.rollout", "throws dice"),
        (feature(_NO_GROUP), "strategies[0].parameters.groupId", "not a text"),
        (feature(_RANGE), "strategies[0].parameters.IPs", "no ranges of addresses"),
        (feature({"name": "ours"}), "strategies[0].name", "no rule that does the same"),
        (feature({"name": "default", "sometimes": 1}), "strategies[0].sometimes", "not known"),
        (feature({"name": "default", "segments": [3]}), "strategies[0].segments[0]", "segment 3"),
        (feature({"name": "default", "disabled": True}), "strategies[0]", "disabled"),
        (
            feature(constraint(operator="STR_CONTAINS", values=["a"], caseInsensitive=True)),
            "strategies[0].constraints[0].caseInsensitive",
            "without case",
        ),
        (
            feature(constraint(operator="REGEX", value="a")),
            "strategies[0].constraints[0].operator",
            "no rule for REGEX",
        ),
        (
            feature(constraint(contextName="a.b", values=["a"])),
            "strategies[0].constraints[0].contextName",
            "a member of something",
        ),
        (
            feature(constraint(operator="SEMVER_GT", value="one")),
            "",
            "not a semantic version",
        ),
        (feature(enabled="yes"), "enabled", "neither true nor false"),
        (
            feature(dependencies=[{"feature": "g", "enabled": False}]),
            "dependencies[0].enabled",
            "not its absence",
        ),
        (feature(dependencies=[{"feature": "g"}]), "dependencies[0]", "is not imported"),
        (
            feature(variants=[{"name": "a", "weight": 1}, {"name": "a", "weight": 1}]),
            "variants[1].name",
            "another variant",
        ),
        (
            feature(variants=[{"name": "a", "weight": 0}]),
            "variants[0].weight",
            "add up to nothing",
        ),
        (
            feature(
                variants=[
                    {"name": "a", "weight": 1},
                    {"name": "b", "weight": 1, "payload": {"type": "number", "value": "1"}},
                ]
            ),
            "",
            "of kind number",
        ),
    ],
)
def test_what_unleash_alone_can_say_is_refused_with_its_place(
    document: dict[str, Any], path: str, why: str
) -> None:
    _refused("unleash", document, f"$.features[0].{path}".removesuffix("."), why)


@pytest.mark.parametrize(
    ("rule", "path", "why"),
    [
        ({"force": "a", "condition": {"x": {"$regex": "a"}}}, "condition.x.$regex", "$regex"),
        ({"force": "a", "condition": {"x": [1]}}, "condition.x", "no lists"),
        ({"force": "a", "condition": {"x": {"y": 1}}}, "condition.x", "no lists and objects"),
        ({"force": "a", "condition": {"$where": "1"}}, "condition.$where", "$where"),
        ({"force": "a", "condition": {"$or": {}}}, "condition.$or", "not a list"),
        ({"force": "a", "condition": {"x": {"$inGroup": "g"}}}, "condition.x.$inGroup", "no list"),
        ({"force": ["a"]}, "", "not a boolean"),
        ({"force": 1}, "", "of kind"),
        ({"force": "a", "coverage": "half"}, "coverage", "not a number"),
        ({"force": "a", "range": [0]}, "range", "a beginning and an end"),
        ({"variations": ["a", "b"], "ranges": [[0, 0.6], [0.5, 1]]}, "ranges", "overlap"),
        ({"variations": ["a", "b"], "ranges": [[0, 1]]}, "ranges", "more or fewer"),
        ({"variations": ["a", "b"], "fallbackAttribute": "d"}, "fallbackAttribute", "second unit"),
        ({"contextualBanditRef": "b"}, "contextualBanditRef", "not known"),
        (
            {"force": "a", "parentConditions": [{"id": "g", "condition": {"value": 1}}]},
            "parentConditions[0]",
            "cannot ask other flags",
        ),
        (
            {"parentConditions": [{"id": "g", "condition": {"value": 1}, "gate": True}]},
            "parentConditions[0]",
            "is not imported",
        ),
    ],
)
def test_what_growthbook_alone_can_say_is_refused_with_its_place(
    rule: dict[str, Any], path: str, why: str
) -> None:
    where = "" if why in ("of kind", "not a boolean") else f".rules[0].{path}"
    _refused("growthbook", of_rules(rule), f"$.features.f{where}", why)


def _refused(vendor: str, document: dict[str, Any], path: str, why: str) -> None:
    found = imported(vendor, document)
    (refused,) = found.refused
    assert refused.path == path and why in refused.message and '(flag "f")' in refused.message
    assert found.document == {"flags": {}}


def test_who_requires_a_flag_that_is_left_out_is_left_out_too() -> None:
    document = feature(RANDOM)
    for name, other in (("b", "f"), ("c", "b")):
        one = {"name": name, "enabled": True, "dependencies": [{"feature": other}]}
        document["features"].append(one)
    document["features"].append({"name": "alone", "enabled": True, "strategies": []})
    found = imported("unleash", document)
    assert [one.message.partition('(flag "')[2] for one in found.refused] == ['f")', 'b")', 'c")']
    flags: Any = found.document["flags"]
    assert list(flags) == ["alone"]


def test_conditions_have_a_depth() -> None:
    deep: dict[str, Any] = {"x": 1}
    for _ in range(500):
        deep = {"$not": deep}
    (refused,) = imported("growthbook", of_rules({"force": "a", "condition": deep})).refused
    assert "in each other" in refused.message


@pytest.mark.parametrize("vendor", ["unleash", "growthbook"])
@pytest.mark.parametrize("content", [b"", b"[", b"[]", b"5", b'{"features": 5}', b"{}", b"\xff"])
def test_a_file_of_something_else_is_refused(vendor: str, content: bytes) -> None:
    with pytest.raises(FlagFileUnusable):
        import_flags(vendor, content)
