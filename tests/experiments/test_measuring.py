"""What the sums say of turns, held against plain Python over the same turns."""

import random
from collections import defaultdict
from typing import Any

import asyncpg
import pytest

from axon.base import user_number
from axon.experiments import COUNTED, Measured, measure
from axon.statistics import Moments
from tests.experiments.scene import DOING, NAME, Trying

DAY_US = 86_400_000_000
EXTRA = ("retention_1", "event:order", "event:order#value")


async def measured(trying: Trying, now_us: int | None = None) -> Measured:
    standing = await trying.experiments.read(NAME)
    connection = await asyncpg.connect(trying.node.database)
    try:
        identity = trying.node.keyring.identity
        now_us = now_us or trying.node.clock.now_us() + 1
        return await measure(connection, standing.experiment, identity, now_us)
    finally:
        await connection.close()


async def started(trying: Trying) -> int:
    """Start with every metric; return the instant from which turns count."""
    await trying.started(primary=[*COUNTED, *EXTRA])
    standing = await trying.experiments.read(NAME)
    return standing.experiment.allocated_us


def made_turns(since_us: int, draw: random.Random) -> list[dict[str, Any]]:
    """Return turns of forty people, each with one variant."""
    variants = {user: draw.choice(["on", "off"]) for user in range(1, 41)}
    return [
        {
            "turn_id": f"resp_{user}_{number}",
            "user": user,
            "variant": variant,
            "at_us": since_us + draw.randint(0, 2 * DAY_US),
            "status": draw.choice(["completed", "completed", "failed"]),
            "first_us": draw.choice([0, 500, 900]),
            "took_us": draw.randint(1000, 9000),
            "cost": draw.randint(0, 10**12),
            "input": draw.randint(1, 1000),
            "output": draw.randint(1, 1000),
            "refused": draw.random() < 0.2,
            "conversation": draw.choice(["", "conv_a", "conv_b"]),
        }
        for user, variant in variants.items()
        for number in range(draw.randint(1, 4))
    ]


