"""The usage stream: every turn and correction once by its id, whatever fails, in whatever order."""

import random
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
import pytest

from axon.base import SystemClock
from axon.metering import (
    MeteringProjector,
    PriceBook,
    Prices,
    Rates,
    Rerating,
    UsageEvent,
    UsageStream,
    rerate,
)
from axon.metering.usage_stream import PAGE_EVENTS
from axon.projection import Positioned
from axon.stores import Postgres
from tests.metering.scene import (
    DAY_US,
    ORG,
    OTHER_ORG,
    START_US,
    End,
    ended,
    many,
    price,
    project,
)

SOURCE = "axon/test"
BOOK = PriceBook((price(),))


class Away(Exception):
    """The receiver is not there."""


class Receiver:
    """Keeps what it is sent; while it fails it keeps a part, and says that it does not."""

    def __init__(self, seed: int = 0) -> None:
        self.got: list[UsageEvent] = []
        self.failing = False
        self._draw = random.Random(seed)

    async def send(self, events: Sequence[UsageEvent]) -> None:
        if self.failing:
            self.got += self._draw.sample(list(events), self._draw.randrange(len(events)))
            raise Away
        self.got += events

    @property
    def ids(self) -> list[str]:
        return [event.event_id for event in self.got]


def of_journal(records: Sequence[End], instance: str, first: int = 1) -> list[Positioned]:
    return [
        Positioned(instance=instance, sequence=first + number, record=record)
        for number, record in enumerate(records)
    ]


def turns(count: int, name: str = "turn") -> list[End]:
    return [ended(f"{name}_{number}", BOOK) for number in range(count)]


@pytest.fixture
async def stream(postgres: Postgres, database: str) -> UsageStream:
    """A stream over two journals that the projector knows."""
    connection = await asyncpg.connect(database)
    await connection.execute("INSERT INTO projection.cursors VALUES ('one', 0), ('two', 0)")
    await connection.close()
    return UsageStream(postgres, SOURCE, SystemClock())


async def through(stream: UsageStream) -> dict[str, int]:
    return {state.source: state.through for state in await stream.states()}


async def test_an_event_says_all_that_the_record_says(database: str, stream: UsageStream) -> None:
    record = ended("resp_1", BOOK, user=2**62 + 1)
    await project(database, of_journal([record], "one", first=41))
    receiver = Receiver()
    await stream.send_news(receiver)
    (event,) = receiver.got
    assert (event.event_id, event.org_id) == ("resp_1", ORG)
    assert msgspec.json.decode(event.body) == {
        "specversion": "1.0",
        "id": "resp_1",
        "source": SOURCE,
        "type": "axon.usage.turn.v1",
        "subject": ORG,
        "time": "2026-09-21T14:13:20.000000Z",
        "datacontenttype": "application/json",
        "data": {
            "turn_id": "resp_1",
            "user": "4000000000000001",
            "credential_id": "key_1",
            "model": "small",
            "variant": "",
            "upstream": "vllm",
            "surface": "chat",
            "status": "completed",
            "accepted_at": "2026-09-21T14:13:20.000000Z",
            "input_tokens": 100,
            "cached_tokens": 0,
            "cache_write_tokens": 0,
            "output_tokens": 20,
            "reasoning_tokens": 0,
            "estimated": False,
            "price_id": "price_1",
            "currency": "USD",
            "cost_nano": record.charge.cost_nano,
            "journal": {"instance": "one", "sequence": 41},
        },
    }


async def test_pages_are_sent_in_order_until_there_is_no_more(
    database: str, stream: UsageStream
) -> None:
    records = turns(2 * PAGE_EVENTS + 1)
    await project(database, of_journal(records, "one"))
    receiver = Receiver()
    await stream.send_news(receiver)
    assert receiver.ids == [record.head.turn_id for record in records]
    await stream.send_news(receiver)
    assert len(receiver.got) == len(records)


async def test_the_cursor_moves_only_once_the_receiver_has_it(
    database: str, stream: UsageStream
) -> None:
    records = turns(20)
    await project(database, of_journal(records, "one"))
    receiver = Receiver(seed=1)
    receiver.failing = True
    with pytest.raises(Away):
        await stream.send_news(receiver)
    (state,) = [one for one in await stream.states() if one.source == "one"]
    assert (state.through, state.waiting, state.oldest_us) == (0, 20, START_US)
    receiver.failing = False
    await stream.send_news(receiver)
    assert set(receiver.ids) == {record.head.turn_id for record in records}
    assert (await through(stream))["one"] == 20


async def test_a_journal_that_is_committed_late_is_not_skipped(
    database: str, stream: UsageStream
) -> None:
    """A batch that was begun first and is committed last: its rows come late, and come."""
    receiver = Receiver()
    slow = await asyncpg.connect(database)
    open_batch = slow.transaction()
    await open_batch.start()
    await MeteringProjector().apply(slow, of_journal(turns(3, "slow"), "one"))
    await project(database, of_journal([ended("quick", BOOK, org_id=OTHER_ORG)], "two"))
    await stream.send_news(receiver)
    assert receiver.ids == ["quick"]
    await open_batch.commit()
    await slow.close()
    await stream.send_news(receiver)
    assert receiver.ids == ["quick", "slow_0", "slow_1", "slow_2"]


