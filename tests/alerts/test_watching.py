"""Alerts are raised from what PostgreSQL counted, each once for its period."""

from typing import Any

import asyncpg
import msgspec
import pytest

from axon.alerts import AlertsAdmin, AlertWatch, Raised
from axon.limits import LimitsAdmin, Rule, period_at
from axon.metering import PriceBook, Rates
from axon.stores import Postgres
from tests.journal.journals import TurnedClock
from tests.metering.scene import DAY_US, ended, positioned, price, project

ORG = "org_1"
FLOOR_NANO = 10_000_000_000


@pytest.fixture
def watch(postgres: Postgres, clock: TurnedClock) -> AlertWatch:
    return AlertWatch(postgres, clock, FLOOR_NANO)


async def use(database: str, clock: TurnedClock, bucket: str, used: int, zone: str = "UTC") -> None:
    """Count usage of a month, as the projector does."""
    start_us = period_at("month", clock.now_us(), zone).start_us
    past_us = start_us + 39 * DAY_US
    connection = await asyncpg.connect(database)
    await connection.execute(
        "INSERT INTO limits.counts (org_id, bucket, start_us, instance, used, past_us)"
        " VALUES ($1, $2, $3, 'one', $4, $5) ON CONFLICT (org_id, bucket, start_us, instance)"
        " DO UPDATE SET used = counts.used + EXCLUDED.used",
        ORG,
        bucket,
        start_us,
        used,
        past_us,
    )
    await connection.close()


def rule(name: str, **changes: Any) -> Rule:
    usual = {"measure": "tokens", "period": "month", "amount": 1000, "org_id": ORG}
    return Rule(rule_id=name, **{**usual, **changes})


async def kinds(admin: AlertsAdmin) -> list[tuple[str, str]]:
    return sorted((one.kind, one.subject) for one in await admin.raised())


async def test_each_threshold_is_raised_once_for_each_counter(
    watch: AlertWatch, admin: AlertsAdmin, postgres: Postgres, database: str, clock: TurnedClock
) -> None:
    await LimitsAdmin(postgres).set_rule(rule("all"))
    await LimitsAdmin(postgres).set_rule(rule("each", apart=("user",)))
    await use(database, clock, "all", 400)
    await watch.look()
    assert await kinds(admin) == []
    await use(database, clock, "all", 150)
    await use(database, clock, "each/7", 900)
    for _ in range(3):
        await watch.look()
    assert await kinds(admin) == [("limit.used.50", "all"), ("limit.used.80", "each/7")]
    await use(database, clock, "all", 5000)
    for _ in range(3):
        await watch.look()
    raised = await admin.raised(ORG)
    assert sorted((one.kind, one.subject) for one in raised) == [
        ("limit.used.100", "all"),
        ("limit.used.50", "all"),
        ("limit.used.80", "each/7"),
    ]
    newest = next(one for one in raised if one.kind == "limit.used.100")
    data = msgspec.json.decode(newest.data)
    assert (data["limit"], data["used"], data["amount"]) == ("all", 5550, 1000)


async def test_a_new_month_begins_anew_in_the_organizations_own_zone(
    watch: AlertWatch, admin: AlertsAdmin, postgres: Postgres, database: str, clock: TurnedClock
) -> None:
    zone = "Pacific/Kiritimati"
    await LimitsAdmin(postgres).set_rule(rule("all"))
    await LimitsAdmin(postgres).set_time_zone(ORG, zone)
    await use(database, clock, "all", 600, zone)
    await watch.look()
    ends_us = period_at("month", clock.now_us(), zone).end_us
    clock.ahead_us += ends_us - clock.now_us()
    await watch.look()
    assert len(await admin.raised()) == 1, "what last month used is no news of this month"
    await use(database, clock, "all", 700, zone)
    await watch.look()
    first, last = sorted(await admin.raised(), key=lambda one: one.period_us)
    assert (first.kind, last.kind) == ("limit.used.50", "limit.used.50")
    assert last.period_us == ends_us


async def test_a_rule_that_was_removed_raises_nothing(
    watch: AlertWatch, admin: AlertsAdmin, postgres: Postgres, database: str, clock: TurnedClock
) -> None:
    await LimitsAdmin(postgres).set_rule(rule("all"))
    await use(database, clock, "all", 900)
    await LimitsAdmin(postgres).remove_rule("all")
    await watch.look()
    assert await admin.raised() == []


async def test_a_days_spending_beyond_its_habits_is_raised_once(
    watch: AlertWatch, admin: AlertsAdmin, database: str, clock: TurnedClock
) -> None:
    dollar = Rates(input=1_000_000_000_000, output=0)
    book = PriceBook((price(rates=dollar, tiers=(), per_request=0),))  # a dollar for 1,000 tokens
    now_us = clock.now_us()

    async def spend(name: str, days_ago: int, count: int) -> None:
        records = [
            ended(f"{name}_{n}", book, accepted_us=now_us - days_ago * DAY_US) for n in range(count)
        ]
        for record in records:
            assert record.charge.cost_nano == 100_000_000
        await project(database, positioned(records))

    for days_ago in range(1, 29):
        await spend(f"day{days_ago}", days_ago, 60 + days_ago % 3)
    await spend("today", 0, 66)
    await watch.look()
    assert await kinds(admin) == [], "above the mean and below the floor"
    await spend("more", 0, 60)
    for _ in range(2):
        await watch.look()
    (alert,) = await admin.raised()
    assert (alert.kind, alert.subject) == ("spend.anomaly", "USD")
    assert told(alert)["cost_nano"] == 12_600_000_000


def told(alert: Raised) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(alert.data)
    return found


async def test_old_alerts_are_forgotten(
    watch: AlertWatch, admin: AlertsAdmin, clock: TurnedClock
) -> None:
    await admin.test(ORG)
    await watch.look()
    assert len(await admin.raised()) == 1
    clock.ahead_us += 91 * DAY_US
    await watch.look()
    assert await admin.raised() == []
