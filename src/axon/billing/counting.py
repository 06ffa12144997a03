"""Sums an organization's turns and corrections that are on no invoice yet: lines of the next.

The SQL here reads what `metering` keeps and changes nothing; every function works on its caller's
transaction, so that all of them see the same.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import asyncpg

from axon.billing.invoice import CORRECTION, KINDS, OVERAGE, Line, Origin, Position
from axon.billing.months import Month
from axon.billing.places import Places, held, joined
from axon.billing.splitting import kind_rate, split
from axon.metering import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is to be billed: a period of an organization, and what was too late for earlier ones."""

    org_id: str
    starts_us: int
    ends_us: int
    edges: tuple[int, ...]
    """Where the second month and those after it begin; the last is `starts_us`."""
    months: tuple[Month, ...]
    """From the one of the first turn to the one that is billed."""
    before: Places
    """What the last close had before it."""
    now: Places

    def parameters(self) -> list[Any]:
        """Return the parameters that `UNBILLED` wants."""
        bounds = [self.org_id, self.starts_us, self.ends_us]
        return [*bounds, *self.before.parameters(), *self.now.parameters()]

    def sorting(self, prices: Sequence[Price]) -> list[Any]:
        """Return the parameters that `SORTED_TURNS` wants."""
        bounds = [
            (price.price_id, tier.above_input_tokens + 1)
            for price in prices
            for tier in price.tiers
        ]
        names, tokens = [name for name, _ in bounds], [bound for _, bound in bounds]
        return [*self.parameters(), self.edges, names, tokens]


UNBILLED = f"""
    FROM metering.turns AS t {joined("before", 4)} {joined("now", 8)}
    WHERE t.org_id = $1 AND t.accepted_us < $3
      AND (t.accepted_us >= $2 OR NOT {held("before", 4)}) AND {held("now", 8)}
"""
"""The turns of a scope: those of its period, and earlier ones that the last close did not have."""

SORTED_TURNS = f"""
    SELECT t.user_id, t.turn_id, t.accepted_us, t.instance, t.sequence, t.currency, t.model,
        t.price_id, t.cost_nano, t.overage_nano, t.input_tokens, t.output_tokens,
        width_bucket(t.accepted_us, $12::bigint[]) AS period,
        coalesce(width_bucket(t.input_tokens, tiers.bounds), 0) AS tier,
        least(t.cached_tokens, t.input_tokens) AS cached,
        least(t.cache_write_tokens, greatest(0, t.input_tokens - t.cached_tokens)) AS written,
        least(t.reasoning_tokens, t.output_tokens) AS thought
    FROM (SELECT t.* {UNBILLED} AND t.currency <> '') AS t
    LEFT JOIN (
        SELECT price_id, array_agg(bound ORDER BY bound) AS bounds
        FROM unnest($13::text[], $14::int[]) AS bound (price_id, bound) GROUP BY price_id
    ) AS tiers USING (price_id)
"""  # noqa: S608 - names of ours alone
"""Every turn with its month, its tier and its tokens as `metering.rate` counts them."""

_GROUP = "currency, period, model, price_id, tier"

_PARTS = {
    "input": "input_tokens - cached - written",
    "cached": "cached",
    "cache_write": "written",
    "output": "output_tokens - thought",
    "reasoning": "thought",
    "request": "1",
    OVERAGE: "(overage_nano > 0)::int",
}
"""How much of each kind a turn of `SORTED_TURNS` has."""


def _sums(kind: str, part: str) -> str:
    of_it = f"FILTER (WHERE {part} > 0)"
    return (
        f"sum({part})::bigint AS {kind}_quantity, count(*) {of_it} AS {kind}_turns,"
        f" min(sequence) {of_it} AS {kind}_first, max(sequence) {of_it} AS {kind}_last"
    )


# Each turn is looked at once and cut into its kinds afterwards: there may be millions.
_QUANTITIES = f"""
SELECT {_GROUP}, instance, sum(cost_nano) AS cost_nano, sum(overage_nano) AS overage_nano,
    {", ".join(_sums(kind, part) for kind, part in _PARTS.items())}
FROM ({SORTED_TURNS}) AS t GROUP BY {_GROUP}, instance ORDER BY {_GROUP}, instance
"""  # noqa: S608 - names of ours alone

