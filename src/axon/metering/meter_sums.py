"""What meters say: sums over outside events by window, subject and group, exact to the last digit.

What a meter counts is read from the events by the question itself, so a meter that is new or was
changed counts all that is there (docs/adr/0017).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from decimal import Context, Decimal
from typing import Any

import asyncpg

from axon.metering.errors import RangeWrong, UsageUnavailable
from axon.metering.meters import NUMBER_PATTERN, SUBJECT, Aggregation, Meter, members_of
from axon.metering.periods import Period, Width, edges_of, period_of
from axon.stores import Postgres, PostgresAway

QUERY_TIMEOUT_S = 5.0
"""A month of a million events takes a fifth of a second."""

_TAKING_S = 2.0
"""How much longer a connection may be held: a question that takes too long is then ended by its own
time limit, and is not taken for an outage."""

ASKING_MAX = 2
"""Questions asked at once. They share the connections with turns, which must never wait for one."""

WAITING_MAX = 256
"""Questions that wait for their turn; one more is refused."""

ROWS_MAX = 50_000
"""Of one answer; a question that has more is to be asked for less."""

EXACT = Context(prec=1000)
"""Decimals are rounded to 28 digits where nobody says otherwise; sums may have ten times that."""

_NUMBER = f"""CASE jsonb_typeof(value) WHEN 'number' THEN value::numeric
    WHEN 'string' THEN CASE WHEN value #>> '{{}}' ~ '^({NUMBER_PATTERN})$'
        THEN (value #>> '{{}}')::numeric END END"""

_AGGREGATES: Mapping[Aggregation, str] = {
    "SUM": f"sum({_NUMBER})",
    "COUNT": "count(*)::numeric",
    "MAX": f"max({_NUMBER})",
    "UNIQUE_COUNT": "nullif(count(DISTINCT value #>> '{}'), 0)::numeric",
    "LATEST": f"""(max(ARRAY[time_us::numeric, received_us, {_NUMBER}])
        FILTER (WHERE ({_NUMBER}) IS NOT NULL))[3]""",
}
"""Of several with one time the latest is the one that came last, and of those the largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterQuestion:
    """Which meter, of when, and how it is to be divided. An empty choice is no choice."""

    org_id: str
    meter: Meter
    from_us: int | None
    """None for the first event there is."""
    to_us: int
    """The first instant that no longer counts."""
    window: Width | None = None
    """None for one sum of the whole time."""
    zone: tzinfo = UTC
    subjects: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    """Names of the meter, and `subject`."""
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Only events that have one of these values, by the meter's names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSum:
    """What one window has of one subject and group."""

    value: Decimal
    window: Period
    subject: str | None
    """None where subjects are not told apart."""
    groups: Mapping[str, str | None]
    """None for events that do not say."""


class MeterSums:
    """Answers from the events; one is counted some milliseconds after it was accepted."""

    def __init__(self, postgres: Postgres) -> None:
        """`postgres` is started and stopped by its owner."""
        self._postgres = postgres
        self._asking = asyncio.Semaphore(ASKING_MAX)
        self._waiting = 0

    async def ask(self, question: MeterQuestion) -> list[MeterSum]:
        """Return the sums, windows in order; raises UsageUnavailable, RangeWrong."""
        if question.from_us is not None and question.from_us >= question.to_us:
            raise RangeWrong("it ends before it begins")
        if self._waiting >= WAITING_MAX:
            raise UsageUnavailable("too many ask at once")
        self._waiting += 1
        try:
            async with (
                asyncio.timeout(QUERY_TIMEOUT_S + _TAKING_S),
                self._asking,
                self._postgres.connection(QUERY_TIMEOUT_S + _TAKING_S) as connection,
            ):
                return await _ask(connection, question)
        except (PostgresAway, TimeoutError, asyncpg.QueryCanceledError) as error:
            raise UsageUnavailable(str(error)) from error
        finally:
            self._waiting -= 1


async def _ask(connection: asyncpg.Connection, question: MeterQuestion) -> list[MeterSum]:
    query = _Query(question)
    from_us = question.from_us
    if from_us is None:
        sql = f"SELECT min(time_us) FROM metering.events WHERE {query.wheres()}"  # noqa: S608
        first_us = await connection.fetchval(sql, *query.parameters, timeout=QUERY_TIMEOUT_S)
        if first_us is None or first_us >= question.to_us:
            return []
        from_us = period_of(first_us, "minute", UTC).start_us
    edges = [from_us, question.to_us]
    if question.window is not None:
        edges = edges_of(from_us, question.to_us, question.window, question.zone)
    sql = query.sums(from_us, edges)
    rows = await connection.fetch(sql, *query.parameters, timeout=QUERY_TIMEOUT_S)
    if len(rows) > ROWS_MAX:
        raise RangeWrong(f"it has more than {ROWS_MAX} sums; ask for less at a time")
    return [_sum(row, question, edges) for row in rows if row["value"] is not None]


def _sum(row: asyncpg.Record, question: MeterQuestion, edges: Sequence[int]) -> MeterSum:
    names = [name for name in question.group_by if name != SUBJECT]
    return MeterSum(
        value=Decimal(format(row["value"], "f")),  # 1E+20 written out, as clients expect it
        window=Period(edges[row["period"]], edges[row["period"] + 1]),
        subject=row["subject"],
        groups={name: row[f"group_{place}"] for place, name in enumerate(names)},
    )


class _Query:
    """The text of a question and its parameters; nothing of a client's is in the text."""

    def __init__(self, question: MeterQuestion) -> None:
        self._question = question
        self.parameters: list[Any] = []

    def _bind(self, value: object, kind: str) -> str:
        self.parameters.append(value)
        return f"${len(self.parameters)}::{kind}"

    def _at(self, path: str) -> str:
        return f"data #>> {self._bind(members_of(path), 'text[]')}"

    def wheres(self) -> str:
        """Return the conditions but for the time."""
        question = self._question
        wheres = [
            f"org_id = {self._bind(question.org_id, 'text')}",
            f"type = {self._bind(question.meter.event_type, 'text')}",
        ]
        if question.subjects:
            wheres.append(f"subject = ANY({self._bind(list(question.subjects), 'text[]')})")
        for name, values in question.filters.items():
            value = self._at(question.meter.group_by[name])
            wheres.append(f"{value} = ANY({self._bind(list(values), 'text[]')})")
        return " AND ".join(wheres)

    def sums(self, from_us: int, edges: Sequence[int]) -> str:
        """Return the query for the sums from an instant on, by the windows between the edges."""
        question, meter = self._question, self._question.meter
        self.parameters.clear()
        windows = self._bind(list(edges), "bigint[]")
        names = [name for name in question.group_by if name != SUBJECT]
        groups = [f"group_{place}" for place in range(len(names))]
        told = [
            f"width_bucket(time_us, {windows}) - 1 AS period",
            "subject" if SUBJECT in question.group_by else "NULL::text AS subject",
            *(
                f"{self._at(meter.group_by[name])} AS {group}"
                for name, group in zip(names, groups, strict=True)
            ),
        ]
        if meter.value_property:
            path = self._bind(members_of(meter.value_property), "text[]")
            told.append(f"data #> {path} AS value")
        if meter.aggregation == "LATEST":
            told.append("time_us, received_us")
        keys = ", ".join(["period", "subject", *groups])
        times = (
            f"time_us >= {self._bind(from_us, 'bigint')}"
            f" AND time_us < {self._bind(question.to_us, 'bigint')}"
        )
        return f"""
SELECT {keys}, {_AGGREGATES[meter.aggregation]} AS value
FROM (SELECT {", ".join(told)} FROM metering.events WHERE {self.wheres()} AND {times}) AS told
GROUP BY {keys} ORDER BY {keys} LIMIT {ROWS_MAX + 1}
"""  # noqa: S608 - names of ours alone
