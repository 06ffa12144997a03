"""An experiment's life: who takes part, what may change meanwhile, and what is kept of it."""

import json
from typing import Any

import asyncpg
import pytest

from axon.experiments import (
    ExperimentInvalid,
    ExperimentNotThen,
    ExperimentsProjector,
    NoResults,
    UnknownExperiment,
)
from axon.flags import Asked, DefinitionInvalid, FlagsProjector
from axon.projection import Positioned
from axon.records import ExperimentChanged, decode
from tests.experiments.scene import DOING, FLAG, NAME, Trying, described

USERS = range(400)


def everybody(trying: Trying) -> dict[int, tuple[str | None, str]]:
    return {user: trying.variant(user) for user in USERS}


async def test_nobody_moves_from_10_to_100_percent(trying: Trying) -> None:
    await trying.started(shares={"off": 5, "on": 5})
    seen = everybody(trying)
    for percent in (25, 50):
        await trying.experiments.widen(DOING, NAME, {"off": percent, "on": percent})
        now = everybody(trying)
        moved = [user for user in USERS if seen[user][1] == "SPLIT" and now[user] != seen[user]]
        assert moved == []
        seen = now
    assert {reason for _, reason in seen.values()} == {"SPLIT"}
    for variant in ("on", "off"):
        assert 150 < sum(one == variant for one, _ in seen.values()) < 250


async def test_what_would_move_somebody_is_refused_while_it_runs(trying: Trying) -> None:
    await trying.define(targeting={"fractional": [["on", 10], ["off", 90]]})
    await trying.started()
    seen = everybody(trying)
    split = {"fractional": [["on", 90], ["off", 10]]}
    for changes, path in (
        ({"targeting": split}, "targeting"),
        ({"variants": {**FLAG["variants"], "on": {}}}, "variants"),
        ({"defaultVariant": "on"}, "defaultVariant"),
        ({"metadata": {"axon.turn": True, "axon.unit": "org"}}, "metadata.axon.unit"),
        ({"metadata": {"axon.turn": True, "axon.bucketing": "v2"}}, "metadata.axon.bucketing"),
        ({"metadata": {"axon.turn": True, "axon.ramp": "2026-01-01T00:00:00Z 1"}},
         "metadata.axon.ramp"),
    ):  # fmt: skip
        whole = {"targeting": {"fractional": [["on", 10], ["off", 90]]}, **changes}
        with pytest.raises(DefinitionInvalid) as refused:
            await trying.define(**whole)
        assert [one.path for one in refused.value.errors] == [f"$.flags.tone.{path}"]
    with pytest.raises(DefinitionInvalid, match="stop that first"):
        await trying.process.change(tone=b"")
    assert everybody(trying) == seen
    same = {"fractional": [["on", 10], ["off", 90]]}
    await trying.define(targeting=same, state="DISABLED")
    assert {reason for _, reason in everybody(trying).values()} == {"DISABLED"}
    await trying.define(targeting=same)
    assert everybody(trying) == seen


async def test_a_shared_rule_that_the_flag_asks_is_frozen_too(trying: Trying) -> None:
    rule = b'{"in":["@example.com",{"var":["email"]}]}'
    await trying.process.change(tone=json.dumps(FLAG).encode())
    content = {
        "flags": {"tone": {**FLAG, "targeting": {"if": [{"$ref": "own"}, "third",
                                                        {"fractional": ["on", "off"]}]}}},
        "$evaluators": {"own": json.loads(rule)},
    }  # fmt: skip
    content["flags"]["tone"]["targeting"]["if"][2] = {"fractional": [["on", 1], ["off", 1]]}
    await trying.process.bring(json.dumps(content).encode())
    await trying.started()
    content["$evaluators"]["own"]["in"][0] = "@example.org"
    with pytest.raises(DefinitionInvalid) as refused:
        await trying.process.bring(json.dumps(content).encode())
    assert [one.path for one in refused.value.errors] == ["$.$evaluators.own"]


async def test_an_allocation_is_nothing_that_an_editor_or_a_roll_back_brings(
    trying: Trying,
) -> None:
    await trying.started()
    running = (await trying.flags.changes.flag("tone")).definition
    await trying.experiments.stop(DOING, NAME, "no difference")
    await trying.process.change(tone=running)
    version = (await trying.flags.changes.flag("tone")).version
    assert b"allocation" not in (await trying.flags.changes.flag("tone")).definition
    await trying.define(state="DISABLED")
    await trying.flags.changes.roll_back(Asked(), "tone", version - 1)
    assert b"allocation" not in (await trying.flags.changes.flag("tone")).definition
    assert trying.variant(7) == ("off", "STATIC")


