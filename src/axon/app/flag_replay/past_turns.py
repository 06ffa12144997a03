"""Turns of the past, read person by person, each asked of the draft as it was asked then."""

from collections.abc import Callable
from typing import NamedTuple

import asyncpg

from axon.app.flag_replay.draft import Draft
from axon.app.flag_replay.outcome import NOT_ASKED, OFF, Cost, Moves, Outcome
from axon.flags import EvaluationContext
from axon.metering import PriceBook, is_owed, rate
from axon.records import TokenUsage
from axon.stores import Postgres

ROWS_AT_ONCE = 2_000
"""Turns read with one round trip: all that is in memory of them."""

_STEERED = "t.accepted_us >= $1 AND t.accepted_us < $2 AND t.surface <> 'embeddings' AND NOT t.ours"
"""Turns for which flags are asked."""

_COUNT = f"SELECT count(*) FROM metering.turns AS t WHERE {_STEERED}"  # noqa: S608

_TURNS = f"""
SELECT t.user_id, t.turn_id, t.org_id, t.region, t.tier, t.surface, t.status, t.accepted_us,
    t.model AS runs_on, t.input_tokens, t.cached_tokens, t.cache_write_tokens, t.output_tokens,
    t.reasoning_tokens, t.estimated, t.currency, t.cost_nano,
    coalesce(c.conversation_id, '') AS conversation_id, coalesce(c.model, t.model) AS model,
    a.flags, a.variants, coalesce(a.placed_as, 0) AS placed_as
FROM metering.turns AS t
LEFT JOIN conversations.turns AS c ON c.user_id = t.user_id AND c.id = t.turn_id
LEFT JOIN LATERAL (
    SELECT array_agg(flag) AS flags, array_agg(variant) AS variants, max(placed_as) AS placed_as
    FROM flags.assignments
    WHERE user_id = t.user_id AND turn_id = t.turn_id AND flag = ANY($3::text[])
) AS a ON true
WHERE {_STEERED}
ORDER BY t.user_id, t.turn_id
"""  # noqa: S608 - a condition of ours alone

_TIMEOUT_S = 14_400.0
"""Of the whole: enough for a hundred million turns. What one question may take is the connection's
own bound."""


class Range(NamedTuple):
    """Turns accepted from one instant to before another."""

    since_us: int
    until_us: int


class Stage(NamedTuple):
    """How far it is."""

    done: int
    total: int


async def replay(
    postgres: Postgres, draft: Draft, prices: PriceBook, span: Range, told: Callable[[Stage], None]
) -> Outcome:
    """Return what the draft would have changed; raises PostgresAway. Changes nothing.

    A flag is asked about the instant, user, organization, conversation, region, tier, model and
    surface in the turn's record, which is all that a turn's flags read. `told` is called after each
    part that was read.
    """
    found = _Found(draft, prices)
    async with postgres.connection(_TIMEOUT_S) as connection, connection.transaction(readonly=True):
        total = await connection.fetchval(_COUNT, *span)
        keys = [flag.key for flag in draft.flags]
        rows = await connection.cursor(_TURNS, *span, keys)
        while part := await rows.fetch(ROWS_AT_ONCE):
            for row in part:
                found.add(row)
            told(Stage(found.turns, total))
    return found.outcome(span)


class _Found:
    """What was found so far."""

    def __init__(self, draft: Draft, prices: PriceBook) -> None:
        self._draft = draft
        self._prices = prices
        self._units = {flag.key: flag.rollout.unit for flag in draft.flags}
        self._moves = Moves(self._units)
        self._before: dict[str, int] = {}
        self._after: dict[str, int] = {}
        self.turns = self._moved = self._rerouted = self._unpriced = 0

    def add(self, row: asyncpg.Record) -> None:
        """Ask the draft about one turn."""
        context = _context(row)
        answered = self._draft.answer(context)
        was = dict(zip(row["flags"] or (), row["variants"] or (), strict=True))
        self.turns += 1
        self._moves.person(row["user_id"])
        moved = False
        for flag, variant in answered.variants.items():
            before = (was[flag] or OFF) if flag in was else NOT_ASKED
            after = variant or OFF
            self._moves.count(flag, before, after, context.unit_id(self._units[flag]))
            moved = moved or before != after
        for flag in answered.failed:
            self._moves.fail(flag)
        self._moved += moved
        self._add_cost(row, answered.model or row["model"])

    def _add_cost(self, row: asyncpg.Record, model: str) -> None:
        if model == row["runs_on"]:
            _add(self._before, row["currency"], row["cost_nano"])
            _add(self._after, row["currency"], row["cost_nano"])
            return
        self._rerouted += 1
        usage = _usage(row)
        price = self._prices.price_of(row["org_id"], model, row["accepted_us"])
        if price is None:
            self._unpriced += 1
            return
        _add(self._before, row["currency"], row["cost_nano"])
        _add(
            self._after, price.currency, rate(price, usage) if is_owed(row["status"], usage) else 0
        )

    def outcome(self, span: Range) -> Outcome:
        """Return all of it."""
        currencies = sorted({*self._before, *self._after})
        return Outcome(
            since_us=span.since_us,
            until_us=span.until_us,
            turns=self.turns,
            moved=self._moved,
            flags=self._moves.told(),
            costs=tuple(
                Cost(
                    currency=currency,
                    before_nano=self._before.get(currency, 0),
                    after_nano=self._after.get(currency, 0),
                )
                for currency in currencies
            ),
            rerouted=self._rerouted,
            unpriced=self._unpriced,
        )


def _add(sums: dict[str, int], currency: str, nano: int) -> None:
    if currency:
        sums[currency] = sums.get(currency, 0) + nano


def _context(row: asyncpg.Record) -> EvaluationContext:
    user = f"{row['user_id']:016x}"
    return EvaluationContext(
        now_us=row["accepted_us"],
        targeting_key=user,
        user=user,
        org=row["org_id"],
        conversation=row["conversation_id"],
        region=row["region"],
        model=row["model"],
        tier=row["tier"],
        claimed={"surface": row["surface"]},
        placed=f"{row['placed_as'] or row['user_id']:016x}",
    )


def _usage(row: asyncpg.Record) -> TokenUsage:
    return TokenUsage(
        input_tokens=row["input_tokens"],
        cached_tokens=row["cached_tokens"],
        output_tokens=row["output_tokens"],
        reasoning_tokens=row["reasoning_tokens"],
        estimated=row["estimated"],
        cache_write_tokens=row["cache_write_tokens"],
    )
