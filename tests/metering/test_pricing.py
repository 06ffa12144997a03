"""A new price ends the one before it; what was charged by a price never changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axon.base import SystemClock, SystemRandomness
from axon.metering import (
    FollowerOptions,
    Price,
    PriceBook,
    PriceFollower,
    Prices,
    PriceWrong,
    Rates,
    Tier,
    check_prices,
    price_store,
    snapshot,
)
from axon.stores import Postgres
from tests.metering.scene import MODEL, ORG, eventually, price


def costing(nano: int, from_us: int, to_us: int = 0, org_id: str = "") -> Price:
    rates = Rates(input=nano, output=nano)
    return price(
        price_id="", rates=rates, effective_from_us=from_us, effective_to_us=to_us, org_id=org_id
    )


async def test_a_new_price_ends_the_one_before_it(prices: Prices) -> None:
    await prices.set_all([costing(1, 10)])
    (done,) = await prices.set_all([costing(2, 20)])
    assert done.ends is not None and done.ends.rates.input == 1
    first, second = await prices.list_all()
    assert (first.effective_from_us, first.effective_to_us) == (10, 20)
    assert second.is_open and second.price_id.startswith("price_")


async def test_the_same_price_again_is_no_change(prices: Prices) -> None:
    await prices.set_all([costing(1, 10)])
    assert await prices.set_all([costing(1, 99)]) == []
    (planned,) = await prices.plan([costing(1, 99)])
    assert not planned.is_needed
    assert len(await prices.list_all()) == 1


async def test_a_price_before_another_ends_where_that_begins(prices: Prices) -> None:
    await prices.set_all([costing(2, 20)])
    await prices.set_all([costing(1, 10)])
    assert [(p.effective_from_us, p.effective_to_us) for p in await prices.list_all()] == [
        (10, 20), (20, 0),
    ]  # fmt: skip


async def test_a_price_from_the_same_instant_replaces_one_that_stays_to_be_seen(
    prices: Prices,
) -> None:
    await prices.set_all([costing(1, 10)])
    await prices.set_all([costing(2, 10)])
    old, new = await prices.list_all()
    assert old.is_withdrawn and not new.is_withdrawn
    found = PriceBook([old, new]).price_of(ORG, MODEL, 10)
    assert found == new


LINES = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 30), st.none() | st.integers(1, 10)), max_size=12
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wanted=LINES)
async def test_prices_of_one_line_never_overlap(prices: Prices, wanted: list[tuple]) -> None:  # type: ignore[type-arg]
    """And each holds from its beginning on, until its end or the next one set."""
    model = f"model-{SystemRandomness().bytes(8).hex()}"
    for nano, from_us, lasts in wanted:
        one = costing(nano, from_us, from_us + lasts if lasts else 0)
        await prices.set_all([msgspec.structs.replace(one, model=model)])
        line = [p for p in await prices.list_all() if p.model == model]
        book = PriceBook(line)
        held = book.price_of(ORG, model, from_us)
        assert held is not None and held.rates.input == nano
        for at_us in range(45):
            assert sum(p.holds_at(at_us) and not p.is_withdrawn for p in line) <= 1
        assert not [f for f in check_prices(line, [], 0) if "at one time" in f.finding]


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("UPDATE metering.prices SET input_nano = 5", True),
        ("DELETE FROM metering.prices", True),
        ("UPDATE metering.prices SET effective_to_us = 99, version = 99", False),
    ],
)
async def test_the_database_itself_refuses_to_rewrite_a_price(
    prices: Prices, database: str, statement: str, refused: bool
) -> None:
    await prices.set_all([costing(1, 10)])
    connection = await asyncpg.connect(database)
    try:
        if refused:
            with pytest.raises(asyncpg.RaiseError, match="never changed"):
                await connection.execute(statement)
        else:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "wrong",
    [
        costing(-1, 10),
        costing(1, 0),
        costing(1, 10, 10),
        msgspec.structs.replace(costing(1, 10), currency="usd"),
        msgspec.structs.replace(costing(1, 10), model=""),
        msgspec.structs.replace(
            costing(1, 10),
            tiers=tuple(Tier(above_input_tokens=n, rates=Rates(input=1, output=1)) for n in (9, 8)),
        ),
    ],
)
async def test_what_is_no_price_is_refused(prices: Prices, wrong: Price) -> None:
    with pytest.raises(PriceWrong):
        await prices.set_all([wrong])


async def test_two_that_set_prices_at_once_make_no_overlap(prices: Prices) -> None:
    await asyncio.gather(*(prices.set_all([costing(n, 10 + n)]) for n in range(1, 9)))
    line = await prices.list_all()
    assert check_prices(line, [MODEL], 100) == []
    assert len({one.version for one in line}) == len(line) == 8


def test_the_check_names_what_is_missing_and_what_ends() -> None:
    line = [
        msgspec.structs.replace(costing(1, 10, 20), price_id="price_a"),
        msgspec.structs.replace(costing(1, 15, 50), price_id="price_b"),
        msgspec.structs.replace(costing(1, 10, 0, ORG), price_id="price_c"),
    ]
    found = {(one.model, one.org_id, one.finding) for one in check_prices(line, ["other"], 30)}
    assert found == {
        ("other", "", "it has no price now"),
        (MODEL, "", "price_a and price_b hold at one time"),
        (MODEL, "", "price_b ends, and none follows it at once"),
    }


@asynccontextmanager
async def following(postgres: Postgres, path: Path) -> AsyncIterator[PriceBook]:
    book = PriceBook()
    options = FollowerOptions(snapshot_path=path, poll_every_ms=10)
    follower = PriceFollower(postgres, book, SystemRandomness(), options)
    await follower.start()
    try:
        yield book
    finally:
        await follower.stop()


async def test_a_process_follows_and_starts_without_postgresql(
    prices: Prices, postgres: Postgres, tmp_path: Path
) -> None:
    path = tmp_path / "prices.json"
    await prices.set_all([costing(1, 10)])
    async with following(postgres, path) as book:
        assert len(book) == 1
        await prices.set_all([costing(2, 20)])
        await eventually(lambda: len(book) == 2)
        held = book.price_of(ORG, MODEL, 15)
        assert held is not None and held.rates.input == 1
        await eventually(lambda: b'"input":2' in path.read_bytes())
    assert path.stat().st_mode & 0o777 == 0o600
    nowhere = Postgres("postgresql://nobody@127.0.0.1:1/none", clock=SystemClock())
    await nowhere.start()
    try:
        async with following(nowhere, path) as book:
            held = book.price_of(ORG, MODEL, 25)
            assert held is not None and held.rates.input == 2
    finally:
        await nowhere.stop()


async def test_more_prices_than_a_page_are_all_followed(
    prices: Prices, postgres: Postgres, tmp_path: Path
) -> None:
    wanted = [
        msgspec.structs.replace(costing(1, 10), model=f"model-{number}")
        for number in range(price_store.PAGE + 5)
    ]
    await prices.set_all(wanted)
    async with following(postgres, tmp_path / "prices.json") as book:
        assert len(book) == len(wanted)


async def test_a_snapshot_that_is_too_large_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, postgres: Postgres, prices: Prices, tmp_path: Path
) -> None:
    path = tmp_path / "prices.json"
    await prices.set_all([costing(1, 10)])
    async with following(postgres, path):
        pass
    assert snapshot.read_snapshot(path) is not None
    monkeypatch.setattr(snapshot, "SNAPSHOT_BYTES_MAX", 10)
    assert snapshot.read_snapshot(path) is None


async def test_an_emptied_database_makes_nothing_free(
    prices: Prices, postgres: Postgres, tmp_path: Path, database: str
) -> None:
    await prices.set_all([costing(1, 10)])
    book = PriceBook()
    options = FollowerOptions(snapshot_path=tmp_path / "prices.json")
    follower = PriceFollower(postgres, book, SystemRandomness(), options)
    await follower.refresh()
    connection = await asyncpg.connect(database)
    await connection.execute("TRUNCATE metering.prices")
    await connection.close()
    assert await follower.refresh()
    assert len(book) == 1


async def test_a_snapshot_that_is_cut_short_is_none(postgres: Postgres, tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(b'{"format":1,"seen":4,"prices":[')
    async with following(postgres, path) as book:
        assert len(book) == 0
