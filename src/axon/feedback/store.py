"""The SQL of feedback; what is asked for beside it comes from the tables of metered turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from axon.records import FeedbackGiven

_WRITE = """
INSERT INTO feedback.feedback AS there (user_id, turn_id, org_id, feedback_id, credential_id, at_us,
    rating, comment, edited, preferred_over, withdrawn)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (user_id, turn_id) DO UPDATE SET feedback_id = excluded.feedback_id,
    credential_id = excluded.credential_id, at_us = excluded.at_us, rating = excluded.rating,
    comment = excluded.comment, edited = excluded.edited,
    preferred_over = excluded.preferred_over, withdrawn = excluded.withdrawn
WHERE (excluded.at_us, excluded.feedback_id) > (there.at_us, there.feedback_id)
"""

_COLUMNS = """
SELECT f.user_id, f.turn_id, f.at_us, f.rating, f.comment, f.edited, f.preferred_over,
coalesce(t.model, '') AS model, ARRAY(
    SELECT a.flag || ':' || a.variant FROM flags.assignments AS a
    WHERE a.user_id = f.user_id AND a.turn_id = f.turn_id AND a.variant <> '' ORDER BY a.flag
) AS variants
FROM feedback.feedback AS f
LEFT JOIN metering.turns AS t ON t.turn_id = f.turn_id AND t.user_id = f.user_id
"""

_LIST = f"""
{_COLUMNS}
WHERE f.org_id = $1 AND NOT f.withdrawn AND ($2::bigint IS NULL OR f.user_id = $2)
    AND f.at_us >= $3 AND f.at_us < $4 AND ($5 = '' OR f.rating = $5)
    AND ($6 = '' OR t.model = $6)
    AND ($7 = '' OR EXISTS (SELECT 1 FROM flags.assignments AS a WHERE a.user_id = f.user_id
        AND a.turn_id = f.turn_id AND a.flag = $7 AND ($8 = '' OR a.variant = $8)))
    AND ($9::bigint IS NULL OR (f.at_us, f.turn_id) < ($9, $10))
ORDER BY f.at_us DESC, f.turn_id DESC LIMIT $11
"""  # noqa: S608 - text of ours alone

_ONE = f"{_COLUMNS} WHERE f.user_id = $1 AND f.turn_id = $2 AND NOT f.withdrawn"


class FeedbackRow(NamedTuple):
    """What was said of an answer, sealed as it is kept."""

    user: int
    turn_id: str
    at_us: int
    rating: str
    comment: bytes | None
    edited: bytes | None
    preferred_over: str
    model: str
    variants: Sequence[str]
    """As flag:variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackQuestion:
    """Which feedback is asked for; what is empty fits all."""

    org_id: str
    user: int | None = None
    """None for everybody of the organization."""
    since_us: int = 0
    until_us: int = 2**62
    rating: str = ""
    model: str = ""
    flag: str = ""
    variant: str = ""
    before: tuple[int, str] | None = None
    """Instant and answer of the last one of the page before."""
    limit: int = 20


async def write_feedback(connection: asyncpg.Connection, record: FeedbackGiven) -> None:
    """Keep what the record says, unless something newer is there; within the transaction."""
    await connection.execute(
        _WRITE,
        record.user,
        record.turn_id,
        record.org_id,
        record.feedback_id,
        record.credential_id,
        record.at_us,
        record.rating,
        record.comment or None,
        record.edited or None,
        record.preferred_over,
        record.withdrawn,
    )


async def erase_feedback(connection: asyncpg.Connection, user: int) -> None:
    """Take away everything the person wrote; that an answer was good or bad stays."""
    await connection.execute(
        "UPDATE feedback.feedback SET comment = NULL, edited = NULL"
        " WHERE user_id = $1 AND (comment IS NOT NULL OR edited IS NOT NULL)",
        user,
    )


async def list_feedback(
    connection: asyncpg.Connection, asked: FeedbackQuestion
) -> list[FeedbackRow]:
    """Return what fits the question, the newest first."""
    before_us, before_turn = asked.before or (None, "")
    rows = await connection.fetch(
        _LIST,
        asked.org_id,
        asked.user,
        asked.since_us,
        asked.until_us,
        asked.rating,
        asked.model,
        asked.flag,
        asked.variant,
        before_us,
        before_turn,
        asked.limit,
    )
    return [FeedbackRow(*row) for row in rows]


async def read_feedback(
    connection: asyncpg.Connection, user: int, turn_id: str
) -> FeedbackRow | None:
    """Return what was said of an answer, None when nothing was."""
    row = await connection.fetchrow(_ONE, user, turn_id)
    return None if row is None else FeedbackRow(*row)
