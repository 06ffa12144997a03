"""What the units of an experiment did, added up in PostgreSQL: sums alone leave it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import asyncpg

from axon.base import user_number
from axon.experiments.experiment import Experiment
from axon.experiments.metrics import DAY_US, Counted, counted
from axon.statistics import Moments

BEFORE_US = 28 * DAY_US
"""How far back a user's time before the experiment is looked at."""

SUBJECTS_MAX = 500_000
"""Subjects of one metric's events; the rest is not counted, and never is half a subject."""

_UNIT = {
    "user": "coalesce(nullif(a.placed_as, 0), a.user_id)::text",
    "org": "a.org_id",
    "conversation": "t.conversation_id",
}

# An exposure is a turn that the experiment placed: reason SPLIT, since its newest allocation. Who
# has no conversation is no unit of an experiment on conversations.
_TURNS = """
shown AS (
    SELECT {unit} AS unit, a.user_id, a.variant, a.refused, t.conversation_id, t.status,
        t.accepted_us, t.first_token_us, t.completed_us, m.cost_nano, m.input_tokens,
        m.output_tokens, f.rating
    FROM flags.assignments a
    JOIN conversations.turns t ON t.user_id = a.user_id AND t.id = a.turn_id
    JOIN metering.turns m ON m.user_id = a.user_id AND m.turn_id = a.turn_id
    LEFT JOIN feedback.feedback f ON f.user_id = a.user_id AND f.turn_id = a.turn_id
        AND NOT f.withdrawn
    WHERE a.flag = $1 AND a.accepted_us >= $2 AND a.accepted_us < $4
        AND a.definition_version >= $3 AND a.reason = 'SPLIT'
)
"""

_REGENERATED = """
regenerations AS (
    SELECT talk.unit, count(DISTINCT c.id) AS regenerated
    FROM (SELECT DISTINCT unit, user_id, conversation_id FROM shown) talk
    JOIN conversations.conversations c ON c.user_id = talk.user_id
        AND c.forked_conversation_id = talk.conversation_id
    WHERE c.created_us >= $2 GROUP BY talk.unit
)
"""

# The time before is that of whom the unit is, by the number of a user.
_BEFORE = """
earlier AS (
    SELECT user_id::text AS unit, count(*) AS turns, sum(cost_nano) AS cost
    FROM metering.turns
    WHERE user_id IN (SELECT unit::bigint FROM shown)
        AND accepted_us >= {from_us} AND accepted_us < {to_us}
    GROUP BY user_id
)
"""

_NOTHING_BEFORE = "earlier AS (SELECT ''::text AS unit, 0 AS turns, 0 AS cost WHERE false)"

_UNITS = """
units AS (
    SELECT u.*, coalesce(r.regenerated, 0) AS regenerated, coalesce(e.turns, 0) AS turns_before,
        coalesce(e.cost, 0) AS cost_before
    FROM (
        SELECT unit, min(variant) AS variant, count(DISTINCT variant) > 1 AS moved,
            min(accepted_us) AS first_at_us, count(*) AS turns, sum(cost_nano) AS cost,
            sum(input_tokens) AS input, sum(output_tokens) AS output,
            sum(completed_us - accepted_us) FILTER (WHERE status <> 'failed') AS took_us,
            count(*) FILTER (WHERE status <> 'failed') AS answered,
            sum(first_token_us - accepted_us) FILTER (WHERE first_token_us > 0) AS first_us,
            count(*) FILTER (WHERE first_token_us > 0) AS spoke,
            count(*) FILTER (WHERE status = 'failed') AS failed,
            count(*) FILTER (WHERE refused) AS refused,
            count(*) FILTER (WHERE rating IN ('up', 'down')) AS rated,
            count(*) FILTER (WHERE rating = 'up') AS liked,
            count(*) FILTER (WHERE conversation_id <> '') AS in_conversations,
            count(DISTINCT conversation_id) FILTER (WHERE conversation_id <> '') AS conversations,
            array_agg(DISTINCT accepted_us / {day_us}) AS days
        FROM shown WHERE unit <> '' GROUP BY unit
    ) u LEFT JOIN regenerations r USING (unit) LEFT JOIN earlier e USING (unit)
)
"""

_SUMS = (
    "count(*) FILTER (WHERE {only})",
    "sum(({x})::numeric) FILTER (WHERE {only})",
    "sum(({y})::numeric) FILTER (WHERE {only})",
    "sum(({x})::numeric * ({x})) FILTER (WHERE {only})",
    "sum(({y})::numeric * ({y})) FILTER (WHERE {only})",
    "sum(({x})::numeric * ({y})) FILTER (WHERE {only})",
)

_CURRENCY = """
SELECT m.currency FROM flags.assignments a
JOIN metering.turns m ON m.user_id = a.user_id AND m.turn_id = a.turn_id
WHERE a.flag = $1 AND a.accepted_us >= $2 AND m.currency <> '' LIMIT 1
"""

_SUBJECTS = """
SELECT org_id, subject, {value} AS value FROM metering.events
WHERE type = $1 AND time_us >= $2 AND time_us < $3
GROUP BY org_id, subject ORDER BY org_id, subject LIMIT $4
"""

