"""What is asked of the sums is what the records say, for every time zone and grouping."""

import asyncio
import dataclasses
from bisect import bisect_right
from datetime import UTC, datetime, tzinfo

import asyncpg
import msgspec
import pytest

from axon.metering import (
    Dimension,
    PriceBook,
    RangeWrong,
    Usage,
    UsageQuestion,
    UsageUnavailable,
    Width,
    zone_named,
)
from axon.metering.usage import ASKING_MAX
from axon.stores import Postgres
from tests.metering.scene import (
    DAY_US,
    MODEL,
    ORG,
    START_US,
    End,
    ended,
    many,
    positioned,
    price,
    project,
)

BOOK = PriceBook([price(), price(price_id="price_2", model="large", currency="EUR")])


def wanted(records: list[End], zone: tzinfo) -> dict[tuple[object, ...], list[int]]:
    """Return sums by the zone's day, person, key, model and currency, straight from records."""
    found: dict[tuple[object, ...], list[int]] = {}
    for one in records:
        if one.head.org_id != ORG:
            continue
        day = datetime.fromtimestamp(one.head.accepted_us / 1e6, zone).date()
        head, currency = one.head, one.charge.currency
        key = (day, head.user, head.credential_id, head.model, currency)
        row = found.setdefault(key, [0, 0, 0, 0])
        usage = one.usage
        for place, value in enumerate(
            (1, usage.input_tokens, usage.output_tokens, one.charge.cost_nano)
        ):
            row[place] += value
    return found


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu"]
)
async def test_days_of_a_time_zone_are_exact(database: str, usage: Usage, name: str) -> None:
    records, zone = many(300, 5, BOOK), zone_named(name)
    await project(database, positioned(records))
    groups: frozenset[Dimension] = frozenset({"user_id", "credential_id", "model"})
    answer = await usage.ask(
        UsageQuestion(
            org_id=ORG, start_us=START_US, end_us=START_US + 41 * DAY_US, zone=zone, group_by=groups
        )
    )
    found = {}
    for one in answer.sums:
        begins = datetime.fromtimestamp(answer.edges[one.period] / 1e6, zone)
        key = (begins.date(), one.user, one.credential_id, one.model, one.currency)
        found[key] = [one.requests_count, one.input_tokens, one.output_tokens, one.cost_nano]
    assert found == wanted(records, zone)


ZONES = (
    "Europe/Berlin", "Pacific/Kiritimati", "Etc/GMT+12", "America/New_York", "Pacific/Auckland",
    "Asia/Beirut", "Australia/Lord_Howe",
)  # fmt: skip
SPRING_US = 190 * DAY_US
"""Before the scene's turns: then the clocks are put the other way in the month that follows."""


@pytest.mark.parametrize("earlier_us", [0, SPRING_US])
@pytest.mark.parametrize("zone", ZONES)
async def test_days_and_months_of_a_zone_are_those_of_their_turns(
    database: str, usage: Usage, zone: str, earlier_us: int
) -> None:
    """However they are put together of days, months and quarters, and whoever is told apart."""
    records = [
        msgspec.structs.replace(
            one,
            head=msgspec.structs.replace(one.head, accepted_us=one.head.accepted_us - earlier_us),
        )
        for one in many(250, 11, BOOK, limited=True)
    ]
    await project(database, positioned(records))
    groupings: tuple[frozenset[Dimension], ...] = (
        frozenset(),
        frozenset({"model"}),
        frozenset({"user_id"}),
        frozenset({"credential_id", "user_id"}),
        frozenset({"credential_id"}),
    )
    for number, groups in enumerate(groupings):
        for width in WIDTHS[:2]:
            start_us = START_US - earlier_us + number * 5 * DAY_US
            question = UsageQuestion(
                org_id=ORG,
                start_us=start_us,
                end_us=start_us + 25 * DAY_US,
                width=width,
                zone=zone_named(zone),
                group_by=groups,
            )
            answer = await usage.ask(question)
            found = {
                (one.period, one.user, one.credential_id, one.model, one.currency): (
                    one.requests_count, one.input_tokens, one.cost_nano, one.overage_nano,
                )
                for one in answer.sums
            }  # fmt: skip
            assert found == by_period(records, answer.edges, groups)


def by_period(
    records: list[End], edges: list[int], groups: frozenset[Dimension]
) -> dict[tuple[object, ...], tuple[int, ...]]:
    """Return the sums of an organization's turns by period and group, straight from records."""
    found: dict[tuple[object, ...], tuple[int, ...]] = {}
    for one in records:
        head, charge = one.head, one.charge
        if head.org_id != ORG or not edges[0] <= head.accepted_us < edges[-1]:
            continue
        key = (
            bisect_right(edges, head.accepted_us) - 1,
            head.user if "user_id" in groups else None,
            head.credential_id if "credential_id" in groups else None,
            head.model if "model" in groups else None,
            charge.currency,
        )
        row = (1, one.usage.input_tokens, charge.cost_nano, charge.overage_nano)
        before = found.get(key, (0, 0, 0, 0))
        found[key] = tuple(a + b for a, b in zip(before, row, strict=True))
    return found