UNBILLED_CORRECTIONS = """
    FROM metering.corrections AS c JOIN metering.turns AS t USING (user_id, turn_id)
    WHERE c.org_id = $1 AND c.accepted_us < $2 AND NOT EXISTS (
        SELECT 1 FROM billing.billed_corrections AS b WHERE b.user_id = c.user_id
        AND b.turn_id = c.turn_id AND b.number = c.number AND b.currency = c.currency)
"""

_CORRECTIONS = f"""
SELECT c.currency, width_bucket(c.accepted_us, $3::bigint[]) AS period, t.model, c.price_id,
    t.instance, sum(c.cost_nano) AS cost_nano, count(*) AS quantity,
    count(DISTINCT (t.user_id, t.turn_id)) AS turns, min(t.sequence) AS first_sequence,
    max(t.sequence) AS last_sequence
{UNBILLED_CORRECTIONS} AND c.currency <> ''
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""

_UNPRICED = f"""
SELECT count(*) {UNBILLED} AND t.currency = ''
    AND NOT (t.status = 'failed' AND t.input_tokens + t.output_tokens = 0)
    AND NOT EXISTS (SELECT 1 FROM metering.corrections AS c
        WHERE c.user_id = t.user_id AND c.turn_id = t.turn_id)
"""  # noqa: S608 - names of ours alone


def turns_of_kind(kind: str) -> str:
    """Return the query of the turns of a scope that have something of a kind, by acceptance.

    After the parameters of `Scope.sorting` come a line's currency, period and model, and unless it
    is one of overage its price and tier.
    """
    of_one_price = "" if kind == OVERAGE else "AND price_id = $18 AND tier = $19"
    cost = "overage_nano" if kind == OVERAGE else "cost_nano"
    return f"""
SELECT turn_id, user_id, instance, sequence, accepted_us, {_PARTS[kind]} AS quantity,
    {cost} AS cost_nano
FROM ({SORTED_TURNS}) AS t
WHERE currency = $15 AND period = $16 AND model = $17 {of_one_price} AND {_PARTS[kind]} > 0
ORDER BY accepted_us, turn_id
"""  # noqa: S608 - names of ours alone


class _Sort(NamedTuple):
    """What the turns of one price have in common."""

    currency: str
    period: int
    model: str
    price_id: str
    tier: int


async def lines_of(
    connection: asyncpg.Connection, scope: Scope, prices: Sequence[Price]
) -> dict[str, list[Line]]:
    """Return the lines of the next invoices, by currency, in the order of an invoice."""
    known = {price.price_id: price for price in prices}
    rows = await connection.fetch(_QUANTITIES, *scope.sorting(prices))
    sorts: dict[_Sort, list[asyncpg.Record]] = {}
    for row in rows:
        key = _Sort(*(row[name] for name in _Sort._fields))
        sorts.setdefault(key, []).append(row)
    lines: dict[str, list[Line]] = {}
    beyond: dict[tuple[str, int, str], list[asyncpg.Record]] = {}
    for key, found in sorts.items():
        lines.setdefault(key.currency, []).extend(_usage_lines(scope, key, found, known))
        beyond.setdefault((key.currency, key.period, key.model), []).extend(found)
    for (currency, period, model), found in beyond.items():
        lines[currency].extend(_overage_lines(scope, period, model, found))
    for currency, line in await _correction_lines(connection, scope):
        lines.setdefault(currency, []).append(line)
    return {currency: _numbered(found) for currency, found in sorted(lines.items())}


async def unpriced_turns(connection: asyncpg.Connection, scope: Scope) -> int:
    """Return how many turns cost nothing because their model had no price."""
    count: int = await connection.fetchval(_UNPRICED, *scope.parameters())
    return count


def _usage_lines(
    scope: Scope, key: _Sort, rows: list[asyncpg.Record], known: dict[str, Price]
) -> list[Line]:
    quantities = {kind: sum(row[f"{kind}_quantity"] for row in rows) for kind in KINDS}
    quantities = {kind: quantity for kind, quantity in quantities.items() if quantity}
    cost_nano = int(sum(row["cost_nano"] - row["overage_nano"] for row in rows))
    price = known.get(key.price_id)
    amounts = split(cost_nano, quantities, price, key.tier)
    return [
        Line(
            line=0,
            origin=_origin(scope, key.period),
            month=str(scope.months[key.period]),
            model=key.model,
            price_id=key.price_id,
            tier=key.tier,
            kind=kind,
            quantity=quantities[kind],
            rate_nano=None if price is None else kind_rate(price, key.tier, kind),
            amount_nano=amounts[kind],
            positions=_positions_of_kind(rows, kind),
        )
        for kind in quantities
    ]


def _overage_lines(scope: Scope, period: int, model: str, rows: list[asyncpg.Record]) -> list[Line]:
    """Return the line of what a model's turns cost more for going beyond limits, if any did."""
    quantity = sum(row["overage_quantity"] for row in rows)
    if not quantity:
        return []
    line = Line(
        line=0,
        origin=_origin(scope, period),
        month=str(scope.months[period]),
        model=model,
        price_id="",
        tier=0,
        kind=OVERAGE,
        quantity=quantity,
        rate_nano=None,
        amount_nano=int(sum(row["overage_nano"] for row in rows)),
        positions=_joined(_positions_of_kind(rows, OVERAGE)),
    )
    return [line]


