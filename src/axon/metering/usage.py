"""What was used: sums of PostgreSQL by period, person, key and model."""

import dataclasses
from dataclasses import dataclass, field

import asyncpg

from axon.metering.errors import RangeWrong, UsageUnavailable
from axon.metering.usage_query import ROWS_MAX, UsageQuestion, select_sums
from axon.stores import Postgres, PostgresAway

QUERY_TIMEOUT_S = 5.0
"""The sums of a busy organization's year take a tenth of it."""

_TAKING_S = 2.0
"""How much longer a connection may be held: a question that takes too long is then ended by its own
time limit, and is not taken for an outage."""

ASKING_MAX = 4
"""Questions asked at once; one more is refused. They share the connections with turns, which must
never wait for a report."""


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
        sql, parameters = select_sums(question, edges)
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
