"""Usage and cost in PostgreSQL are exactly what the records say, however they come."""

import random

import msgspec
import pytest

from axon.metering import PriceBook
from axon.metering.projecting import variant_of
from axon.records import Assignment, TokenUsage
from tests.metering.scene import (
    DAY_US,
    START_US,
    charged,
    empty,
    ended,
    many,
    positioned,
    price,
    project,
    tables,
)

BOOK = PriceBook([price(), price(price_id="price_2", model="large", currency="EUR")])


def sums(rows: list[tuple[object, ...]], first: int) -> list[int]:
    """Return the sum of every column from one on."""
    columns = list(zip(*(row[first:] for row in rows), strict=True))
    return [sum(column) for column in columns]


async def test_every_sum_is_that_of_the_records(database: str) -> None:
    records = many(400, 1, BOOK, limited=True)
    await project(database, positioned(records))
    found = await tables(database)
    wanted = [
        len(records),
        sum(one.usage.input_tokens for one in records),
        sum(one.usage.cached_tokens for one in records),
        sum(one.usage.cache_write_tokens for one in records),
        sum(one.usage.output_tokens for one in records),
        sum(one.usage.reasoning_tokens for one in records),
        sum(charged(records).values()),
        sum(one.charge.overage_nano for one in records),
    ]
    assert wanted[-2] > wanted[-1] > 0
    assert sums(found["usage"], 7) == wanted
    assert sums(found["usage_quarters"], 7) == wanted
    assert sums(found["usage_months"], 7) == wanted
    assert sums(found["org_usage"], 6) == wanted
    assert sums(found["org_usage_quarters"], 6) == wanted
    assert sums(found["org_usage_months"], 6) == wanted
    assert sums(found["org_days"], 5) == wanted
    assert sums(found["org_quarters"], 5) == wanted
    assert sum(row[18] for row in found["turns"]) == wanted[-2]
    days = {(one.head.user, one.head.accepted_us // DAY_US) for one in records}
    assert len({(row[0], row[1]) for row in found["usage"]}) == len(days)


@pytest.mark.parametrize("seed", range(3))
async def test_a_replay_in_other_batches_changes_nothing(database: str, seed: int) -> None:
    """The same again, split elsewhere, with repeats; and once more into emptied tables."""
    all_of_them = positioned(many(120, seed, BOOK, limited=True))
    await project(database, all_of_them)
    first = await tables(database)
    draw = random.Random(seed)
    at, batches = 0, []
    while at < len(all_of_them):
        size = draw.randrange(1, 40)
        batches.append(all_of_them[max(0, at - 5) : at + size])
        at += size
    await project(database, *batches)
    assert await tables(database) == first
    await empty(database)
    await project(database, *batches)
    assert await tables(database) == first


async def test_a_turn_whose_end_comes_again_with_its_place_is_metered_once(database: str) -> None:
    alone = ended("resp_1", BOOK)
    placed = msgspec.structs.replace(
        alone, head=msgspec.structs.replace(alone.head, conversation_id="conv_2", sequence=4)
    )
    await project(database, positioned([alone, placed]))
    await project(database, positioned([placed], first=3))
    found = await tables(database)
    assert len(found["turns"]) == 1
    assert found["turns"][0][-6:-4] == ("one", 1)
    assert sums(found["org_usage"], 6)[0] == 1


async def test_a_late_record_belongs_to_the_day_of_its_acceptance(database: str) -> None:
    today = ended("chatcmpl_1", BOOK, accepted_us=START_US + 40 * DAY_US)
    late = ended("chatcmpl_2", BOOK, accepted_us=START_US)
    await project(database, positioned([today]), positioned([late], first=2))
    found = await tables(database)
    assert sorted(str(row[1]) for row in found["org_usage"]) == ["2026-09-21", "2026-10-31"]
    assert [row[1] % 900_000_000 for row in found["org_usage_quarters"]] == [0, 0]


async def test_a_name_with_a_nul_is_metered(database: str) -> None:
    await project(database, positioned([ended("chatcmpl_1", BOOK, model="a\0b")]))
    assert (await tables(database))["turns"][0][4] == "a�b"


async def test_an_interrupted_turn_is_metered_as_far_as_it_came(database: str) -> None:
    usage = TokenUsage(input_tokens=10, output_tokens=5, estimated=True)
    cancelled = ended("chatcmpl_1", BOOK, status="cancelled", usage=usage)
    failed = ended("chatcmpl_2", BOOK, status="failed", usage=TokenUsage(estimated=True))
    await project(database, positioned([cancelled, failed]))
    rows = (await tables(database))["turns"]
    assert [(row[8], row[15], row[18]) for row in rows] == [
        ("cancelled", True, cancelled.charge.cost_nano),
        ("failed", True, 0),
    ]
    assert cancelled.charge.cost_nano == 75_007  # 10 at 2.500000001, 5 at 10, and the fee of 7


def test_a_variant_names_every_flag() -> None:
    def one(flag: str) -> Assignment:
        return Assignment(flag, "on", "SPLIT", 1, 1, "subject")

    assert variant_of([]) == ""
    assert variant_of([one("tone"), one("model")]) == "model=on,tone=on"