def plain(turns: list[dict[str, Any]], before: dict[int, tuple[int, int]]) -> dict[str, Any]:
    """Return x and y of each unit, by metric and variant."""
    by_user = defaultdict(list)
    for turn in turns:
        by_user[turn["user"]].append(turn)
    found: dict[str, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for user, own in by_user.items():
        good = [one for one in own if one["status"] != "failed"]
        spoke = [one for one in own if one["first_us"]]
        talks = [one["conversation"] for one in own if one["conversation"]]
        earlier = before.get(user, (0, 0))
        cost = sum(one["cost"] for one in own)
        days = {one["at_us"] // DAY_US for one in own}
        first = min(one["at_us"] for one in own)
        values = {
            "cost_per_turn": (cost, len(own)),
            "cost_per_unit": (cost, earlier[1]),
            "input_tokens": (sum(one["input"] for one in own), len(own)),
            "output_tokens": (sum(one["output"] for one in own), len(own)),
            "latency": (sum(one["took_us"] for one in good), len(good)),
            "time_to_first_token": (sum(one["first_us"] for one in spoke), len(spoke)),
            "error_rate": (len(own) - len(good), len(own)),
            "refusal_rate": (sum(one["refused"] for one in own), len(own)),
            "regeneration_rate": (0, len(own)),
            "turns_per_conversation": (len(talks), len(set(talks))),
            "turns_per_unit": (len(own), earlier[0]),
            "retention_1": (int(first // DAY_US + 1 in days), 0),
        }
        for name, pair in values.items():
            found[name][own[0]["variant"]].append(pair)
    return found


def sums(pairs: list[tuple[int, int]]) -> Moments:
    return Moments(
        units=len(pairs),
        x=sum(x for x, _ in pairs),
        y=sum(y for _, y in pairs),
        xx=sum(x * x for x, _ in pairs),
        yy=sum(y * y for _, y in pairs),
        xy=sum(x * y for x, y in pairs),
    )


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_metric_is_what_plain_python_counts(trying: Trying, seed: int) -> None:
    since_us = await started(trying)
    turns = made_turns(since_us, random.Random(seed))
    await trying.serve(turns)
    earlier = {"variant": "", "at_us": since_us - DAY_US}
    await trying.serve(
        [{**earlier, "turn_id": f"resp_early_{user}", "user": user, "cost": 10 * user}
         for user in range(1, 21)]
    )  # fmt: skip
    found = await measured(trying, since_us + 5 * DAY_US)
    wanted = plain(turns, {user: (1, 10 * user) for user in range(1, 21)})
    assert found.moved == 0
    assert found.currency == "USD"
    for name, variants in wanted.items():
        assert found.moments[name] == {one: sums(pairs) for one, pairs in variants.items()}, name
    assert found.units == {one: len(pairs) for one, pairs in wanted["latency"].items()}


async def test_only_who_the_experiment_placed_counts_and_as_whom(trying: Trying) -> None:
    since_us = await started(trying)
    at = {"at_us": since_us + 10}
    await trying.serve(
        [
            {**at, "user": 1, "variant": "on", "turn_id": "resp_1"},
            {**at, "user": 2, "variant": "on", "turn_id": "resp_2", "placed_as": 1},
            {**at, "user": 3, "variant": "off", "turn_id": "resp_3"},
            {**at, "user": 4, "variant": "off", "turn_id": "resp_4", "reason": "TARGETING_MATCH"},
            {"at_us": since_us - 10, "user": 5, "turn_id": "resp_5"},
            {**at, "user": 6, "variant": "on", "turn_id": "resp_6"},
            {**at, "user": 6, "variant": "off", "turn_id": "resp_7"},
        ]
    )
    found = await measured(trying, since_us + DAY_US)
    assert found.units == {"on": 1, "off": 1}
    assert found.moved == 1
    assert found.moments["turns_per_unit"]["on"].x == 2


async def test_turns_of_before_the_shares_were_changed_do_not_count(trying: Trying) -> None:
    await trying.started(shares={"off": 10, "on": 10}, primary=["turns_per_unit"])
    await trying.serve([{"user": 1}])
    await trying.experiments.widen(DOING, NAME, {"off": 20, "on": 20})
    assert (await measured(trying)).units == {}
    await trying.serve([{"user": 1, "turn_id": "resp_later"}])
    assert (await measured(trying)).units == {"on": 1}


async def test_outside_events_count_for_the_person_they_are_about(trying: Trying) -> None:
    since_us = await started(trying)
    identity = trying.node.keyring.identity
    ada, bob = (user_number(identity, "org_1", name) for name in ("ada", "bob"))
    at = {"at_us": since_us + 10}
    await trying.serve(
        [{**at, "user": ada, "variant": "on"}, {**at, "user": bob, "variant": "off"}]
    )
    connection = await asyncpg.connect(trying.node.database)
    try:
        for number, (subject, data) in enumerate(
            [("ada", '{"value": 5}'), ("ada", '{"value": 2.5}'), ("ada", '{"value": "x"}'),
             ("carl", '{"value": 100}')]
        ):  # fmt: skip
            await connection.execute(
                "INSERT INTO metering.events VALUES"
                " ('org_1', 'shop', $1, 'order', $2, $3, $3, false, $4::jsonb, '', 'a', 1)",
                str(number), subject, since_us + 20, data,
            )  # fmt: skip
    finally:
        await connection.close()
    found = await measured(trying, since_us + DAY_US)
    assert found.moments["event:order"]["on"] == Moments(units=1, x=3, xx=9)
    assert found.moments["event:order#value"]["on"] == Moments(units=1, x=7.5, xx=56.25)
    assert found.moments["event:order"]["off"] == Moments(units=1)


async def test_a_regenerated_answer_is_a_branch_of_its_conversation(trying: Trying) -> None:
    since_us = await started(trying)
    await trying.serve([{"at_us": since_us + 10, "user": 1, "conversation": "conv_a"}])
    connection = await asyncpg.connect(trying.node.database)
    try:
        for name, parent in (("conv_b", "conv_a"), ("conv_c", "conv_other")):
            await connection.execute(
                "INSERT INTO conversations.conversations (user_id, id, org_id, created_us,"
                " updated_us, head_sequence, head_fence, implicit, forked_conversation_id)"
                " VALUES (1, $1, 'org_1', $2, $2, 1, 1, false, $3)",
                name, since_us + 20, parent,
            )  # fmt: skip
    finally:
        await connection.close()
    found = await measured(trying, since_us + DAY_US)
    assert found.moments["regeneration_rate"]["on"] == Moments(units=1, x=1, y=1, xx=1, yy=1, xy=1)


async def test_thumbs_are_counted_of_the_answers_that_people_judged(trying: Trying) -> None:
    since_us = await started(trying)
    turns = [{"at_us": since_us + 10 * number, "user": 1} for number in range(4)]
    await trying.serve(turns)
    connection = await asyncpg.connect(trying.node.database)
    try:
        served = await connection.fetch("SELECT turn_id FROM flags.assignments ORDER BY turn_id")
        judged = [("up", False), ("down", False), ("up", True)]
        for (turn_id,), (rating, withdrawn) in zip(served, judged, strict=False):
            await connection.execute(
                "INSERT INTO feedback.feedback (user_id, turn_id, org_id, feedback_id,"
                " credential_id, at_us, rating, preferred_over, withdrawn)"
                " VALUES (1, $1, 'org_1', 'fdb_1', 'key_1', $2, $3, '', $4)",
                turn_id, since_us, rating, withdrawn,
            )  # fmt: skip
    finally:
        await connection.close()
    found = await measured(trying, since_us + DAY_US)
    assert found.moments["thumbs_up_rate"]["on"] == Moments(units=1, x=1, y=2, xx=1, yy=4, xy=2)
