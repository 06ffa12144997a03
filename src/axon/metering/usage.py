"""What was used: sums of PostgreSQL by period, person, key and model."""

from dataclasses import dataclass, field

import asyncpg
import msgspec

from axon.metering.errors import RangeWrong, UsageUnavailable
from axon.metering.usage_query import ROWS_MAX, Dimension, UsageQuestion, select_sums
from axon.stores import Postgres, PostgresAway

QUERY_TIMEOUT_S = 5.0
"""The sums of a busy organization's year take a tenth of it."""

_TAKING_S = 2.0
"""How much longer a connection may be held: a question that takes too long is then ended by its own
time limit, and is not taken for an outage."""

_MANY: frozenset[Dimension] = frozenset({"user_id", "credential_id"})
"""Whom an organization may have thousands of."""

ASKING_MAX = 4
"""Questions asked at once; one more is refused. They share the connections with turns, which must
never wait for a report."""


class UsageSum(msgspec.Struct, frozen=True, gc=False):
    """What was used in one period, by one of each that was asked to be told apart.

    Its fields are the columns of the query, in their order: there are thousands of these at once.
    """

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
        return msgspec.structs.replace(
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
        return UsageAnswer(edges=edges, sums=await self._all_sums(question, edges))

    async def ask_page(self, question: UsageQuestion, sums_max: int) -> UsageAnswer:
        """Return what `ask` does, or the first of its periods, which have `sums_max` sums at most.

        The first period is there however many it has. Persons and keys may be many in each period,
        so that is looked at first, and then only as many periods are asked for as are to fit.
        Raises UsageUnavailable, RangeWrong.
        """
        if not question.group_by & _MANY:
            return await self.ask(question)
        edges = question.edges()
        sums = await self._all_sums(question, edges[:2])
        done, last = 1, len(edges) - 1
        while done < last and (fitting := done * (sums_max - len(sums)) // (len(sums) or 1)) > 0:
            until = min(last, done + fitting)
            more, is_cut = await self._sums(question, edges[done : until + 1], sums_max - len(sums))
            if is_cut:  # the period it ends in is not whole
                until = done + more[-1].period
                more = [one for one in more if one.period < more[-1].period]
            sums += [msgspec.structs.replace(one, period=one.period + done) for one in more]
            done = until
            if is_cut:
                break
        return UsageAnswer(edges=edges[: done + 1], sums=sums)

    async def _all_sums(self, question: UsageQuestion, edges: list[int]) -> list[UsageSum]:
        sums, is_cut = await self._sums(question, edges, ROWS_MAX)
        if is_cut:
            raise RangeWrong(f"it has more than {ROWS_MAX} sums; ask for less at a time")
        return sums

    async def _sums(
        self, question: UsageQuestion, edges: list[int], most: int
    ) -> tuple[list[UsageSum], bool]:
        """Return the sums of the periods between the edges, and whether there are more than that.

        Then the last one stands in for what is missing: there is one more than `most`.
        """
        sql, parameters = select_sums(question, edges, most + 1)
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
        return [_sum(row) for row in rows], len(rows) > most


def _sum(row: asyncpg.Record) -> UsageSum:
    *told, cost, overage = row
    values = (*told, int(cost), int(overage))
    return UsageSum(*values)