_MEMBER = (
    "coalesce(sum((data ->> $5)::numeric) FILTER (WHERE jsonb_typeof(data -> $5) = 'number'), 0)"
)


class Measured(NamedTuple):
    """What was counted."""

    units: dict[str, int]
    """Of each variant."""
    moved: int
    """Units that were served two variants: counted nowhere, and none unless something is wrong."""
    moments: dict[str, dict[str, Moments]]
    """By metric and variant."""
    currency: str
    """Of what turns cost; empty when none cost anything."""


async def measure(
    connection: asyncpg.Connection, experiment: Experiment, identity: bytes, now_us: int
) -> Measured:
    """Return what the units did since the newest allocation; wants one transaction of one instant.

    `identity` is what numbers of users are made with: outside events name people as their product
    does.
    """
    names = [metric.name for metric in experiment.definition.metrics(experiment.unit)]
    metrics = {name: one for name in names if (one := counted(name)) is not None}
    own = {name: one for name, one in metrics.items() if not one.event_type}
    until_us = experiment.stopped_us or now_us
    about = (
        experiment.definition.flag, experiment.allocated_us, experiment.flag_version, until_us,
    )  # fmt: skip
    query = _query(experiment, list(own.values()))
    units: dict[str, int] = {}
    moments: dict[str, dict[str, Moments]] = {name: {} for name in names}
    moved = 0
    for row in await connection.fetch(query, *about):
        values = list(row.values())
        if values[0]:
            moved += values[2]
            continue
        units[values[1]] = values[2]
        for place, name in enumerate(own):
            moments[name][values[1]] = _moments(values[3 + 6 * place : 9 + 6 * place])
    for name, one in metrics.items():
        if one.event_type and experiment.unit != "conversation":
            subjects = await _subjects(connection, one, (about[1], until_us))
            moments[name] = await _of_events(connection, experiment, about, subjects, identity)
    currency = await connection.fetchval(_CURRENCY, *about[:2])
    return Measured(units, moved, moments, currency or "")


def _query(experiment: Experiment, metrics: Sequence[Counted]) -> str:
    """Return what sums up every metric that turns tell of, by variant."""
    columns = ["moved", "variant", "count(*)"]
    for one in metrics:
        names = {"x": _x(one), "y": one.y_for(experiment.unit), "only": one.only}
        columns += [_sum(part, names) for part in _SUMS]
    selected = ", ".join(f"{column} AS c{place}" for place, column in enumerate(columns))
    return f"{_with(experiment)} SELECT {selected} FROM units GROUP BY moved, variant"  # noqa: S608 - names of ours alone


def _with(experiment: Experiment) -> str:
    before = _NOTHING_BEFORE
    if experiment.unit == "user":
        to_us = experiment.started_us
        before = _BEFORE.format(from_us=to_us - BEFORE_US, to_us=to_us)
    parts = [_TURNS.format(unit=_UNIT[experiment.unit]), _REGENERATED, before]
    return "WITH " + ", ".join([*parts, _UNITS.format(day_us=DAY_US)])


def _x(one: Counted) -> str:
    if one.days:
        day = f"first_at_us / {DAY_US} + {one.days}"
        return f"CASE WHEN {day} = ANY(days) THEN 1 ELSE 0 END"
    return f"coalesce({one.x}, 0)"


def _sum(part: str, names: Mapping[str, str]) -> str:
    return f"coalesce({part.format(**names)}, 0)"


def _moments(values: Sequence[int | Decimal]) -> Moments:
    units, x, y, xx, yy, xy = (_number(value) for value in values)
    return Moments(units=int(units), x=x, y=y, xx=xx, yy=yy, xy=xy)


def _number(value: int | Decimal) -> int | float:
    return int(value) if value == int(value) else float(value)


async def _subjects(
    connection: asyncpg.Connection, one: Counted, window: tuple[int, int]
) -> list[asyncpg.Record]:
    value, more = ("count(*)", []) if not one.member else (_MEMBER, [one.member])
    query = _SUBJECTS.format(value=value)
    return await connection.fetch(query, one.event_type, *window, SUBJECTS_MAX, *more)


async def _of_events(
    connection: asyncpg.Connection,
    experiment: Experiment,
    about: tuple[str, int, int, int],
    subjects: Sequence[asyncpg.Record],
    identity: bytes,
) -> dict[str, Moments]:
    """Return the sums over all units, most of which may be the subject of no event."""
    told: dict[str, Decimal] = {}
    for row in subjects:
        unit = row["org_id"]
        if experiment.unit == "user":
            unit = str(user_number(identity, row["org_id"], row["subject"]))
        told[unit] = told.get(unit, Decimal(0)) + row["value"]
    names = {"x": "coalesce(told.value, 0)", "y": "0", "only": "true"}
    columns = ", ".join(f"{_sum(part, names)} AS c{place}" for place, part in enumerate(_SUMS))
    joined = "LEFT JOIN unnest($5::text[], $6::numeric[]) AS told (unit, value) USING (unit)"
    query = f"{_with(experiment)} SELECT variant, {columns} FROM units {joined}"  # noqa: S608
    query += " WHERE NOT moved GROUP BY variant"
    rows = await connection.fetch(query, *about, list(told), list(told.values()))
    return {row["variant"]: _moments(list(row.values())[1:]) for row in rows}
