"""`axon flags import --from`: flags of others answer as they did, or are refused with a reason."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from axon.app.cli.main import axon
from axon.app.flag_import import FlagFileUnusable, Imported
from axon.base import AxonError
from axon.flags import EvaluationContext, FlagSet, read_definitions
from tests.app.imported_flags import (
    ANSWERS_OF_GROWTHBOOK,
    ANSWERS_OF_UNLEASH,
    GROWTHBOOK,
    UNLEASH,
    Case,
    feature,
    imported,
    of_rules,
)

NOW_US = 1_764_547_200_000_000
VENDORS_PYTHON = Path(__file__).parents[2] / ".venv-flags" / "bin" / "python"


def flags_of(found: Imported) -> FlagSet:
    return read_definitions(json.dumps(found.document).encode())


def context_of(flat: dict[str, Any], person: str) -> EvaluationContext:
    claimed = {name: value for name, value in flat.items() if name != person}
    return EvaluationContext(now_us=NOW_US, targeting_key=flat.get(person, ""), claimed=claimed)


def shares(vendor: str, document: dict[str, Any], people: int = 4_000) -> dict[Any, float]:
    """Return which part of people gets each answer of the flag `f`."""
    flags = flags_of(imported(vendor, document))
    counts: dict[Any, float] = {}
    for number in range(people):
        context = EvaluationContext(now_us=NOW_US, targeting_key=f"user-{number}")
        value = flags.evaluate("f", context).value
        counts[value] = counts.get(value, 0) + 1 / people
    return counts


@pytest.mark.parametrize("case", ANSWERS_OF_UNLEASH)
def test_unleashs_flags_answer_as_they_did(case: Case) -> None:
    flags = flags_of(imported("unleash", UNLEASH))
    context = context_of(case.context, "userId")
    assert {key: flags.evaluate(key, context).value for key in case.answers} == case.answers


@pytest.mark.parametrize("case", ANSWERS_OF_GROWTHBOOK)
def test_growthbooks_flags_answer_as_they_did(case: Case) -> None:
    flags = flags_of(imported("growthbook", GROWTHBOOK))
    context = context_of(case.context, "id")
    assert {key: flags.evaluate(key, context).value for key in case.answers} == case.answers


@pytest.mark.skipif(not VENDORS_PYTHON.exists(), reason="`make bench-flags` installs the clients")
def test_the_vendors_own_clients_say_what_is_written_down(tmp_path: Path) -> None:
    asked = [str(VENDORS_PYTHON), "-m", "tests.app.vendors_answers", str(tmp_path)]
    root = VENDORS_PYTHON.parents[2]
    environment = {"PYTHONPATH": "src:."}
    done = subprocess.run(
        asked, cwd=root, env=environment, capture_output=True, check=True, timeout=60
    )
    assert done.stdout == b""


def test_a_rollout_keeps_its_share_and_its_group_its_people() -> None:
    half = {"rollout": "50", "stickiness": "userId", "groupId": "g"}
    found = shares("unleash", feature({"name": "flexibleRollout", "parameters": half}))
    assert found[True] == pytest.approx(0.5, abs=0.04)
    document = feature({"name": "flexibleRollout", "parameters": half})
    other = {"name": "gradualRolloutUserId", "parameters": {"percentage": "20", "groupId": "g"}}
    document["features"].append({"name": "less", "enabled": True, "strategies": [other]})
    flags = flags_of(imported("unleash", document))
    for number in range(500):
        context = EvaluationContext(now_us=NOW_US, targeting_key=f"user-{number}")
        # Who is among the 20 percent of a group is among its 50 percent.
        assert flags.evaluate("f", context).value or not flags.evaluate("less", context).value
    assert flags.evaluate("f", EvaluationContext(now_us=NOW_US)).value is False


def test_variants_keep_their_weights_whoever_is_in() -> None:
    half = {"rollout": "50", "stickiness": "userId", "groupId": "f"}
    parts = [("a", 250), ("b", 750)]
    variants = [{"name": name, "weight": weight, "stickiness": "userId"} for name, weight in parts]
    strategy = {"name": "flexibleRollout", "parameters": half, "variants": variants}
    found = shares("unleash", feature(strategy))
    assert found[None] == pytest.approx(0.5, abs=0.04)
    assert found["a"] == pytest.approx(0.125, abs=0.03)


def test_an_experiment_keeps_coverage_and_weights_and_lets_others_go_on() -> None:
    rule = {"variations": ["a", "b"], "weights": [0.25, 0.75], "coverage": 0.4}
    found = shares("growthbook", of_rules(rule, {"force": "rest", "coverage": 0.5, "seed": "s"}))
    assert found["a"] == pytest.approx(0.1, abs=0.02)
    assert found["b"] == pytest.approx(0.3, abs=0.03)
    assert found["rest"] == pytest.approx(0.3, abs=0.03)
    ranges = {"variations": ["a", "b"], "ranges": [[0.9, 1], [0, 0.2]]}
    found = shares("growthbook", of_rules(ranges))
    assert found["a"] == pytest.approx(0.1, abs=0.02) and found["b"] == pytest.approx(0.2, abs=0.03)
    unequal = {"variations": ["a", "b"], "weights": [0.2, 0.2]}
    assert shares("growthbook", of_rules(unequal))["a"] == pytest.approx(0.5, abs=0.04)


def test_nobody_is_in_two_parts_of_a_namespace() -> None:
    first = {"variations": ["a", "b"], "namespace": ["n", 0, 0.5]}
    document = of_rules(first)
    second = {**first, "namespace": ["n", 0.5, 1]}
    filters = {"force": "x", "filters": [{"seed": "n", "ranges": [[0, 0.3], [0.5, 0.6]]}]}
    document["features"]["g"] = {"defaultValue": "none", "rules": [second]}
    document["features"]["h"] = {"defaultValue": "none", "rules": [filters]}
    flags = flags_of(imported("growthbook", document))
    counts = [0, 0, 0]
    for number in range(2_000):
        context = EvaluationContext(now_us=NOW_US, targeting_key=f"user-{number}")
        values = [flags.evaluate(key, context).value for key in "fgh"]
        assert (values[0] == "none") is not (values[1] == "none")
        counts = [count + (one != "none") for count, one in zip(counts, values, strict=True)]
    assert counts == pytest.approx([1_000, 1_000, 800], abs=80)


def test_what_will_not_be_as_it_was_is_told_once_with_its_place() -> None:
    half = {"name": "flexibleRollout", "parameters": {"rollout": "50"}, "segments": [1]}
    document = feature(half)
    document["features"].append({"name": "g", "enabled": False, "strategies": [half]})
    region = {"contextName": "region", "operator": "IN", "values": ["eu"]}
    document["segments"] = [{"id": 1, "constraints": [region]}]
    found = imported("unleash", document)
    told = [(path, message.partition(" ")[0]) for path, message in found.notes]
    at = "$.features[{}].strategies[0].parameters.rollout"
    assert told == [
        ("$.segments[0].constraints[0].contextName", '"region"'),
        (at.format(0), "who"),
        (at.format(0), "people"),
        ("$.features[1].enabled", "who"),
        (at.format(1), "who"),
        (at.format(1), "people"),
    ]
    document = dict(found.document)
    assert document["flags"]["g"]["state"] == "DISABLED"
    assert list(document["$evaluators"]) == ["unleash-segment-1"]


def test_a_flag_that_is_required_twice_must_answer_both() -> None:
    gates = [{"id": "f", "gate": True, "condition": {"value": {"$ne": one}}} for one in "ab"]
    document = of_rules({"force": "a", "condition": {"x": 1}}, {"force": "b"}, default="c")
    document["features"]["g"] = {"defaultValue": 1, "rules": [{"parentConditions": gates}]}
    flags: Any = imported("growthbook", document).document["flags"]
    assert flags["g"]["metadata"] == {"axon.requires.f": "c"}


def test_everybody_is_in_an_experiment_without_a_split() -> None:
    rule = {"variations": ["a", "b"], "weights": [0.5, 0.5]}
    flags: Any = imported("growthbook", of_rules(rule)).document["flags"]
    asked, *_ = flags["f"]["targeting"]["if"]
    assert asked == {"!!": [{"var": "targetingKey"}]}


def test_an_export_of_the_console_says_the_same() -> None:
    exported = copy.deepcopy(UNLEASH)
    exported["featureStrategies"], exported["featureEnvironments"] = [], []
    exported["dependencies"] = []
    for one in exported["features"]:
        at = {"featureName": one["name"]}
        strategies = list(enumerate(one.pop("strategies")))
        for order, strategy in reversed(strategies):
            exported["featureStrategies"].append({**at, **strategy, "sortOrder": order})
        state = {"enabled": one.pop("enabled"), "variants": one.pop("variants", [])}
        exported["featureEnvironments"].append({**at, "environment": "production", **state})
        needs = one.pop("dependencies", [])
        exported["dependencies"].append({"feature": one["name"], "dependencies": needs})
    assert imported("unleash", exported).document == imported("unleash", UNLEASH).document
    exported["segments"] = [{"id": 7, "name": "pros in the beta"}]
    (refused,) = imported("unleash", exported).refused
    assert "who is in segment 7" in refused.message and "/api/client/features" in refused.message
    exported["featureEnvironments"] *= 2
    with pytest.raises(FlagFileUnusable, match="several environments"):
        imported("unleash", exported)


def test_the_command_shows_what_it_would_make_and_asks_no_axon(tmp_path: Path) -> None:
    file = tmp_path / "features.json"
    file.write_text(json.dumps(GROWTHBOOK))
    words = ["flags", "import", "--from", "growthbook", str(file), "--dry-run"]
    done = CliRunner().invoke(axon, words)
    assert done.exit_code == 0
    assert "would make limits (number, on): 10, 50, 20, 30" in done.stdout
    assert "note: $.features.words.rules[1]: people are placed anew" in done.stderr
    assert 'Axon hashes otherwise (flag "words")' in done.stderr
    shown = CliRunner().invoke(axon, [*words, "--json"])
    assert json.loads(shown.stdout) == imported("growthbook", GROWTHBOOK).document
    file.write_text(json.dumps(of_rules({"force": "a", "condition": {"x": {"$regex": "a"}}})))
    refused = CliRunner().invoke(axon, words)
    assert refused.exit_code == 1 and "refused: $.features.f.rules[0]" in refused.stderr
    whole = CliRunner().invoke(axon, words[:-1])
    assert isinstance(whole.exception, AxonError) and "--leave-out" in str(whole.exception.__doc__)