async def test_a_record_that_was_parked_is_sent_when_it_is_applied(
    database: str, stream: UsageStream
) -> None:
    receiver = Receiver()
    first, parked, last = turns(3)
    await project(database, of_journal([first], "one"), of_journal([last], "one", first=3))
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE projection.cursors SET sequence = 3 WHERE instance = 'one'")
    await stream.send_news(receiver)
    await project(database, of_journal([parked], "one", first=2))
    receiver.failing = True
    with pytest.raises(Away):
        await stream.send_news(receiver)
    receiver.failing = False
    receiver.got.clear()
    await stream.send_news(receiver)
    assert receiver.ids == ["turn_1"]
    assert not await connection.fetchval("SELECT count(*) FROM metering.late_turns")
    await connection.close()


async def test_corrections_follow_with_ids_of_their_own(
    database: str, stream: UsageStream, postgres: Postgres, prices: Prices
) -> None:
    (dear,) = await prices.set_all([price(price_id="", effective_from_us=1)])
    record = ended("resp_1", PriceBook((dear.price,)))
    await project(database, of_journal([record], "one"))
    cheap = price(price_id="", rates=Rates(input=1_000_000_000, output=1_000_000_000), tiers=())
    cheap = msgspec.structs.replace(cheap, effective_from_us=START_US)
    await prices.set_all([cheap])
    receiver = Receiver()
    await stream.send_news(receiver)
    what = Rerating(from_us=0, to_us=START_US + DAY_US)
    await rerate(postgres, SystemClock(), what, apply=True)
    await stream.send_news(receiver)
    turn, correction = [msgspec.json.decode(event.body) for event in receiver.got]
    assert receiver.ids == ["resp_1", "resp_1/1/USD"]
    assert correction["type"] == "axon.usage.correction.v1"
    now = turn["data"]["cost_nano"] + correction["data"]["cost_nano"]
    assert now == 120 * 1000 + 7, "its own cost and the correction make the new one"
    receiver.got.clear()
    await stream.send_news(receiver)
    assert receiver.ids == []


async def test_a_rewind_sends_again_what_was_accepted_since(
    database: str, stream: UsageStream
) -> None:
    days = [ended(f"day_{n}", BOOK, accepted_us=START_US + n * DAY_US) for n in range(4)]
    await project(database, of_journal(days, "one"))
    receiver = Receiver()
    await stream.send_news(receiver)
    receiver.got.clear()
    assert await stream.rewind(START_US + 2 * DAY_US) == 1
    await stream.send_news(receiver)
    assert receiver.ids == ["day_2", "day_3"]


async def test_a_replay_sends_a_range_and_leaves_the_stream_where_it_is(
    database: str, stream: UsageStream
) -> None:
    await project(database, of_journal(many(900, 7, BOOK), "one"))
    receiver = Receiver()
    await stream.send_news(receiver)
    before = await through(stream)
    everything = {event.event_id: event.body for event in receiver.got}
    receiver.got.clear()
    sent = await stream.replay(receiver, START_US, START_US + 9 * DAY_US, ORG)
    assert sent == len(receiver.got) > 0
    for event in receiver.got:
        told = msgspec.json.decode(event.body)
        assert told["subject"] == ORG and "2026-09-21" <= told["time"] < "2026-10-01"
        assert everything[event.event_id] == event.body, "a replay says what was said before"
    assert await through(stream) == before


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_fails_the_receiver_ends_with_every_turn(
    database: str, stream: UsageStream, seed: int
) -> None:
    """Batches of two journals, failing sends and rewinds in any order; then all is there once."""
    draw = random.Random(seed)
    records = many(300, seed, BOOK)
    receiver = Receiver(seed)
    places = {"one": 1, "two": 1}
    left = list(records)
    while left:
        count = draw.randrange(1, 60)
        batch, left = left[:count], left[count:]
        instance = draw.choice(list(places))
        await project(database, of_journal(batch, instance, places[instance]))
        places[instance] += len(batch)
        receiver.failing = draw.random() < 0.5
        try:
            await stream.send_news(receiver)
        except Away:
            continue
        if draw.random() < 0.2:
            await stream.rewind(START_US + draw.randrange(40) * DAY_US)
    receiver.failing = False
    await stream.send_news(receiver)
    got = {event.event_id: msgspec.json.decode(event.body) for event in receiver.got}
    assert sum_of(got.values()) == {
        record.head.turn_id: (record.usage.input_tokens, record.charge.cost_nano)
        for record in records
    }


def sum_of(events: Any) -> dict[str, tuple[int, int]]:
    return {one["id"]: (one["data"]["input_tokens"], one["data"]["cost_nano"]) for one in events}