async def test_the_variant_that_is_shipped_is_everybodys(trying: Trying) -> None:
    await trying.define(targeting={"fractional": [["on", 10], ["off", 90]]})
    await trying.started()
    found = await trying.experiments.stop(DOING, NAME, "it stays", "on")
    assert found.experiment.ships == "on"
    assert set(everybody(trying).values()) == {("on", "STATIC")}
    decided = await trying.experiments.decide(DOING, NAME, "it stays for good")
    assert decided.experiment.decision == "it stays for good"


async def test_places_outlive_the_process_and_valkey(trying: Trying) -> None:
    await trying.started(shares={"off": 20, "on": 20})
    seen = everybody(trying)
    await trying.process.valkey.call("FLUSHALL")
    assert everybody(trying) == seen
    other = await trying.node.process("b")
    try:
        assert everybody(Trying(trying.node, other)) == seen
    finally:
        await other.close()


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"flag": "none"}, "$.flag"),
    ({"control": "third"}, "$.control"),
    ({"shares": {"off": 50, "none": 50}}, "$.shares.none"),
    ({"shares": {"off": 80, "on": 30}}, "$.shares.off"),
    ({"shares": {"off": 80}}, "$.shares"),
    ({"primary": ["happiness"]}, "$.primary[0]"),
    ({"primary": []}, "$.primary"),
    ({"guardrails": [{"metric": "latency"}, {"metric": "latency"}]}, "$.guardrails[1].metric"),
    ({"alpha": 2}, "$.alpha"),
    ({"power": "much"}, "$.power"),
    ({"more": 1}, "$"),
]


async def test_a_mistake_is_told_with_its_path(trying: Trying) -> None:
    for changes, path in MISTAKES:
        with pytest.raises(ExperimentInvalid) as refused:
            await trying.experiments.describe(DOING, NAME, described(**changes))
        assert [one.path for one in refused.value.errors] == [path]


async def test_only_one_runs_on_a_flag_and_each_step_has_its_time(trying: Trying) -> None:
    with pytest.raises(UnknownExperiment):
        await trying.experiments.read(NAME)
    await trying.experiments.describe(DOING, "second", described())
    with pytest.raises(ExperimentNotThen):
        await trying.experiments.stop(DOING, "second", "")
    await trying.started()
    with pytest.raises(ExperimentInvalid, match="runs on it"):
        await trying.experiments.start(DOING, "second")
    with pytest.raises(ExperimentNotThen):
        await trying.experiments.describe(DOING, NAME, described())
    with pytest.raises(ExperimentInvalid, match="may only grow"):
        await trying.experiments.widen(DOING, NAME, {"off": 50, "on": 10})
    with pytest.raises(NoResults):
        await trying.experiments.results(NAME)


async def test_every_step_is_a_record_that_says_who_and_why(trying: Trying) -> None:
    await trying.started()
    await trying.experiments.stop(DOING, NAME, "no")
    entries = list(trying.process.journal.read(after=0))
    records = [decode(entry.kind, entry.payload) for entry in entries]
    steps = [one for one in records if isinstance(one, ExperimentChanged)]
    assert [one.action for one in steps] == ["created", "started", "stopped"]
    assert {(one.credential_id, one.why) for one in steps} == {("key_ada", "to see")}
    history = await trying.experiments.history(NAME)
    assert [one.after for one in history] == [one.after for one in reversed(steps)]
    # A process that died between the record and its tables: the projector does the rest.
    standing = await trying.experiments.read(NAME)
    connection = await asyncpg.connect(trying.node.database)
    try:
        await connection.execute("TRUNCATE experiments.experiments, experiments.history")
        positioned = [
            Positioned(instance="a", sequence=entry.sequence, record=record)
            for entry, record in zip(entries, records, strict=True)
        ]
        for projector in (ExperimentsProjector(), FlagsProjector(), ExperimentsProjector()):
            async with connection.transaction():
                await projector.apply(connection, positioned)
    finally:
        await connection.close()
    assert await trying.experiments.read(NAME) == standing


async def test_a_start_that_was_cut_off_after_its_flag_goes_on(trying: Trying) -> None:
    await trying.started(shares={"off": 5, "on": 5})
    seen = everybody(trying)
    connection = await asyncpg.connect(trying.node.database)
    try:
        await connection.execute("DELETE FROM experiments.history WHERE version = 2")
        await connection.execute(
            "UPDATE experiments.experiments SET version = 1, state = 'draft', content = after"
            " FROM experiments.history h WHERE h.name = experiments.name"
        )
    finally:
        await connection.close()
    again = await trying.experiments.start(DOING, NAME)
    assert again.experiment.state == "running"
    assert everybody(trying) == seen
