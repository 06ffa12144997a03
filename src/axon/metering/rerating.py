"""Charging turns again at the prices of today's book: corrections beside them, never in them."""

from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from axon.base import Clock
from axon.metering.book import PriceBook
from axon.metering.price import is_owed, rate
from axon.metering.price_store import all_prices
from axon.metering.rollups import ADD_TO_ROLLUPS, CORRECTION_COLUMNS
from axon.records import TokenUsage
from axon.stores import Postgres

TIMEOUT_S = 60.0
"""Of one page; it takes a second at most."""

PAGE_TURNS = 2_000
"""Turns that are charged again in one transaction."""

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('axon.metering.rerating', 0))"

# What a turn costs now: its own charge and all its corrections, by currency.
_TURNS = """
SELECT t.user_id, t.turn_id, t.org_id, t.model, t.status, t.accepted_us, t.input_tokens,
    t.cached_tokens, t.cache_write_tokens, t.output_tokens, t.reasoning_tokens, t.currency,
    t.cost_nano, t.overage_nano, c.numbers, c.currencies, c.costs, c.overages
FROM metering.turns AS t
LEFT JOIN LATERAL (
    SELECT max(number) AS numbers, array_agg(currency) AS currencies, array_agg(cost_nano) AS costs,
        array_agg(overage_nano) AS overages
    FROM metering.corrections AS c WHERE c.user_id = t.user_id AND c.turn_id = t.turn_id
) AS c ON true
WHERE t.org_id = $1 AND t.accepted_us >= $2 AND t.accepted_us < $3
    AND ($4 = '' OR t.model = $4) AND (t.accepted_us, t.turn_id) > ($5, $6)
ORDER BY t.accepted_us, t.turn_id LIMIT $7
"""

_ORGS = """
SELECT DISTINCT org_id FROM metering.org_days
WHERE ($1 = '' OR org_id = $1) ORDER BY org_id
"""

_CORRECT = f"""
WITH told AS (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::int[], $4::text[], $5::text[],
        $6::bigint[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[])
), fresh AS (
    INSERT INTO metering.corrections (user_id, turn_id, number, currency, org_id, accepted_us,
        price_id, cost_nano, overage_nano, corrected_us)
    SELECT * FROM told
    RETURNING *
), deltas AS (
    SELECT {CORRECTION_COLUMNS} FROM (
        SELECT f.user_id, f.accepted_us, f.org_id, t.credential_id, t.model, t.variant, f.currency,
            f.cost_nano, f.overage_nano
        FROM fresh AS f JOIN metering.turns AS t USING (user_id, turn_id)
    ) AS corrected
), {ADD_TO_ROLLUPS}
SELECT count(*) FROM fresh
"""  # noqa: S608 - names of ours alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerating:
    """Which turns are charged again."""

    from_us: int
    to_us: int
    model: str = ""
    org_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerated:
    """What charging again changes for one organization, in one currency."""

    org_id: str
    currency: str
    turns: int
    """How many turns' costs change."""
    before_nano: int
    after_nano: int


class _Place(NamedTuple):
    """How far an organization's turns are done."""

    accepted_us: int
    turn_id: str


@dataclass(slots=True)
class _Tally:
    turns: int = 0
    before_nano: int = 0
    after_nano: int = 0


class _Cost(NamedTuple):
    """What a turn costs in one currency, and what of that is for going beyond limits."""

    cost: int
    overage: int

    def plus(self, other: "_Cost", sign: int = 1) -> "_Cost":
        return _Cost(self.cost + sign * other.cost, self.overage + sign * other.overage)


_NOTHING = _Cost(0, 0)


@dataclass(frozen=True, slots=True)
class _Change:
    """What has to be appended for one turn."""

    row: asyncpg.Record
    number: int
    price_id: str
    deltas: dict[str, _Cost]
    """By currency; what does not change is not there."""


