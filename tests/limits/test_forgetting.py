"""What nobody can ask for any more is forgotten: rows of past periods, counters, organizations."""

import asyncpg
import msgspec
import pytest

from axon.limits import LimitsProjector, LimitsUnavailable, Rule
from axon.limits import limits as limits_file
from axon.limits.store import FORGOTTEN_AT_ONCE
from axon.projection import Positioned
from axon.records import Hold, TurnHead
from tests.conversations.scene import ORG, Node
from tests.limits.scene import Admitting, LaterClock, ended_turn

DAY_US = 86_400_000_000
START_US = 1_790_000_000_000_000
LONG_US = 60 * DAY_US
"""No month and what is kept behind it takes longer."""


def ended_at(admitting: Admitting, at_us: int, turn_id: str, *holds: Hold) -> Positioned:
    """Return the end of a turn that used a token, accepted at an instant."""
    head: TurnHead = admitting.head(admitting.asked(), list(holds))
    head = msgspec.structs.replace(head, turn_id=turn_id, accepted_us=at_us)
    return Positioned(instance="a", sequence=1, record=ended_turn(head, 1))


def month_of(at_us: int) -> Hold:
    return Hold("budget", "tokens", "month", at_us, 5)


def day_of(at_us: int) -> Hold:
    return Hold("daily", "requests", "day", at_us, 1)


async def rows(connection: asyncpg.Connection, table: str) -> int:
    found: int = await connection.fetchval(f"SELECT count(*) FROM limits.{table}")
    return found


async def test_turns_and_counts_go_when_the_longest_period_is_over(admitting: Admitting) -> None:
    projector = LimitsProjector()
    connection = await asyncpg.connect(admitting.process.node.database)
    first = ended_at(admitting, START_US, "first", day_of(START_US), month_of(START_US))
    await projector.apply(connection, [first])
    after_us = START_US + 20 * DAY_US
    second = ended_at(admitting, after_us, "second", day_of(after_us), month_of(START_US))
    for again in (second, first):
        await projector.apply(connection, [again])
    assert await rows(connection, "turns") == 2  # the month of the first is not over
    assert await rows(connection, "counts") == 2  # its day is
    assert await connection.fetchval("SELECT used FROM limits.counts WHERE bucket = 'budget'") == 2
    later_us = START_US + LONG_US
    third = ended_at(admitting, later_us, "third", month_of(later_us))
    await projector.apply(connection, [third])
    assert await connection.fetchval("SELECT array_agg(turn_id) FROM limits.turns") == ["third"]
    assert await rows(connection, "counts") == 1
    await projector.apply(connection, [first, third])  # all of it comes again
    assert (
        await connection.fetchval("SELECT used FROM limits.counts WHERE start_us = $1", later_us)
        == 1
    )
    await connection.close()


async def test_so_many_are_forgotten_with_each_batch(admitting: Admitting) -> None:
    connection = await asyncpg.connect(admitting.process.node.database)
    past = FORGOTTEN_AT_ONCE + 5
    await connection.execute(
        "INSERT INTO limits.turns SELECT 'past' || n, 1 FROM generate_series(1, $1) AS n", past
    )
    await connection.execute(
        "INSERT INTO limits.counts SELECT 'org', 'past' || n, 0, 'a', 1, 1"
        " FROM generate_series(1, $1) AS n",
        past,
    )
    for number, left in enumerate((5, 0)):
        batch = [ended_at(admitting, START_US, f"turn{number}", month_of(START_US))]
        await LimitsProjector().apply(connection, batch)
        assert await rows(connection, "turns") == left + number + 1
        assert await rows(connection, "counts") == left + 1
    await connection.close()


async def test_organizations_are_bounded_and_forgotten(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_file, "BOOKS_MAX", 2)
    node.clock = clock = LaterClock(node)
    admitting = await Admitting.started(node)
    await admitting.rule(Rule(rule_id="each", measure="requests", period="day", amount=9))
    for org_id in (ORG, "org_2"):
        admission = await admitting.limits.admit(admitting.asked(org_id=org_id))
        assert admission is not None
        admitting.limits.give_back(org_id, admission)
    with pytest.raises(LimitsUnavailable):
        await admitting.limits.admit(admitting.asked(org_id="org_3"))
    clock.ahead_us = LONG_US
    await admitting.limits.renew()
    assert await admitting.limits.admit(admitting.asked(org_id="org_3")) is not None
    await admitting.close()
