"""What a turn consumed and cost stands in the record of its end, at the price of its acceptance."""

import asyncio

import msgspec
import pytest

from axon.metering import Price, Rates
from axon.records import Charge, TokenUsage, TurnCompleted, TurnInterrupted, decode
from axon.turns.chunks import Usage
from tests.conversations.scene import Node, Process
from tests.turns.scene import MODEL, Taking, request, say

PRICE = Price(
    price_id="price_1",
    model=MODEL,
    effective_from_us=1,
    currency="USD",
    rates=Rates(input=3_000_000, output=5_000_000),
)


@pytest.mark.parametrize(
    ("told", "cached", "written"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4}}, 3, 4),
        ({"prompt_tokens_details": {"cached_tokens": 3, "cache_creation_tokens": 4}}, 3, 4),
        ({"cache_read_input_tokens": 3, "cache_creation_input_tokens": 4}, 3, 4),
        ({"prompt_tokens_details": None, "cache_creation_input_tokens": None}, 0, 0),
        ({}, 0, 0),
    ],
)
def test_cache_tokens_are_read_however_an_engine_says_them(
    told: dict[str, object], cached: int, written: int
) -> None:
    members = {"prompt_tokens": 10, "completion_tokens": 2, **told}
    usage = msgspec.json.decode(msgspec.json.encode(members), type=Usage).token_usage()
    assert usage == TokenUsage(
        input_tokens=10, cached_tokens=cached, output_tokens=2, cache_write_tokens=written
    )


def ends(process: Process) -> list[TurnCompleted | TurnInterrupted]:
    records = [decode(entry.kind, entry.payload) for entry in process.journal.read(0)]
    return [one for one in records if isinstance(one, TurnCompleted | TurnInterrupted)]


async def test_a_turn_is_charged_by_the_price_of_its_acceptance(process: Process) -> None:
    taking = Taking(process)
    taking.prices.put([PRICE])
    conversation = await process.conversation("hello")
    running = asyncio.ensure_future(taking.taken(request(conversation, "one", streamed=False)))
    delivery, writer = await taking.engine.jobs.get()
    now_us = process.node.clock.now_us() + 1
    dearer = msgspec.structs.replace(
        PRICE,
        price_id="price_2",
        effective_from_us=now_us,
        rates=Rates(input=10**9, output=10**9),
    )
    taking.prices.put([msgspec.structs.replace(PRICE, effective_to_us=now_us, version=1), dearer])
    taking.engine.jobs.put_nowait((delivery, writer))
    await taking.answer("two")
    await running
    (end,) = ends(process)
    assert end.head.accepted_us < now_us
    assert end.charge.price_id == "price_1"
    tokens = end.usage
    assert end.charge.cost_nano == 3 * tokens.input_tokens + 5 * tokens.output_tokens > 0


async def test_a_turn_without_a_price_costs_nothing(process: Process) -> None:
    taking = Taking(process)
    conversation = await process.conversation("hello")
    running = asyncio.ensure_future(taking.taken(request(conversation, "one", streamed=False)))
    await taking.answer("two")
    await running
    assert [end.charge for end in ends(process)] == [Charge()]


async def test_a_turn_that_a_crash_cut_short_is_charged_for_what_was_journaled(
    node: Node, process: Process
) -> None:
    first = Taking(process)
    conversation = await process.conversation("hello")
    running = asyncio.ensure_future(first.taken(request(conversation, "one", streamed=True)))
    _, writer = await first.engine.jobs.get()
    say(writer, "some words")
    while not (left_open := first.left_open()):
        await asyncio.sleep(0.01)
    second = Taking(process)
    second.prices.put([PRICE])
    await second.turns.recover(left_open)
    end, *_ = ends(process)
    assert isinstance(end, TurnInterrupted) and end.usage.estimated
    assert end.charge == Charge("price_1", "USD", 3 * end.usage.input_tokens)
    assert end.usage.input_tokens > 0
    running.cancel()
    await first.tasks.cancel()
    await second.tasks.cancel()
