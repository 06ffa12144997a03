"""Which sums answer a question about usage, and the SQL that asks for them.

Days and months of a time zone are those of UTC, of which there are ready sums, but for the hours in
between: what lies between a zone's midnight and that of the same date in UTC is taken from the
quarters of an hour, added to the period it is in and taken off the one that UTC has it in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal

from axon.metering.periods import Width, edges_of
from axon.metering.rollups import DAY_US, SUMS

ROWS_MAX = 50_000
"""Of one answer; a question that has more is to be asked for less."""

Dimension = Literal["user_id", "credential_id", "model", "variant"]
_DIMENSIONS: tuple[Dimension, ...] = ("user_id", "credential_id", "model", "variant")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

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


def select_sums(question: UsageQuestion, edges: list[int], most: int) -> tuple[str, list[Any]]:
    """Return the query of the tables with the fewest rows that can answer, and its parameters.

    Its rows are in the order of the periods, `most` of them at most. Costs come as text: they may
    be beyond 64 bits, and Python reads that sooner than a decimal.
    """
    chosen = _Chosen(question)
    if question.width in ("day", "month"):
        days = [_date_us(edge, question.zone) for edge in edges]
        dates = [one // DAY_US for one in days]
        parts = [chosen.part(chosen.days, "date - date '1970-01-01'", dates)]
        moved = _moved(edges, days)
        if moved:
            parts.append(chosen.moved(moved, len(edges) - 1))
    else:
        table = _MINUTES if question.width == "minute" else chosen.quarters
        parts = [chosen.part(table, "begins_us", edges)]
    names = [name for name in _DIMENSIONS if name in question.group_by]
    groups = ", ".join(["period", *(() if question.org_id else ("org_id",)), *names, "currency"])
    told = [name if name in names else f"NULL AS {name}" for name in _DIMENSIONS]
    sums = [f"metering.total({name}) AS {name}" for name in SUMS[:-2]]
    sums += [f"sum({name})::text AS {name}" for name in SUMS[-2:]]
    has_any = [f"metering.total({name}) <> 0" for name in SUMS[:-2]]
    has_any += [f"sum({name}) <> 0" for name in SUMS[-2:]]
    sql = f"""
SELECT period, {chosen.org}, {", ".join(told)}, currency, {", ".join(sums)}
FROM ({" UNION ALL ".join(parts)}) AS told
GROUP BY {groups} HAVING {" OR ".join(has_any)} ORDER BY {groups} LIMIT {most}
"""  # noqa: S608 - names of ours alone
    return sql, chosen.parameters


class _Chosen:
    """The tables that a question is put to, and its conditions with their parameters."""

    def __init__(self, question: UsageQuestion) -> None:
        of_persons = bool(question.users) or "user_id" in question.group_by
        of_keys = bool(question.credentials) or "credential_id" in question.group_by
        kept = "usage" if of_persons else "org_usage" if of_keys else "org"
        days = f"{kept}_days" if kept == "org" else kept
        months = question.width == "month" and kept != "org"
        self.days = f"metering.{kept}_months" if months else f"metering.{days}"
        self.quarters = f"metering.{kept}_quarters"
        self.parameters: list[Any] = []
        wheres = [
            f"{column} = ANY({self._parameter(list(chosen), f'{kind}[]')})"
            for column, kind, chosen in _choices(question)
            if chosen
        ]
        self._wheres = "".join(f" AND {one}" for one in wheres)
        self.org = "org_id"
        if question.org_id:  # then it is the same in every row, and needs no comparing
            self.org = f"{self._parameter(question.org_id, 'text')} AS org_id"
        names = [name for name in _DIMENSIONS if name in question.group_by]
        self._names = ", ".join(["org_id", *names, "currency"])

    def part(self, table: str, place: str, edges: list[int]) -> str:
        """Return the sums of whole rows: each is of the period that its place lies in."""
        bounds = self._parameter(edges, "bigint[]")
        first, last = (f"({bounds})[{number}]" for number in (1, len(edges)))
        column = "date" if place.startswith("date") else place
        if column == "date":
            first, last = (f"date '1970-01-01' + {edge}::int" for edge in (first, last))
        return f"""
    SELECT width_bucket(({place})::bigint, {bounds}) - 1 AS period, {self._names}, {", ".join(SUMS)}
    FROM {table} AS kept WHERE {column} >= {first} AND {column} < {last}{self._wheres}"""  # noqa: S608

    def moved(self, moved: Sequence["_Moved"], periods: int) -> str:
        """Return the sums of the quarters that UTC has in another period: added, and taken off.

        OFFSET keeps the planner from turning this around: each stretch is to be read once, and by
        the index.
        """
        columns = [
            self._parameter([getattr(one, name) for one in moved], "bigint[]")
            for name in ("start_us", "end_us", "into", "out_of")
        ]
        signed = ", ".join(f"sign * {name}" for name in SUMS)
        sums = ", ".join(f"sum({name})::bigint AS {name}" for name in SUMS)
        return f"""
    SELECT period::int, {self._names}, {signed}
    FROM (
        SELECT into_period, out_of_period, kept.*
        FROM unnest({", ".join(columns)}) AS moved (start_us, end_us, into_period, out_of_period),
            LATERAL (
                SELECT {self._names}, {sums} FROM {self.quarters}
                WHERE begins_us >= start_us AND begins_us < end_us{self._wheres}
                GROUP BY {self._names} OFFSET 0
            ) AS kept
        OFFSET 0
    ) AS moved, LATERAL (VALUES (into_period, 1), (out_of_period, -1)) AS side (period, sign)
    WHERE period >= 0 AND period < {periods}"""  # noqa: S608

    def _parameter(self, value: Any, kind: str) -> str:
        self.parameters.append(value)
        return f"${len(self.parameters)}::{kind}"


def _choices(question: UsageQuestion) -> tuple[tuple[str, str, Sequence[Any]], ...]:
    return (
        ("org_id", "text", (question.org_id,) if question.org_id else ()),
        ("user_id", "bigint", question.users),
        ("credential_id", "text", question.credentials),
        ("model", "text", question.models),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moved:
    """A stretch of time whose sums go into one period and out of its neighbour."""

    start_us: int
    end_us: int
    into: int
    out_of: int


def _date_us(edge_us: int, zone: tzinfo) -> int:
    """Return the beginning in UTC of the date on which an instant lies in its zone."""
    local = (_EPOCH + timedelta(microseconds=edge_us)).astimezone(zone)
    return (datetime(local.year, local.month, local.day, tzinfo=UTC) - _EPOCH).days * DAY_US


def _moved(edges: Sequence[int], days: Sequence[int]) -> list[_Moved]:
    """Return what lies between the zone's edges and those of the same dates in UTC.

    What comes before the zone's edge is of the period before it, else of the one after; UTC has it
    in the other one.
    """
    moved = []
    for place, (edge, day) in enumerate(zip(edges, days, strict=True)):
        if edge < day:
            moved.append(_Moved(start_us=edge, end_us=day, into=place, out_of=place - 1))
        elif edge > day:
            moved.append(_Moved(start_us=day, end_us=edge, into=place - 1, out_of=place))
    return moved
