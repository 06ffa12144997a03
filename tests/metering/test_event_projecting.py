"""Every identity is one row, however its record comes; what meters say of them is exact."""

import random
from datetime import datetime
from decimal import Decimal

import asyncpg
import pytest

from axon.metering import (
    Entitlement,
    Entitlements,
    Holder,
    Meters,
    MeterSums,
    RangeWrong,
    UnknownEntitlement,
    UsageUnavailable,
    zone_named,
)
from axon.metering import meter_sums as meter_sums_module
from axon.metering.cloud_events import EventReader
from axon.records import EventsReceived
from axon.stores import Postgres
from tests.metering.events_scene import METERS, TOKENS, meter, outside, received, stored, values
from tests.metering.scene import DAY_US, ORG, OTHER_ORG, START_US, project


def us(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1_000_000


@pytest.fixture
def sums(postgres: Postgres) -> MeterSums:
    return MeterSums(postgres)


@pytest.mark.parametrize("seed", range(3))
async def test_a_replay_in_other_batches_changes_nothing(database: str, seed: int) -> None:
    """With duplicates in a batch, across batches and journals; and again into an empty table."""
    draw = random.Random(seed)
    batches = [
        received(
            *(
                outside(f"{draw.randrange(60)}", source=draw.choice(("x", "y")), tokens=number)
                for number in range(draw.randrange(1, 12))
            ),
            sequence=number,
            org_id=draw.choice((ORG, OTHER_ORG)),
        )
        for number in range(1, 41)
    ]
    await project(database, batches)
    first = await stored(database)
    keys = [(row[0], row[1], row[2]) for row in first]
    events = [
        event
        for batch in batches
        if isinstance(batch.record, EventsReceived)
        for event in batch.record.events
    ]
    assert len(keys) == len(set(keys)) < len(events)
    await project(database, batches[5:25], batches, batches[:1])
    assert await stored(database) == first
    connection = await asyncpg.connect(database)
    await connection.execute("TRUNCATE metering.events")
    await connection.close()
    await project(database, *([one] for one in batches))
    assert await stored(database) == first


async def test_the_first_of_one_identity_counts(database: str) -> None:
    await project(
        database,
        [received(outside("1", tokens=5), outside("1", tokens=7), outside("1", source="z"))],
        [received(outside("1", START_US + 9, tokens=9), sequence=2, instance="two")],
    )
    rows = await stored(database)
    assert [(row[1], row[8]) for row in rows] == [("svc", '{"tokens": 5}'), ("z", None)]


async def test_every_number_that_is_taken_can_be_stored(database: str) -> None:
    """A record that PostgreSQL refused would keep all events of its batch from being counted."""
    numbers = ["1e308", "-1e-999", "0e-999", "0." + "1" * 998, "9" * 4000, "-0.0", "1E+30"]
    data = f'{{"a": [{", ".join(numbers)}]}}'
    raw = (
        '{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "a", '
        f'"data": {data}}}'
    )
    event = EventReader(METERS, START_US, 0).read(raw.encode(), 0)
    await project(database, [received(event)])
    ((*_, stored_data, _, _, _),) = await stored(database)
    assert "9" * 4000 in stored_data and "0." + "1" * 998 in stored_data


async def test_late_events_are_marked(database: str) -> None:
    await project(database, [received(outside("1", late=True), outside("2"))])
    assert [row[7] for row in await stored(database)] == [True, False]


async def test_sums_are_exact(database: str, sums: MeterSums) -> None:
    draw = random.Random(1)
    numbers = [Decimal(draw.randrange(-(10**30), 10**30)).scaleb(-20) for _ in range(300)]
    events = [outside(f"{at}", tokens=str(one)) for at, one in enumerate(numbers)]
    await project(database, [received(*events, outside("x", tokens=10**60))])
    with_all_digits = sum(int(one.scaleb(20)) for one in numbers) + 10**80
    (found,) = (await values(sums)).values()
    assert int(found.scaleb(20, meter_sums_module.EXACT)) == with_all_digits


async def test_each_way_of_adding_up(database: str, sums: MeterSums) -> None:
    told = [(3, 2), ("10", 1), (3, 0), ("none", 0), (None, 0)]
    events = [outside(f"{n}", START_US + us, tokens=value) for n, (value, us) in enumerate(told)]
    await project(database, [received(*events, outside("order", type="order", tokens=99))])
    assert await values(sums, meter("SUM")) == {(): 16}
    assert await values(sums, meter("COUNT")) == {(): 5}
    assert await values(sums, meter("MAX")) == {(): 10}
    assert await values(sums, meter("LATEST")) == {(): 3}
    assert await values(sums, meter("UNIQUE_COUNT")) == {(): 3}
    assert await values(sums, meter("SUM", value_property="$.nothing.there")) == {}
    assert await values(sums, meter("UNIQUE_COUNT", value_property="$.nothing")) == {}
    assert await values(sums, org_id=OTHER_ORG) == {}
    assert await values(sums, meter("COUNT"), org_id=OTHER_ORG) == {}


async def test_groups_subjects_and_filters(database: str, sums: MeterSums) -> None:
    await project(
        database,
        [
            received(
                outside("1", subject="a", tokens=1, model={"name": "small"}, region="eu"),
                outside("2", subject="a", tokens=2, model={"name": "large"}, region="eu"),
                outside("3", subject="b", tokens=4, model={"name": "large"}, region="us"),
                outside("4", subject="c", tokens=8, model="large"),
            )
        ],
    )
    assert await values(sums) == {(): 15}
    assert await values(sums, group_by=("subject",)) == {("a",): 3, ("b",): 4, ("c",): 8}
    assert await values(sums, group_by=("model",)) == {("small",): 1, ("large",): 6, ("None",): 8}
    assert await values(sums, group_by=("region", "model")) == {
        ("eu", "small"): 1,
        ("eu", "large"): 2,
        ("us", "large"): 4,
        ("None", "None"): 8,
    }
    assert await values(sums, subjects=("a", "c")) == {(): 11}
    assert await values(sums, filters={"model": ("large", "tiny")}) == {(): 6}
    both = {"model": ("large",), "region": ("us",)}
    assert await values(sums, filters=both, subjects=("b",), group_by=("subject",)) == {("b",): 4}
    hostile = "'; DROP TABLE metering.events; --"
    assert await values(sums, subjects=(hostile,), filters={"model": (hostile,)}) == {}


CALENDAR = [
    ("Europe/Madrid", "day", "2026-03-28T23:00", "2026-03-29T22:00", 23),  # 23 hours
    ("Europe/Madrid", "day", "2026-10-24T22:00", "2026-10-25T23:00", 25),  # 25 hours
    ("Pacific/Kiritimati", "day", "2026-02-27T10:00", "2026-02-28T10:00", 24),  # +14
    ("Etc/GMT+12", "day", "2026-01-01T12:00", "2026-01-02T12:00", 24),  # -12
    ("UTC", "month", "2028-02-01T00:00", "2028-03-01T00:00", 29 * 24),  # a leap year
    ("Europe/Madrid", "month", "2026-02-28T23:00", "2026-03-31T22:00", 31 * 24 - 1),
    ("Etc/GMT+12", "month", "2026-12-01T12:00", "2027-01-01T12:00", 31 * 24),
    ("Asia/Kathmandu", "hour", "2026-05-05T05:15", "2026-05-05T06:15", 1),  # +5:45
]


@pytest.mark.parametrize(("name", "window", "begins", "ends", "hours"), CALENDAR)
async def test_windows_are_those_of_the_calendar(
    database: str, sums: MeterSums, name: str, window: str, begins: str, ends: str, hours: int
) -> None:
    first, last = us(begins), us(ends)
    assert last - first == hours * 3_600_000_000
    times = {"before": first - 1, "first": first, "last": last - 1, "behind": last}
    await project(database, [received(*(outside(one, at, tokens=1) for one, at in times.items()))])
    found = await values(
        sums, window=window, zone=zone_named(name), from_us=first - DAY_US, to_us=last + DAY_US
    )
    assert list(found.values()) == [1, 2, 1]
    within = await values(sums, from_us=first, to_us=last, window=window, zone=zone_named(name))
    assert list(within.values()) == [2]


async def test_a_question_without_a_beginning_begins_with_the_first_event(
    database: str, sums: MeterSums
) -> None:
    assert await values(sums, from_us=None) == {}
    at, behind = us("2026-05-05T05:15:30"), us("2026-05-05T05:16:30")
    await project(database, [received(outside("1", at, tokens=1), outside("2", behind, tokens=2))])
    assert await values(sums, from_us=None) == {(): 3}
    assert await values(sums, from_us=None, window="minute", to_us=behind + 1) == {
        ("2026-05-05 05:15",): 1,
        ("2026-05-05 05:16",): 2,
    }
    assert await values(sums, from_us=None, to_us=at) == {}
    assert await values(sums, from_us=None, subjects=("nobody",)) == {}


async def test_what_is_too_much_to_answer_is_refused(
    database: str, sums: MeterSums, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter_sums_module, "ROWS_MAX", 2)
    await project(database, [received(*(outside(f"{n}", subject=f"{n}") for n in range(3)))])
    with pytest.raises(RangeWrong):
        await values(sums, meter("COUNT"), group_by=("subject",))
    assert len(await values(sums, meter("COUNT"), group_by=("subject",), subjects=("0", "1"))) == 2
    with pytest.raises(RangeWrong):
        await values(sums, window="minute")
    with pytest.raises(RangeWrong):
        await values(sums, from_us=START_US, to_us=START_US)
    monkeypatch.setattr(meter_sums_module, "WAITING_MAX", 0)
    with pytest.raises(UsageUnavailable):
        await values(sums)


HOLDER = Holder(org_id=ORG, time_zone="Europe/Madrid", subject="a")


async def test_an_entitlement_is_what_is_left_of_the_organizations_period(
    database: str, sums: MeterSums
) -> None:
    entitled = Entitlements(
        [
            Entitlement(key="month", meter="tokens", amount=Decimal("10.5")),
            Entitlement(key="day", meter="tokens", amount=Decimal(5), period="day"),
            Entitlement(key="free", config='{"model": "small"}'),
        ],
        METERS,
        sums,
    )
    begins = us("2026-03-31T22:00")  # of April, in Madrid
    await project(
        database,
        [
            received(
                outside("march", begins - 1, tokens=100),
                outside("first", begins, tokens="3.25"),
                outside("other", begins, tokens=50, subject="b"),
                outside("second", begins + DAY_US, tokens=5),
                outside("third", begins + 2 * DAY_US, tokens="4.25"),
            )
        ],
    )

    async def stands(key: str, at_us: int) -> tuple[object, ...]:
        value = await entitled.value(HOLDER, key, at_us)
        return value.has_access, value.usage, value.balance, value.overage

    assert await stands("month", begins - 1) == (False, 100, 0, Decimal("89.5"))
    assert await stands("month", begins) == (True, Decimal("3.25"), Decimal("7.25"), 0)
    assert await stands("month", begins + 2 * DAY_US) == (False, Decimal("12.5"), 0, 2)
    assert await stands("day", begins + DAY_US - 1) == (True, Decimal("3.25"), Decimal("1.75"), 0)
    assert await stands("day", begins + DAY_US) == (False, 5, 0, 0)
    assert await stands("day", begins + 5 * DAY_US) == (True, 0, 5, 0)
    assert await stands("free", begins) == (True, None, None, None)
    assert (await entitled.value(HOLDER, "free", begins)).config == '{"model": "small"}'
    with pytest.raises(UnknownEntitlement):
        await entitled.value(HOLDER, "nothing", begins)


async def test_nobody_is_refused_or_granted_by_an_outage() -> None:
    """Unknown is an error of its own, never a yes or a no."""
    away = Postgres("postgresql://nobody@127.0.0.1:1/none")
    entitled = Entitlements(
        [Entitlement(key="month", meter="tokens", amount=Decimal(1))],
        Meters([TOKENS]),
        MeterSums(away),
    )
    await away.start()
    with pytest.raises(UsageUnavailable):
        await entitled.value(HOLDER, "month", START_US)
    await away.stop()
