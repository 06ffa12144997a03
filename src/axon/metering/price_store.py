"""The SQL of the prices; every function works on its caller's connection."""

from collections.abc import Iterable

import asyncpg
import msgspec

from axon.metering.price import Price, Rates, Tier

PAGE = 1000
"""Prices read at once: about 5 ms of the event loop."""

_COLUMNS = """id, org_id, model, effective_from_us, effective_to_us, currency, input_nano,
    cache_read_nano, cache_write_nano, output_nano, reasoning_nano, per_request_nano, tiers, source,
    version"""

_CHANGED = f"""
SELECT {_COLUMNS} FROM metering.prices WHERE version > $1 ORDER BY version LIMIT {PAGE}
"""  # noqa: S608 - names of ours alone

_OF = f"""
SELECT {_COLUMNS} FROM metering.prices
WHERE (org_id, model) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY effective_from_us, version
"""  # noqa: S608 - names of ours alone

_INSERT = """
INSERT INTO metering.prices (id, org_id, model, effective_from_us, effective_to_us, currency,
    input_nano, cache_read_nano, cache_write_nano, output_nano, reasoning_nano, per_request_nano,
    tiers, source, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""

_CLOSE = "UPDATE metering.prices SET effective_to_us = $2, version = $3 WHERE id = $1"

_NEWEST = "SELECT coalesce(max(version), 0) FROM metering.prices"

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('axon.metering.prices', 0))"


async def exclude_others(connection: asyncpg.Connection) -> int:
    """Keep others from changing prices until the transaction ends; return the newest version.

    So nobody can see a change before one with a lower number.
    """
    await connection.execute(_LOCK)
    return await newest_version(connection)


async def newest_version(connection: asyncpg.Connection) -> int:
    """Return the number of the newest change; 0 when there are no prices."""
    number: int = await connection.fetchval(_NEWEST)
    return number


async def prices_since(connection: asyncpg.Connection, version: int) -> list[Price]:
    """Return a page of the prices that changed after a version, by their versions."""
    return [_price(row) for row in await connection.fetch(_CHANGED, version)]


async def all_prices(connection: asyncpg.Connection) -> list[Price]:
    """Return every price."""
    found: list[Price] = []
    while page := await prices_since(connection, found[-1].version if found else 0):
        found += page
    return found


async def prices_of(
    connection: asyncpg.Connection, of: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], list[Price]]:
    """Return the prices of each of these (organization, model), the oldest first."""
    asked = list(of)
    found: dict[tuple[str, str], list[Price]] = {key: [] for key in asked}
    rows = await connection.fetch(_OF, [key[0] for key in asked], [key[1] for key in asked])
    for price in map(_price, rows):
        found[price.org_id, price.model].append(price)
    return found


async def insert_price(connection: asyncpg.Connection, price: Price) -> None:
    """Write a new price."""
    rates = price.rates
    await connection.execute(
        _INSERT,
        price.price_id,
        price.org_id,
        price.model,
        price.effective_from_us,
        price.effective_to_us,
        price.currency,
        rates.input,
        rates.cache_read,
        rates.cache_write,
        rates.output,
        rates.reasoning,
        price.per_request,
        msgspec.json.encode(price.tiers).decode(),
        price.source,
        price.version,
    )


async def close_price(
    connection: asyncpg.Connection, price_id: str, to_us: int, version: int
) -> None:
    """Set the instant at which a price ends."""
    await connection.execute(_CLOSE, price_id, to_us, version)


def _price(row: asyncpg.Record) -> Price:
    return Price(
        price_id=row["id"],
        org_id=row["org_id"],
        model=row["model"],
        effective_from_us=row["effective_from_us"],
        effective_to_us=row["effective_to_us"],
        currency=row["currency"],
        rates=Rates(
            input=row["input_nano"],
            cache_read=row["cache_read_nano"],
            cache_write=row["cache_write_nano"],
            output=row["output_nano"],
            reasoning=row["reasoning_nano"],
        ),
        per_request=row["per_request_nano"],
        tiers=msgspec.json.decode(row["tiers"], type=tuple[Tier, ...]),
        source=row["source"],
        version=row["version"],
    )