async def rerate(postgres: Postgres, clock: Clock, what: Rerating, *, apply: bool) -> list[Rerated]:
    """Return how the costs of turns change at the prices that are set now.

    With `apply` the differences are appended; done twice, the second finds none. Each page of turns
    is a transaction of its own, so one that was cut off may be done again. Raises PostgresAway.
    """
    tallies: dict[tuple[str, str], _Tally] = {}
    async with postgres.connection(TIMEOUT_S) as connection:
        book = PriceBook(await all_prices(connection))
        orgs = await connection.fetch(_ORGS, what.org_id)
    for org in orgs:
        place: _Place | None = _Place(what.from_us - 1, "")
        while place is not None:
            async with postgres.connection(TIMEOUT_S) as connection, connection.transaction():
                if apply:
                    await connection.execute(_LOCK)
                page, place = await _page(connection, org["org_id"], what, place)
                changes = [change for turn in page if (change := _change(book, turn)) is not None]
                if apply and changes:
                    await _append(connection, changes, clock.now_us())
            for turn in page:
                _count(tallies, turn)
            for change in changes:
                _count_change(tallies, change)
    return [
        Rerated(
            org_id=org_id,
            currency=currency,
            turns=tally.turns,
            before_nano=tally.before_nano,
            after_nano=tally.after_nano,
        )
        for (org_id, currency), tally in sorted(tallies.items())
        if currency or tally.turns
    ]


async def _page(
    connection: asyncpg.Connection, org_id: str, what: Rerating, after: _Place
) -> tuple[list[asyncpg.Record], _Place | None]:
    """Return an organization's next turns, and where they end; None when they are the last."""
    bounds = (what.from_us, what.to_us, what.model)
    page = await connection.fetch(_TURNS, org_id, *bounds, *after, PAGE_TURNS)
    if len(page) < PAGE_TURNS:
        return page, None
    return page, _Place(page[-1]["accepted_us"], page[-1]["turn_id"])


def _costs(row: asyncpg.Record) -> dict[str, _Cost]:
    """Return what a turn costs now, by currency."""
    costs = {row["currency"]: _Cost(row["cost_nano"], row["overage_nano"])}
    corrected = zip(row["currencies"] or (), row["costs"] or (), row["overages"] or (), strict=True)
    for currency, cost, overage in corrected:
        costs[currency] = costs.get(currency, _NOTHING).plus(_Cost(cost, overage))
    return costs


def _with_overage(row: asyncpg.Record, cost: int) -> _Cost:
    """Return another cost of a turn with as large a part for overage as was charged at its end."""
    overage = row["overage_nano"]
    plain = row["cost_nano"] - overage
    more = (cost * overage + plain // 2) // plain if plain else 0
    return _Cost(cost + more, more)


def _change(book: PriceBook, row: asyncpg.Record) -> _Change | None:
    usage = TokenUsage(
        input_tokens=row["input_tokens"],
        cached_tokens=row["cached_tokens"],
        output_tokens=row["output_tokens"],
        reasoning_tokens=row["reasoning_tokens"],
        cache_write_tokens=row["cache_write_tokens"],
    )
    price = book.price_of(row["org_id"], row["model"], row["accepted_us"])
    wanted: dict[str, _Cost] = {}
    if price is not None and is_owed(row["status"], usage):
        wanted = {price.currency: _with_overage(row, rate(price, usage))}
    has = _costs(row)
    deltas = {
        currency: wanted.get(currency, _NOTHING).plus(has.get(currency, _NOTHING), -1)
        for currency in {*wanted, *has}
    }
    deltas = {currency: delta for currency, delta in deltas.items() if delta != _NOTHING}
    if not deltas:
        return None
    number = (row["numbers"] or 0) + 1
    return _Change(row, number, price.price_id if price is not None else "", deltas)


def _count(tallies: dict[tuple[str, str], _Tally], row: asyncpg.Record) -> None:
    for currency, cost in _costs(row).items():
        tally = tallies.setdefault((row["org_id"], currency), _Tally())
        tally.before_nano += cost.cost
        tally.after_nano += cost.cost


def _count_change(tallies: dict[tuple[str, str], _Tally], change: _Change) -> None:
    for currency, delta in change.deltas.items():
        tally = tallies.setdefault((change.row["org_id"], currency), _Tally())
        tally.turns += 1
        tally.after_nano += delta.cost


async def _append(connection: asyncpg.Connection, changes: list[_Change], now_us: int) -> None:
    rows = [
        (
            change.row["user_id"],
            change.row["turn_id"],
            change.number,
            currency,
            change.row["org_id"],
            change.row["accepted_us"],
            change.price_id,
            delta.cost,
            delta.overage,
            now_us,
        )
        for change in changes
        for currency, delta in sorted(change.deltas.items())
    ]
    await connection.execute(_CORRECT, *zip(*rows, strict=True))
