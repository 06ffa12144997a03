"""Prices, records of turns, and a database that they are projected into."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from axon.metering import ROLLUPS, MeteringProjector, Price, PriceBook, Rates, Tier
from axon.projection import Positioned
from axon.records import Charge, Hold, TokenUsage, TurnCompleted, TurnHead, TurnInterrupted

ORG, OTHER_ORG = "org_1", "org_2"
KEY = "key_1"
MODEL = "small"
DAY_US = 86_400_000_000
START_US = 1_790_000_000_000_000
"""2026-09-21 14:13:20 UTC."""

End = TurnCompleted | TurnInterrupted

TABLES = ("turns", "corrections", *ROLLUPS)


def price(**changes: Any) -> Price:
    """Return a price, open since the beginning of time."""
    usual = Price(
        price_id="price_1",
        model=MODEL,
        effective_from_us=0,
        currency="USD",
        rates=Rates(
            input=2_500_000_001, cache_read=250_000_000, output=10_000_000_000, cache_write=None
        ),
        per_request=7,
        tiers=(
            Tier(
                above_input_tokens=1000,
                rates=Rates(input=5_000_000_000, output=15_000_000_000, reasoning=1),
            ),
        ),
    )
    return msgspec.structs.replace(usual, **changes)


def ended(turn_id: str, book: PriceBook, **changes: Any) -> End:
    """Return the record that ends a turn, charged by the book."""
    head = TurnHead(
        turn_id=turn_id,
        org_id=changes.get("org_id", ORG),
        user=changes.get("user", 7),
        credential_id=changes.get("credential_id", KEY),
        conversation_id="",
        sequence=0,
        fence=0,
        surface="chat",
        model=changes.get("model", MODEL),
        accepted_us=changes.get("accepted_us", START_US),
        implicit=True,
        stored=False,
        holds=changes.get("holds", []),
    )
    status = changes.get("status", "completed")
    usage = changes.get("usage", TokenUsage(input_tokens=100, output_tokens=20))
    shared = {
        "head": head,
        "input": [],
        "output": [],
        "answer": b"",
        "status": status,
        "usage": usage,
        "upstream": "vllm",
        "upstream_id": "",
        "completed_us": head.accepted_us + 1,
        "first_token_us": 0,
        "assignments": [],
        "charge": book.charge(head, status, usage),
    }
    if status == "completed":
        return TurnCompleted(**shared)
    return TurnInterrupted(**shared, reason="upstream_error")


def _holds(draw: random.Random) -> list[Hold]:
    """Return limits with a price for overage, or some of them."""
    return [
        Hold("a", "tokens", "month", 1, 9, within=draw.randrange(2000), overage_percent=17),
        Hold("b", "money", "day", 1, 9, "USD", draw.randrange(10**6), 200),
        Hold("c", "requests", "day", 1, 1, within=draw.randrange(2), overage_percent=1),
    ][: draw.randrange(4)]


def many(count: int, seed: int, book: PriceBook, *, limited: bool = False) -> list[End]:
    """Return turns of several people, keys, models, orgs, over some days and in any order."""
    draw = random.Random(seed)
    return [
        ended(
            f"chatcmpl_{number}",
            book,
            org_id=draw.choice((ORG, ORG, OTHER_ORG)),
            user=draw.randrange(5),
            credential_id=draw.choice(("key_1", "key_2")),
            model=draw.choice((MODEL, "large", "unpriced")),
            accepted_us=START_US + draw.randrange(40 * DAY_US),
            status=draw.choice(("completed", "completed", "failed", "cancelled")),
            holds=_holds(draw) if limited else [],
            usage=TokenUsage(
                input_tokens=draw.choice((0, draw.randrange(3000))),
                cached_tokens=draw.randrange(500),
                output_tokens=draw.choice((0, draw.randrange(900))),
                reasoning_tokens=draw.randrange(200),
                estimated=draw.random() < 0.3,
                cache_write_tokens=draw.randrange(300),
            ),
        )
        for number in range(count)
    ]


def positioned(records: Sequence[End], first: int = 1) -> list[Positioned]:
    return [
        Positioned(instance="one", sequence=first + number, record=record)
        for number, record in enumerate(records)
    ]


async def project(database: str, *batches: Sequence[Positioned]) -> None:
    """Apply each batch in a transaction of its own."""
    connection = await asyncpg.connect(database)
    try:
        for batch in batches:
            async with connection.transaction():
                await MeteringProjector().apply(connection, list(batch))
    finally:
        await connection.close()


async def tables(database: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table, but for the time of corrections."""
    connection = await asyncpg.connect(database)
    try:
        return {
            name: sorted(
                tuple(value for key, value in row.items() if key != "corrected_us")
                for row in await connection.fetch(f"SELECT * FROM metering.{name}")
            )
            for name in TABLES
        }
    finally:
        await connection.close()


async def empty(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("TRUNCATE " + ", ".join(f"metering.{name}" for name in TABLES))
    await connection.close()


def charged(records: Sequence[End]) -> dict[str, int]:
    """Return what the records say that everything cost, by currency."""
    costs: dict[str, int] = {}
    for record in records:
        charge: Charge = record.charge
        costs[charge.currency] = costs.get(charge.currency, 0) + charge.cost_nano
    return costs


async def eventually(holds: Any) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)