def _origin(scope: Scope, period: int) -> Origin:
    return "late" if period < len(scope.edges) else "usage"


async def _correction_lines(connection: asyncpg.Connection, scope: Scope) -> list[tuple[str, Line]]:
    rows = await connection.fetch(_CORRECTIONS, scope.org_id, scope.ends_us, scope.edges)
    sorts: dict[tuple[str, int, str, str], list[asyncpg.Record]] = {}
    for row in rows:
        key = (row["currency"], row["period"], row["model"], row["price_id"])
        sorts.setdefault(key, []).append(row)
    return [
        (
            currency,
            Line(
                line=0,
                origin="correction",
                month=str(scope.months[period]),
                model=model,
                price_id=price_id,
                tier=0,
                kind=CORRECTION,
                quantity=sum(row["quantity"] for row in found),
                rate_nano=None,
                amount_nano=int(sum(row["cost_nano"] for row in found)),
                positions=_positions(found),
            ),
        )
        for (currency, period, model, price_id), found in sorts.items()
    ]


def _positions_of_kind(rows: list[asyncpg.Record], kind: str) -> tuple[Position, ...]:
    return tuple(
        Position(
            instance=row["instance"],
            first_sequence=row[f"{kind}_first"],
            last_sequence=row[f"{kind}_last"],
            turns=row[f"{kind}_turns"],
        )
        for row in rows
        if row[f"{kind}_turns"]
    )


def _joined(positions: Sequence[Position]) -> tuple[Position, ...]:
    """Return one position for each journal, where several prices' turns may be."""
    joined: dict[str, Position] = {}
    for one in positions:
        other = joined.get(one.instance, one)
        joined[one.instance] = Position(
            instance=one.instance,
            first_sequence=min(one.first_sequence, other.first_sequence),
            last_sequence=max(one.last_sequence, other.last_sequence),
            turns=one.turns if other is one else one.turns + other.turns,
        )
    return tuple(joined[instance] for instance in sorted(joined))


def _positions(rows: list[asyncpg.Record]) -> tuple[Position, ...]:
    return tuple(
        Position(
            instance=row["instance"],
            first_sequence=row["first_sequence"],
            last_sequence=row["last_sequence"],
            turns=row["turns"],
        )
        for row in rows
    )


def _numbered(lines: list[Line]) -> list[Line]:
    """Return the lines in the order of an invoice: the month first, then what belongs to others."""
    origins = ("usage", "late", "correction")
    kinds = (*KINDS, OVERAGE, CORRECTION)
    lines = sorted(
        lines,
        key=lambda line: (
            origins.index(line.origin), line.month, line.model, line.kind == OVERAGE,
            line.price_id, line.tier, kinds.index(line.kind),
        ),
    )  # fmt: skip
    return [dataclasses.replace(line, line=number) for number, line in enumerate(lines, 1)]
