"""The archive's SQL: its objects, which conversations are to go there, and how much is there."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from axon.archive.frames import CONTENT_BYTES_MAX
from axon.conversations import ColdFrame

WRITING = "writing"
KEPT = "kept"
DROPPED = "dropped"

# Held ones stay where auditors look, running ones where they run, and what waits to be applied
# must find its conversation as it was. What is too large for a frame stays as well.
_DUE = """
SELECT c.created_us, c.user_id, c.id, c.head_sequence, c.updated_us,
    coalesce(o.region, '') AS region
FROM conversations.conversations AS c
LEFT JOIN accounts.orgs AS o ON o.id = c.org_id
WHERE NOT c.cold AND NOT c.items_deleted AND c.created_us < $1
    AND (c.created_us, c.user_id, c.id) > ($2, $3, $4)
    AND c.updated_us < $1 AND c.warmed_us < $1
    AND (
        SELECT sum(octet_length(i.blob)) FROM conversations.items AS i
        WHERE i.user_id = c.user_id AND i.conversation_id = c.id
    ) < $5
    AND NOT EXISTS (
        SELECT FROM audit.holds AS h WHERE h.user_id = c.user_id AND h.released_us = 0
            AND h.conversation_id IN ('', c.id)
    )
    AND NOT EXISTS (
        SELECT FROM conversations.turns AS t WHERE t.user_id = c.user_id
            AND t.conversation_id = c.id AND t.status = 'in_progress'
    )
    AND NOT EXISTS (
        SELECT FROM conversations.leases AS l WHERE l.user_id = c.user_id
            AND l.conversation_id = c.id
            AND (l.expires_at > now() OR l.head_sequence > c.head_sequence)
    )
    AND NOT EXISTS (SELECT FROM projection.parked AS p WHERE p.conversation_id = c.id)
ORDER BY c.created_us, c.user_id, c.id LIMIT $6
"""

_COUNT_DUE = """
SELECT count(*) FROM conversations.conversations AS c
WHERE NOT c.cold AND NOT c.items_deleted AND c.created_us < $1
    AND c.updated_us < $1 AND c.warmed_us < $1
"""

_HELD = """
SELECT EXISTS (
    SELECT FROM audit.holds WHERE user_id = $1 AND released_us = 0
        AND conversation_id IN ('', $2)
)
"""

_EXPIRED = """
SELECT f.user_id, f.conversation_id, f.object, f.start_byte, f.bytes, f.sha256, f.items,
    f.newest_us, f.cooled_us, f.gone
FROM conversations.cold AS f
JOIN conversations.conversations AS c ON c.user_id = f.user_id AND c.id = f.conversation_id
WHERE c.updated_us < $1 AND NOT EXISTS (
    SELECT FROM audit.holds AS h WHERE h.user_id = c.user_id AND h.released_us = 0
        AND h.conversation_id IN ('', c.id)
) LIMIT $2
"""

# An object some of whose frames nothing refers to any more: they are to go.
_FRAYED = """
SELECT o.path FROM archive.objects AS o WHERE o.state = 'kept' AND o.frames > (
    SELECT count(*) FROM conversations.cold AS f WHERE f.object = o.path
) ORDER BY o.since_us LIMIT $1
"""

_FRAMES_IN = """
SELECT user_id, conversation_id, object, start_byte, bytes, sha256, items, newest_us, cooled_us,
    gone
FROM conversations.cold WHERE object = $1 ORDER BY start_byte
"""

_MOVE = """
UPDATE conversations.cold SET object = $3, start_byte = $4
WHERE user_id = $1 AND conversation_id = $2 AND object = $5
"""

_FIND = """
SELECT user_id, conversation_id, object, start_byte, bytes, sha256, items, newest_us, cooled_us,
    gone
FROM conversations.cold WHERE conversation_id = $1
"""

_HOLDINGS = """
SELECT (SELECT count(*) FROM conversations.cold) AS conversations,
    (SELECT coalesce(sum(items), 0) FROM conversations.cold)::bigint AS items,
    (SELECT coalesce(sum(bytes), 0) FROM conversations.cold)::bigint AS bytes,
    (SELECT count(*) FROM archive.objects WHERE state = 'kept') AS objects,
    (SELECT coalesce(sum(bytes), 0) FROM archive.objects WHERE state = 'kept')::bigint
        AS object_bytes,
    (SELECT count(*) FROM archive.objects WHERE state = 'dropped') AS dropped
