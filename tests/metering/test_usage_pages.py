"""Pages of usage are bounded, and put together they are the whole; sums are of any size."""

import asyncpg
import msgspec
import pytest

from axon.metering import PriceBook, Usage, UsageAnswer, UsageQuestion, UsageSum, Width, zone_named
from axon.metering.rollups import SUMS
from tests.metering.scene import DAY_US, ORG, START_US, ended, many, positioned, price, project

BOOK = PriceBook([price(), price(price_id="price_2", model="large", currency="EUR")])


async def insert(database: str, sql: str, *parameters: object) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(sql, *parameters)
    await connection.close()


async def pages(usage: Usage, question: UsageQuestion, sums_max: int) -> list[UsageAnswer]:
    """Return every page of a question, each asked from where the one before it ended."""
    found: list[UsageAnswer] = []
    end_us = question.edges()[-1]
    while not found or found[-1].edges[-1] < end_us:
        start_us = found[-1].edges[-1] if found else question.start_us
        rest = UsageQuestion(
            org_id=question.org_id,
            start_us=start_us,
            end_us=end_us,
            width=question.width,
            zone=question.zone,
            group_by=question.group_by,
        )
        found.append(await usage.ask_page(rest, sums_max))
    return found


def placed(answer: UsageAnswer) -> list[tuple[int, UsageSum]]:
    """Return the sums, each with the beginning of its period in place of the period's number."""
    return [
        (answer.edges[one.period], msgspec.structs.replace(one, period=0)) for one in answer.sums
    ]


@pytest.mark.parametrize("sums_max", [1, 7, 40, 1000])
@pytest.mark.parametrize("width", ["hour", "day", "month"])
async def test_pages_put_together_are_the_whole(
    database: str, usage: Usage, width: Width, sums_max: int
) -> None:
    await project(database, positioned(many(120, 3, BOOK)))
    lasts_us = 10 * DAY_US if width == "hour" else 41 * DAY_US
    question = UsageQuestion(
        org_id=ORG,
        start_us=START_US,
        end_us=START_US + lasts_us,
        width=width,
        zone=zone_named("Asia/Kathmandu"),
        group_by=frozenset({"user_id", "model"}),
    )
    whole = await usage.ask(question)
    found = await pages(usage, question, sums_max)
    assert [sums for page in found for sums in placed(page)] == placed(whole)
    assert sorted({edge for page in found for edge in page.edges}) == whole.edges
    for page in found:
        assert len(page.sums) <= sums_max or len(page.edges) == 2
    assert len(whole.sums) > 7
    assert (len(found) == 1) == (sums_max == 1000) or sums_max == 40


async def test_a_page_ends_before_the_period_that_is_too_full(database: str, usage: Usage) -> None:
    """However few there were in the periods before, by which it is reckoned how many fit."""
    await insert(
        database,
        "INSERT INTO metering.usage SELECT number, date '2026-09-22' + day, $1, 'key', 'm', '',"
        " 'USD', 1, 1, 0, 0, 1, 0, 1, 0 FROM (VALUES (0, 1), (1, 0), (2, 3), (3, 500), (4, 1))"
        " AS of (day, people), generate_series(1, people) AS number",
        ORG,
    )
    begins_us = START_US // DAY_US * DAY_US + DAY_US
    question = UsageQuestion(
        org_id=ORG,
        start_us=begins_us,
        end_us=begins_us + 5 * DAY_US,
        group_by=frozenset({"user_id"}),
    )
    found = await pages(usage, question, 100)
    assert [(len(page.edges) - 1, len(page.sums)) for page in found] == [(3, 4), (1, 500), (1, 1)]
    assert len((await usage.ask_page(question, 505)).sums) == 505


async def test_a_page_of_nothing_has_every_period(usage: Usage) -> None:
    question = UsageQuestion(
        org_id=ORG,
        start_us=START_US,
        end_us=START_US + 30 * DAY_US,
        group_by=frozenset({"credential_id"}),
    )
    answer = await usage.ask_page(question, 10)
    assert (answer.edges, answer.sums) == (question.edges(), [])


async def test_costs_beyond_64_bits_are_exact(database: str, usage: Usage) -> None:
    most = 2**63 - 1
    await insert(
        database,
        "INSERT INTO metering.org_days SELECT $1, date '2026-09-22' + day, 'm', '', 'IDR',"
        " 1, 1, 0, 0, 1, 0, $2::bigint, $2::bigint - 1 FROM generate_series(0, 2) AS day",
        ORG,
        most,
    )
    question = UsageQuestion(
        org_id=ORG, start_us=START_US, end_us=START_US + 5 * DAY_US, width="month"
    )
    (month,) = (await usage.ask(question)).sums
    assert (month.cost_nano, month.overage_nano) == (3 * most, 3 * (most - 1))


def test_a_sum_has_the_columns_of_the_tables_in_their_order() -> None:
    assert UsageSum.__struct_fields__[-len(SUMS) :] == SUMS


@pytest.mark.parametrize("of_user", [3, 4])
async def test_all_organizations_are_told_apart(database: str, usage: Usage, of_user: int) -> None:
    records = [
        ended("chatcmpl_1", BOOK, org_id="org_b", user=3),
        ended("chatcmpl_2", BOOK, org_id="org_a", user=4),
        ended("chatcmpl_3", BOOK, org_id="org_b", user=4),
    ]
    await project(database, positioned(records))
    question = UsageQuestion(org_id="", start_us=START_US, end_us=START_US + 1, users=(of_user,))
    wanted = sorted(one.head.org_id for one in records if one.head.user == of_user)
    assert [one.org_id for one in (await usage.ask(question)).sums] == wanted
