"""The feed's SQL: each person's changes, numbered in the order in which they are committed."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from axon.base import MICROS_PER_SECOND
from axon.conversations.changes import Change

RETENTION_US = 30 * 86_400 * MICROS_PER_SECOND
"""How long a change is kept at least. A device away for longer lists everything anew, which is
less than the changes of a month."""

EXPIRE_EVERY = 64
EXPIRE_MAX = 4 * EXPIRE_EVERY
"""After so many changes of a person the oldest are looked at, more of them than were added."""

# Rows are taken in one order everywhere, and each stays locked until the transaction commits.
_NUMBER = """
INSERT INTO conversations.feeds AS f (user_id, position)
SELECT new.user_id, new.changes FROM unnest($1::bigint[], $2::bigint[]) AS new (user_id, changes)
ORDER BY new.user_id
ON CONFLICT (user_id) DO UPDATE SET position = f.position + excluded.position
RETURNING user_id, position
"""

# The oldest are looked at in the order of their positions, which needs no index by time.
_EXPIRE = """
WITH gone AS (
    DELETE FROM conversations.changes AS c USING (
        SELECT person.user_id, first.position
        FROM unnest($1::bigint[]) AS person (user_id), LATERAL (
            SELECT position, at_us FROM conversations.changes
            WHERE user_id = person.user_id ORDER BY position LIMIT $3
        ) AS first
        WHERE first.at_us < extract(epoch FROM now()) * 1000000 - $2
    ) AS old
    WHERE c.user_id = old.user_id AND c.position = old.position
    RETURNING c.user_id, c.position
)
UPDATE conversations.feeds AS f SET expired_through = greatest(f.expired_through, last.position)
FROM (SELECT user_id, max(position) AS position FROM gone GROUP BY user_id) AS last
WHERE f.user_id = last.user_id
"""

_COLUMNS = (
    *("user_id", "position", "at_us", "conversation_id"),
    *("sequence", "kind", "turn_id", "item_ids"),
)


class ChangeRow(NamedTuple):
    """A change on its way into the feed of a person."""

    user: int
    conversation_id: str
    sequence: int
    at_us: int
    change: Change


async def write_changes(connection: asyncpg.Connection, changes: Sequence[ChangeRow]) -> None:
    """Number the changes, in this order, behind those of each person, and write them.

    Whoever numbers a person's changes keeps others from doing so until the transaction commits: a
    reader that has seen a position has seen all below it.
    """
    if not changes:
        return
    counts = Counter(row.user for row in changes)
    ends = await connection.fetch(_NUMBER, list(counts), list(counts.values()))
    place = {user: position - counts[user] for user, position in ends}
    due = [user for user, end in ends if place[user] // EXPIRE_EVERY != end // EXPIRE_EVERY]
    rows = []
    for user, conversation_id, sequence, at_us, change in changes:
        place[user] += 1
        told = (sequence, change.kind, change.turn_id, list(change.item_ids))
        rows.append((user, place[user], at_us, conversation_id, *told))
    await connection.copy_records_to_table(
        "changes", schema_name="conversations", columns=_COLUMNS, records=rows
    )
    if due:
        await connection.execute(_EXPIRE, due, RETENTION_US, EXPIRE_MAX)
