"""The SQL of training data: who agreed, and the turns whose people did, with what was thought of
them."""

from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from axon.records import TrainingConsent

_WRITE = """
INSERT INTO training.consents AS there (org_id, user_id, consent, at_us) VALUES ($1, $2, $3, $4)
ON CONFLICT (org_id, user_id) DO UPDATE SET consent = excluded.consent, at_us = excluded.at_us
WHERE (excluded.at_us, excluded.consent) > (there.at_us, there.consent)
"""

_COLUMNS = """
SELECT t.turn_id, t.user_id, t.conversation_id, t.surface, t.accepted_us, t.verdicts, t.request,
    t.content, coalesce(c.stored, false) AS stored, coalesce(f.rating, '') AS rating,
    coalesce(f.preferred_over, '') AS preferred_over, f.edited IS NOT NULL AS was_edited,
    coalesce(m.ours, false) AS ours, coalesce(h.region, o.region, '') AS region,
    coalesce(p.consent, 'off') AS policy, coalesce(y.consent, '') AS consent
FROM audit.turns AS t
LEFT JOIN feedback.feedback AS f
    ON f.user_id = t.user_id AND f.turn_id = t.turn_id AND NOT f.withdrawn
LEFT JOIN conversations.turns AS c ON c.user_id = t.user_id AND c.id = t.turn_id
LEFT JOIN metering.turns AS m ON m.user_id = t.user_id AND m.turn_id = t.turn_id
LEFT JOIN accounts.orgs AS o ON o.id = t.org_id
LEFT JOIN accounts.homes AS h ON h.user_id = t.user_id AND h.org_id = t.org_id
LEFT JOIN training.consents AS p ON p.org_id = t.org_id AND p.user_id = -1
LEFT JOIN training.consents AS y ON y.org_id = t.org_id AND y.user_id = t.user_id
"""

# Few turns are judged, and all of them are found by their feedback.
_JUDGED_COLUMNS = _COLUMNS.replace("LEFT JOIN feedback", "JOIN feedback")

_WHICH = """
WHERE t.org_id = $1 AND t.accepted_us >= $2 AND t.accepted_us < $3 AND t.status = 'completed'
    AND ($4 = '' OR t.model = $4 OR t.variant_model = $4)
    AND (t.accepted_us, t.turn_id) > ($5, $6)
"""

_PAGE, _JUDGED_PAGE = (
    f"{columns} {_WHICH} ORDER BY t.accepted_us, t.turn_id LIMIT $7"
    for columns in (_COLUMNS, _JUDGED_COLUMNS)
)

_ONE = (
    f"{_COLUMNS} WHERE t.org_id = $1 AND t.user_id = $2 AND t.turn_id = $3"
    " AND t.status = 'completed'"
)

_DISLIKED = f"""
{_JUDGED_COLUMNS}
WHERE t.org_id = $1 AND t.user_id = $2 AND t.surface = $3 AND f.rating = 'down'
    AND t.status = 'completed'
ORDER BY abs(t.accepted_us - $4), t.turn_id LIMIT $5
"""

COUNTED_MAX = 100_000
"""Turns that are counted for a progress bar; nobody waits for more."""

_JUDGED = """
JOIN feedback.feedback AS f ON f.user_id = t.user_id AND f.turn_id = t.turn_id AND NOT f.withdrawn
"""

_COUNT, _JUDGED_COUNT = (
    f"SELECT count(*) FROM (SELECT FROM audit.turns AS t {joined} {_WHICH} LIMIT $7) AS found"  # noqa: S608
    for joined in ("", _JUDGED)
)  # text of ours alone

_ITEMS = """
SELECT turn_id, output, item_id, blob FROM conversations.items
WHERE user_id = $1 AND conversation_id = $2 AND sequence <= (
    SELECT max(sequence) FROM conversations.items
    WHERE user_id = $1 AND conversation_id = $2 AND turn_id = $3
) ORDER BY sequence, index LIMIT $4
"""


class TurnRow(NamedTuple):
    """A turn that was completed, sealed, with what decides whether it may be used."""

    turn_id: str
    user: int
    conversation_id: str
    surface: str
    accepted_us: int
    verdicts: list[str]
    request: bytes | None
    content: bytes | None
    stored: bool
    rating: str
    preferred_over: str
    was_edited: bool
    ours: bool
    """Whether Axon asked by itself, as for a summary."""
    region: str
    policy: str
    consent: str


class ItemRow(NamedTuple):
    """An item of a conversation, sealed."""

    turn_id: str
    output: bool
    item_id: str
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingQuestion:
    """Which turns are looked at; an empty model is any."""

    org_id: str
    since_us: int
    until_us: int
    model: str = ""
    judged: bool = False
    """Only turns that somebody thought something of."""
    after: tuple[int, str] = (0, "")
    """Instant and id of the last turn that was looked at."""
    limit: int = 50


async def write_consent(connection: asyncpg.Connection, record: TrainingConsent) -> None:
    """Keep what the record says, unless something newer is there; within the transaction."""
    await connection.execute(_WRITE, record.org_id, record.user, record.consent, record.at_us)


async def read_consent(connection: asyncpg.Connection, org_id: str, user: int) -> str:
    """Return what was said, "" for nothing."""
    found: str | None = await connection.fetchval(
        "SELECT consent FROM training.consents WHERE org_id = $1 AND user_id = $2", org_id, user
    )
    return found or ""


async def read_page(connection: asyncpg.Connection, asked: TrainingQuestion) -> list[TurnRow]:
    """Return the next turns, the oldest first."""
    statement = _JUDGED_PAGE if asked.judged else _PAGE
    rows = await connection.fetch(statement, *_which(asked), asked.limit)
    return [TurnRow(*row) for row in rows]


async def count_turns(connection: asyncpg.Connection, asked: TrainingQuestion) -> int | None:
    """Return how many turns the whole export looks at; None for COUNTED_MAX and more."""
    statement = _JUDGED_COUNT if asked.judged else _COUNT
    found: int = await connection.fetchval(statement, *_which(asked), COUNTED_MAX)
    return found if found < COUNTED_MAX else None


def _which(asked: TrainingQuestion) -> tuple[object, ...]:
    return (asked.org_id, asked.since_us, asked.until_us, asked.model, *asked.after)


async def read_one(
    connection: asyncpg.Connection, org_id: str, user: int, turn_id: str
) -> TurnRow | None:
    """Return one completed turn, None when there is none."""
    row = await connection.fetchrow(_ONE, org_id, user, turn_id)
    return None if row is None else TurnRow(*row)


async def read_disliked(
    connection: asyncpg.Connection, org_id: str, turn: TurnRow, limit: int
) -> list[TurnRow]:
    """Return answers that the same person found bad, the nearest in time first."""
    rows = await connection.fetch(
        _DISLIKED, org_id, turn.user, turn.surface, turn.accepted_us, limit
    )
    return [TurnRow(*row) for row in rows]


async def read_items(connection: asyncpg.Connection, turn: TurnRow, limit: int) -> list[ItemRow]:
    """Return the items of the turn's conversation up to its own; none where it is not there."""
    rows = await connection.fetch(_ITEMS, turn.user, turn.conversation_id, turn.turn_id, limit)
    return [ItemRow(*row) for row in rows]