WIDTHS: list[Width] = ["month", "day", "hour", "minute"]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("of_person", [False, True])
async def test_every_table_answers_the_same(
    database: str, usage: Usage, width: Width, of_person: bool
) -> None:
    records = many(200, 6, BOOK)
    await project(database, positioned(records))
    lasts_us = {"minute": 5 * 3600 * 10**6}.get(width, 30 * DAY_US)
    start_us = min(one.head.accepted_us for one in records if one.head.org_id == ORG)
    question = UsageQuestion(
        org_id=ORG,
        start_us=start_us,
        end_us=start_us + lasts_us,
        width=width,
        users=(3, 4) if of_person else (),
        models=(MODEL, "large"),
    )
    answer = await usage.ask(question)
    edges = answer.edges
    mine = [
        one
        for one in records
        if edges[0] <= one.head.accepted_us < edges[-1]
        and one.head.org_id == ORG
        and one.head.model in (MODEL, "large")
        and (not of_person or one.head.user in (3, 4))
    ]
    assert sum(one.requests_count for one in answer.sums) == len(mine)
    assert len(mine) > 0 or width == "minute"
    assert sum(one.cost_nano for one in answer.sums) == sum(one.charge.cost_nano for one in mine)
    for one in answer.sums:
        inside = [
            end for end in mine
            if edges[one.period] <= end.head.accepted_us < edges[one.period + 1]
            and end.charge.currency == one.currency
        ]  # fmt: skip
        assert one.output_tokens == sum(end.usage.output_tokens for end in inside)


async def test_a_price_change_in_mid_month_splits_the_month(database: str, usage: Usage) -> None:
    change_us = int(datetime(2026, 10, 15, tzinfo=UTC).timestamp()) * 10**6
    book = PriceBook(
        [
            price(effective_to_us=change_us),
            price(price_id="price_2", effective_from_us=change_us, per_request=1_000_000_000),
        ]
    )
    before = ended("chatcmpl_1", book, accepted_us=change_us - 1)
    after = ended("chatcmpl_2", book, accepted_us=change_us)
    await project(database, positioned([after, before]))
    answer = await usage.ask(
        UsageQuestion(org_id=ORG, start_us=change_us, end_us=change_us + 1, width="month")
    )
    (month,) = answer.sums
    assert month.cost_nano == before.charge.cost_nano + after.charge.cost_nano
    assert after.charge.cost_nano - before.charge.cost_nano == 1_000_000_000 - 7


async def test_a_range_that_is_too_long_is_refused(usage: Usage) -> None:
    with pytest.raises(RangeWrong):
        await usage.ask(UsageQuestion(org_id=ORG, start_us=0, end_us=START_US, width="minute"))


async def test_an_answer_with_too_many_sums_is_refused(database: str, usage: Usage) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(
        "INSERT INTO metering.usage SELECT number, date '2026-09-21', $1, 'key', 'm', '', 'USD',"
        " 1, 1, 0, 0, 1, 0, 1 FROM generate_series(1, 50001) AS number",
        ORG,
    )
    await connection.close()
    groups: frozenset[Dimension] = frozenset({"user_id"})
    question = UsageQuestion(org_id=ORG, start_us=START_US, end_us=START_US + 1, group_by=groups)
    with pytest.raises(RangeWrong, match="50000 sums"):
        await usage.ask(question)
    of_one = dataclasses.replace(question, group_by=frozenset(), users=(7,))
    assert [one.requests_count for one in (await usage.ask(of_one)).sums] == [1]


async def test_reports_never_take_every_connection(usage: Usage) -> None:
    question = UsageQuestion(org_id=ORG, start_us=0, end_us=1)
    asked = [usage.ask(question) for _ in range(ASKING_MAX + 1)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in answers if isinstance(one, BaseException)]
    assert [type(one) for one in refused] == [UsageUnavailable]
    assert (await usage.ask(question)).sums == []


async def test_without_postgresql_it_says_so() -> None:
    nowhere = Postgres("postgresql://nobody@127.0.0.1:1/none")
    await nowhere.start()
    with pytest.raises(UsageUnavailable):
        await Usage(nowhere).ask(UsageQuestion(org_id=ORG, start_us=0, end_us=1))
    await nowhere.stop()