"""


class Due(NamedTuple):
    """A conversation that is to go into the archive."""

    created_us: int
    user: int
    conversation_id: str
    head_sequence: int
    updated_us: int
    region: str

    @property
    def point(self) -> tuple[int, int, str]:
        """Return where it stands in the order they are listed in."""
        return self.created_us, self.user, self.conversation_id


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """What the archive holds."""

    conversations: int
    items: int
    bytes: int
    """Of their frames."""
    objects: int
    object_bytes: int
    """With frames that nothing refers to any more."""
    dropped: int
    """Objects that wait to be deleted."""


async def list_due(
    connection: asyncpg.Connection, before_us: int, after: tuple[int, int, str], limit: int
) -> list[Due]:
    """Return conversations that nobody touched since an instant, behind a point of the order."""
    rows = await connection.fetch(_DUE, before_us, *after, CONTENT_BYTES_MAX, limit)
    return [Due(*row.values()) for row in rows]


async def count_untouched(connection: asyncpg.Connection, before_us: int) -> int:
    """Return how many were not touched since an instant, those that have to stay with them."""
    count: int = await connection.fetchval(_COUNT_DUE, before_us)
    return count


async def is_held(connection: asyncpg.Connection, place: tuple[int, str]) -> bool:
    """Return whether the conversation (user, id) is under a legal hold."""
    held: bool = await connection.fetchval(_HELD, *place)
    return held


async def begin_object(
    connection: asyncpg.Connection, path: str, frames: int, size: int, now_us: int
) -> None:
    """Note an object that is about to be written."""
    await connection.execute(
        "INSERT INTO archive.objects VALUES ($1, $2, $3, $4, $5)",
        path, WRITING, frames, size, now_us,
    )  # fmt: skip


async def keep_object(connection: asyncpg.Connection, path: str, now_us: int) -> bool:
    """Say that the object is referred to from now on; return False when it was given up."""
    done = await connection.execute(
        "UPDATE archive.objects SET since_us = CASE state WHEN $2 THEN since_us ELSE $3 END,"
        " state = $2 WHERE path = $1 AND state <> $4",
        path, KEPT, now_us, DROPPED,
    )  # fmt: skip
    return str(done) == "UPDATE 1"


async def give_up_unfinished(
    connection: asyncpg.Connection, begun_before_us: int, now_us: int
) -> int:
    """Let go of objects whose writer is gone; return how many.

    Nothing refers to them here; after an old backup was restored, a later one may.
    """
    done = await connection.execute(
        "UPDATE archive.objects SET state = $1, since_us = $4 WHERE state = $2 AND since_us < $3",
        DROPPED, WRITING, begun_before_us,
        now_us,
    )  # fmt: skip
    return int(done.rpartition(" ")[2])


async def drop_object(connection: asyncpg.Connection, path: str, now_us: int) -> bool:
    """Let go of an object to which nothing refers any more; return whether that is so."""
    done = await connection.execute(
        "UPDATE archive.objects SET state = $2, since_us = $3 WHERE path = $1 AND state = $4"
        " AND NOT EXISTS (SELECT FROM conversations.cold WHERE object = $1)",
        path, DROPPED, now_us, KEPT,
    )  # fmt: skip
    return str(done) == "UPDATE 1"


async def list_dropped(connection: asyncpg.Connection, before_us: int, limit: int) -> list[str]:
    """Return objects that were let go of before an instant."""
    rows = await connection.fetch(
        "SELECT path FROM archive.objects WHERE state = $1 AND since_us < $2"
        " ORDER BY since_us LIMIT $3",
        DROPPED, before_us, limit,
    )  # fmt: skip
    return [row[0] for row in rows]


async def forget_object(connection: asyncpg.Connection, path: str) -> None:
    """Forget an object that is deleted."""
    await connection.execute("DELETE FROM archive.objects WHERE path = $1", path)


async def list_frayed(connection: asyncpg.Connection, limit: int) -> list[str]:
    """Return objects some of whose frames nothing refers to any more."""
    return [row[0] for row in await connection.fetch(_FRAYED, limit)]


async def frames_in(connection: asyncpg.Connection, path: str) -> list[ColdFrame]:
    """Return the frames of an object that are referred to, in their order."""
    return _frames(await connection.fetch(_FRAMES_IN, path))


async def move_frame(
    connection: asyncpg.Connection, frame: ColdFrame, path: str, start_byte: int
) -> None:
    """Say that a frame is in another object, unless the conversation has left meanwhile."""
    await connection.execute(
        _MOVE, frame.user, frame.conversation_id, path, start_byte, frame.object
    )


async def list_expired(
    connection: asyncpg.Connection, before_us: int, limit: int
) -> list[ColdFrame]:
    """Return cold conversations untouched since an instant that nobody holds."""
    return _frames(await connection.fetch(_EXPIRED, before_us, limit))


async def find_frame(connection: asyncpg.Connection, conversation_id: str) -> ColdFrame | None:
    """Return where a conversation of anybody's is, None when it is not in the archive."""
    found = _frames(await connection.fetch(_FIND, conversation_id))
    return found[0] if found else None


async def read_holdings(connection: asyncpg.Connection) -> Holdings:
    """Return what the archive holds."""
    row = await connection.fetchrow(_HOLDINGS)
    assert row is not None
    return Holdings(**row)


def _frames(rows: Sequence[asyncpg.Record]) -> list[ColdFrame]:
    return [ColdFrame(*row.values()) for row in rows]
