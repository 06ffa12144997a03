"""What was used: sums of PostgreSQL by period, person, key and model."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Literal

import asyncpg

from axon.metering.errors import RangeWrong, UsageUnavailable
from axon.metering.periods import Width, edges_of
from axon.metering.rollups import DAY_US
from axon.stores import Postgres, PostgresAway

QUERY_TIMEOUT_S = 5.0
"""The sums of a busy organization's year take a tenth of it."""

_TAKING_S = 2.0
"""How much longer a connection may be held: a question that takes too long is then ended by its own
time limit, and is not taken for an outage."""

ASKING_MAX = 4
"""Questions asked at once; one more is refused. They share the connections with turns, which must
never wait for a report."""

ROWS_MAX = 50_000
"""Of one answer; a question that has more is to be asked for less."""

Dimension = Literal["user_id", "credential_id", "model", "variant"]

_SUMS = """sum(requests_count)::bigint AS requests_count, sum(input_tokens)::bigint AS input_tokens,
    sum(cached_tokens)::bigint AS cached_tokens,
    sum(cache_write_tokens)::bigint AS cache_write_tokens,
    sum(output_tokens)::bigint AS output_tokens,
    sum(reasoning_tokens)::bigint AS reasoning_tokens, sum(cost_nano) AS cost_nano,
    sum(overage_nano) AS overage_nano"""

_MINUTES = """(SELECT user_id, accepted_us AS begins_us, org_id, credential_id, model, variant,
    currency, 1 AS requests_count, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
    reasoning_tokens, cost_nano, overage_nano FROM metering.turns)"""
"""Turns as a table of sums; of their corrections it knows nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuestion:
    """Whose usage, of when, and how it is to be divided. An empty choice is no choice."""

    org_id: str
    """Empty for all organizations, for an administrator."""
    start_us: int
    end_us: int
    """The first instant that no longer counts."""
    width: Width = "day"
    zone: tzinfo = UTC
    group_by: frozenset[Dimension] = frozenset()
    users: tuple[int, ...] = ()
    credentials: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    def edges(self) -> list[int]:
        """Return where the periods begin, and where the last one ends; raises RangeWrong."""
        return edges_of(self.start_us, self.end_us, self.width, self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSum:
    """What was used in one period, by one of each that was asked to be told apart."""

    period: int
    """Number of the period, from 0."""
    org_id: str
    user: int | None
    credential_id: str | None
    model: str | None
    variant: str | None
    currency: str
    """Empty for what cost nothing because it had no price."""
    requests_count: int
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nano: int
    overage_nano: int
    """What of the cost is for going beyond limits."""

    def plus(self, other: "UsageSum") -> "UsageSum":
        """Return both together; costs of two currencies make no sum, so there is none."""
        same = self.currency == other.currency
        return dataclasses.replace(
            self,
            currency=self.currency if same else "",
            requests_count=self.requests_count + other.requests_count,
            input_tokens=self.input_tokens + other.input_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cost_nano=self.cost_nano + other.cost_nano if same else 0,
            overage_nano=self.overage_nano + other.overage_nano if same else 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageAnswer:
    """The sums, and the periods that they are of."""

    edges: list[int]
    """Where the periods begin, and where the last one ends, in microseconds."""
    sums: list[UsageSum] = field(default_factory=list)


class Usage:
    """Answers questions from the sums; a turn is in them some milliseconds after its end."""

    def __init__(self, postgres: Postgres) -> None:
        """`postgres` is started and stopped by its owner."""
        self._postgres = postgres
        self._asking = 0

    async def ask(self, question: UsageQuestion) -> UsageAnswer:
        """Return the sums by period, person, key, model; raises UsageUnavailable, RangeWrong."""
        edges = question.edges()
        sql, parameters = _select(question, edges)
        if self._asking >= ASKING_MAX:
            raise UsageUnavailable("too many ask at once")
        self._asking += 1
        try:
            async with self._postgres.connection(QUERY_TIMEOUT_S + _TAKING_S) as connection:
                rows = await connection.fetch(sql, *parameters, timeout=QUERY_TIMEOUT_S)
        except (PostgresAway, TimeoutError, asyncpg.QueryCanceledError) as error:
            raise UsageUnavailable(str(error)) from error
        finally:
            self._asking -= 1
        if len(rows) > ROWS_MAX:
            raise RangeWrong(f"it has more than {ROWS_MAX} sums; ask for less at a time")
        return UsageAnswer(edges=edges, sums=[_sum(row) for row in rows])


def _select(question: UsageQuestion, edges: list[int]) -> tuple[str, list[Any]]:
    """Return the query of the smallest table that can answer, and its parameters."""
    of_persons = bool(question.users) or "user_id" in question.group_by
    whole_days = question.width in ("day", "month") and all(edge % DAY_US == 0 for edge in edges)
    if question.width == "minute":
        table, place = _MINUTES, "begins_us"
    elif whole_days:
        table, place = "metering.usage" if of_persons else "metering.org_usage", "date"
    else:
        table = "metering.usage_quarters" if of_persons else "metering.org_usage_quarters"
        place = "begins_us"
    parameters: list[Any] = [[edge // DAY_US if place == "date" else edge for edge in edges]]
    if place == "date":  # days since 1970, which is how the edges are given
        period = "width_bucket(date - date '1970-01-01', $1::bigint[]::int[]) - 1"
        bounds = (
            "date >= date '1970-01-01' + ($1::bigint[])[1]::int"
            f" AND date < date '1970-01-01' + ($1::bigint[])[{len(edges)}]::int"
        )
    else:
        period = "width_bucket(begins_us, $1::bigint[]) - 1"
        bounds = f"begins_us >= ($1::bigint[])[1] AND begins_us < ($1::bigint[])[{len(edges)}]"
    wheres = [bounds]
    choices: tuple[tuple[str, str, Sequence[Any]], ...] = (
        ("org_id", "text", (question.org_id,) if question.org_id else ()),
        ("user_id", "bigint", question.users),
        ("credential_id", "text", question.credentials),
        ("model", "text", question.models),
    )
    for column, kind, chosen in choices:
        if chosen:
            parameters.append(list(chosen))
            wheres.append(f"{column} = ANY(${len(parameters)}::{kind}[])")
    names: tuple[Dimension, ...] = ("user_id", "credential_id", "model", "variant")
    told = [name if name in question.group_by else f"NULL AS {name}" for name in names]
    groups = ["period", "org_id", *[name for name in names if name in question.group_by]]
    groups.append("currency")
    sql = f"""
SELECT {period} AS period, org_id, {", ".join(told)}, currency, {_SUMS}
FROM {table} AS told WHERE {" AND ".join(wheres)}
GROUP BY {", ".join(groups)} ORDER BY {", ".join(groups)} LIMIT {ROWS_MAX + 1}
"""  # noqa: S608 - names of ours alone
    return sql, parameters


def _sum(row: asyncpg.Record) -> UsageSum:
    return UsageSum(
        period=row["period"],
        org_id=row["org_id"],
        user=row["user_id"],
        credential_id=row["credential_id"],
        model=row["model"],
        variant=row["variant"],
        currency=row["currency"],
        requests_count=row["requests_count"],
        input_tokens=row["input_tokens"],
        cached_tokens=row["cached_tokens"],
        cache_write_tokens=row["cache_write_tokens"],
        output_tokens=row["output_tokens"],
        reasoning_tokens=row["reasoning_tokens"],
        cost_nano=int(row["cost_nano"]),
        overage_nano=int(row["overage_nano"]),
    )
