"""The SQL of the usage stream: what is next, how far it is, and back again."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import asyncpg

from axon.metering.usage_events import CORRECTION_COLUMNS, TURN_COLUMNS

CORRECTIONS = "corrections"
LATE = "late"
"""Sources beside the journals, whose names end in that of their process."""

WAITING_COUNTED = 10_000
"""Beyond it nobody needs to know exactly."""

_JOURNAL_PAGE = f"""
SELECT {TURN_COLUMNS}, sequence AS place FROM metering.turns
WHERE instance = $1 AND sequence > $2 ORDER BY sequence LIMIT $3
"""  # noqa: S608 - names of ours alone

_CORRECTIONS_PAGE = f"""
SELECT {CORRECTION_COLUMNS} FROM metering.corrections
WHERE place > $1 ORDER BY place LIMIT $2
"""  # noqa: S608 - names of ours alone

_LATE_PAGE = f"""
SELECT {TURN_COLUMNS}, place FROM metering.late_turns JOIN metering.turns USING (user_id, turn_id)
ORDER BY place LIMIT $1
"""  # noqa: S608 - names of ours alone

_STATES = f"""
WITH known AS (
    SELECT source, coalesce(through, 0) AS through FROM (
        SELECT instance AS source FROM projection.cursors
        UNION ALL VALUES ('{CORRECTIONS}'), ('{LATE}')
    ) AS sources LEFT JOIN metering.stream_cursors USING (source)
), waiting AS (
    SELECT source, through, place, accepted_us FROM known CROSS JOIN LATERAL (
        SELECT sequence AS place, accepted_us FROM metering.turns
        WHERE instance = source AND sequence > through ORDER BY sequence LIMIT {WAITING_COUNTED}
    ) AS turns
    UNION ALL
    SELECT '{CORRECTIONS}', 0, place, accepted_us FROM (
        SELECT place, accepted_us FROM metering.corrections
        WHERE place > (SELECT through FROM known WHERE source = '{CORRECTIONS}')
        ORDER BY place LIMIT {WAITING_COUNTED}
    ) AS corrections
    UNION ALL
    SELECT '{LATE}', 0, place, accepted_us FROM (
        SELECT place, accepted_us FROM metering.late_turns
        JOIN metering.turns USING (user_id, turn_id) LIMIT {WAITING_COUNTED}
    ) AS late
)
SELECT source, known.through, count(place) AS waiting, coalesce(min(accepted_us), 0) AS oldest_us
FROM known LEFT JOIN waiting USING (source) GROUP BY source, known.through ORDER BY source
"""  # noqa: S608 - names of ours alone

_OF_RANGE = "accepted_us >= $1 AND accepted_us < $2 AND ($3 = '' OR org_id = $3)"
_TURNS_OF_RANGE = f"SELECT {TURN_COLUMNS} FROM metering.turns WHERE {_OF_RANGE}"  # noqa: S608
_CORRECTIONS_OF_RANGE = f"""
SELECT {CORRECTION_COLUMNS} FROM metering.corrections WHERE {_OF_RANGE}
"""  # noqa: S608 - names of ours alone

_REWIND = """
WITH targets AS (
    SELECT instance AS source, min(sequence) - 1 AS through FROM metering.turns
    WHERE accepted_us >= $1 GROUP BY instance
    UNION ALL
    SELECT 'corrections', min(place) - 1 FROM metering.corrections WHERE accepted_us >= $1
)
UPDATE metering.stream_cursors AS there SET through = targets.through FROM targets
WHERE targets.source = there.source AND targets.through < there.through
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """How far the stream is in one journal, or in the corrections or late turns."""

    source: str
    through: int
    """The last entry that was sent; 0 for none."""
    waiting: int
    """Events behind it, counted no further than WAITING_COUNTED."""
    oldest_us: int
    """When the first of their turns was accepted; 0 for none."""


async def read_states(connection: asyncpg.Connection) -> list[SourceState]:
    """Return how far the stream is, of every source there is."""
    return [SourceState(**row) for row in await connection.fetch(_STATES)]


async def read_cursor(connection: asyncpg.Connection, source: str) -> int:
    """Return through which place a source was sent."""
    through = await connection.fetchval(
        "SELECT through FROM metering.stream_cursors WHERE source = $1", source
    )
    return through or 0


async def page_of(
    connection: asyncpg.Connection, source: str, through: int, most: int
) -> list[asyncpg.Record]:
    """Return the next rows of a source, in its order, each with its `place`."""
    if source == LATE:
        return list(await connection.fetch(_LATE_PAGE, most))
    if source == CORRECTIONS:
        return list(await connection.fetch(_CORRECTIONS_PAGE, through, most))
    return list(await connection.fetch(_JOURNAL_PAGE, source, through, most))


async def move_cursor(
    connection: asyncpg.Connection, source: str, before: int, through: int
) -> None:
    """Move a cursor on, unless somebody has moved it meanwhile: then that counts."""
    await connection.execute(
        "INSERT INTO metering.stream_cursors AS there (source, through) VALUES ($1, $3)"
        " ON CONFLICT (source) DO UPDATE SET through = EXCLUDED.through WHERE there.through = $2",
        source,
        before,
        through,
    )


async def forget_late(connection: asyncpg.Connection, places: Sequence[int]) -> None:
    """Forget late turns that were sent."""
    await connection.execute("DELETE FROM metering.late_turns WHERE place = ANY($1)", places)


async def range_of(
    connection: asyncpg.Connection, bounds: tuple[int, int, str], most: int
) -> AsyncIterator[list[asyncpg.Record]]:
    """Yield the turns, then the corrections of turns accepted in a range, `most` at a time.

    Within the caller's transaction.
    """
    for statement in (_TURNS_OF_RANGE, _CORRECTIONS_OF_RANGE):
        cursor = await connection.cursor(statement, *bounds)
        while rows := await cursor.fetch(most):
            yield rows


async def rewind_to(connection: asyncpg.Connection, from_us: int) -> int:
    """Move the cursors to before the first turn accepted since; return how many moved."""
    done = await connection.execute(_REWIND, from_us)
    return int(done.rpartition(" ")[2])
