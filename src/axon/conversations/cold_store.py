"""Taking what a conversation says out of the tables, and putting it back: the SQL of cold ones.

What is sealed stays sealed. Everything here is done within a transaction of the caller's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from axon.conversations.changes import DELETED, Change
from axon.conversations.feed_store import ChangeRow
from axon.conversations.projecting import Rows, write_rows

Place = tuple[int, str]
"""A conversation: user and id."""

_ITEMS = """
SELECT sequence, index, item_id, turn_id, output, kind, author, status, model_tokens, blob,
    created_us
FROM conversations.items WHERE user_id = $1 AND conversation_id = $2 ORDER BY sequence, index
"""

# A turn that nobody may continue keeps its answer here: it would not be put back.
_ANSWERS = """
SELECT id, answer FROM conversations.turns
WHERE user_id = $1 AND conversation_id = $2 AND stored AND answer IS NOT NULL ORDER BY id
"""

_EVENTS = """
SELECT turn_id, events FROM conversations.turn_events
WHERE user_id = $1 AND conversation_id = $2 AND conversation_id <> '' ORDER BY turn_id
"""

# Whoever projects a record of the conversation locks this row first.
_LOCK = """
SELECT head_sequence, updated_us, cold, items_deleted, implicit, deleted_us
FROM conversations.conversations WHERE user_id = $1 AND id = $2 FOR UPDATE
"""

_ITEM_IDS = """
SELECT item_id FROM conversations.items WHERE user_id = $1 AND conversation_id = $2
ORDER BY sequence, index
"""

_COOL = """
WITH items AS (
    DELETE FROM conversations.items WHERE user_id = $1 AND conversation_id = $2
), answers AS (
    UPDATE conversations.turns SET answer = NULL WHERE user_id = $1 AND id = ANY($3::text[])
), events AS (
    DELETE FROM conversations.turn_events WHERE user_id = $1 AND turn_id = ANY($4::text[])
), changes AS (
    DELETE FROM conversations.changes WHERE user_id = $1 AND conversation_id = $2
    RETURNING position
), feed AS (
    UPDATE conversations.feeds AS f SET expired_through = greatest(f.expired_through, gone.last)
    FROM (SELECT max(position) AS last FROM changes) AS gone
    WHERE f.user_id = $1 AND gone.last IS NOT NULL
), place AS (
    INSERT INTO conversations.cold (user_id, conversation_id, object, start_byte, bytes, sha256,
        items, newest_us, cooled_us)
    VALUES ($1, $2, $5, $6, $7, $8, $9, $10, $11)
)
UPDATE conversations.conversations SET cold = true WHERE user_id = $1 AND id = $2
"""

_FRAME_COLUMNS = (
    "user_id, conversation_id, object, start_byte, bytes, sha256, items, newest_us, cooled_us, gone"
)

_FRAME = f"""
SELECT {_FRAME_COLUMNS} FROM conversations.cold WHERE user_id = $1 AND conversation_id = $2
"""  # noqa: S608 - constants

_FRAMES_OF = f"""
SELECT {_FRAME_COLUMNS} FROM conversations.cold
WHERE user_id = $1 AND conversation_id > $2 ORDER BY conversation_id LIMIT $3
"""  # noqa: S608 - constants

# What another record replaced stays away, and what was deleted meanwhile.
_RESTORE_ITEMS = """
INSERT INTO conversations.items (user_id, conversation_id, sequence, index, item_id, turn_id,
    output, kind, author, status, model_tokens, blob, created_us)
SELECT $1, $2, old.* FROM unnest($3::int[], $4::int[], $5::text[], $6::text[], $7::boolean[],
    $8::text[], $9::text[], $10::text[], $11::int[], $12::bytea[], $13::bigint[])
    AS old (sequence, index, item_id, turn_id, output, kind, author, status, model_tokens, blob,
        created_us)
JOIN conversations.places AS p ON p.user_id = $1 AND p.conversation_id = $2
    AND p.sequence = old.sequence AND p.origin_id = old.turn_id
WHERE old.item_id <> ALL ($14::text[])
"""

_RESTORE_ANSWERS = """
UPDATE conversations.turns AS t SET answer = old.answer
FROM unnest($2::text[], $3::bytea[]) AS old (id, answer)
WHERE t.user_id = $1 AND t.id = old.id AND t.stored AND t.answer IS NULL
"""

_RESTORE_EVENTS = """
INSERT INTO conversations.turn_events (user_id, turn_id, conversation_id, events)
SELECT $1, old.turn_id, $2, old.events
FROM unnest($3::text[], $4::bytea[]) AS old (turn_id, events)
JOIN conversations.turns AS t ON t.user_id = $1 AND t.id = old.turn_id AND t.answer IS NOT NULL
ON CONFLICT (user_id, turn_id) DO NOTHING
"""

_WARM = """
WITH frame AS (DELETE FROM conversations.cold WHERE user_id = $1 AND conversation_id = $2)
UPDATE conversations.conversations SET cold = false, warmed_us = $3
WHERE user_id = $1 AND id = $2
"""


class ColdItem(msgspec.Struct, frozen=True, array_like=True):
    """An item as it stood in the tables."""

    sequence: int
    index: int
    item_id: str
    turn_id: str
    output: bool
    kind: str
    author: str
    status: str
    model_tokens: int
    blob: bytes
    """Sealed."""
    created_us: int


class ColdContent(msgspec.Struct, frozen=True, array_like=True):
    """Everything a conversation says: what leaves the tables, and comes back."""

    items: tuple[ColdItem, ...]
    answers: tuple[tuple[str, bytes], ...]
    """Of turns, sealed."""
    events: tuple[tuple[str, bytes], ...]
    """What the followers of turns were shown, sealed."""

    @property
    def newest_us(self) -> int:
        """Return when the newest item was made."""
        return max((item.created_us for item in self.items), default=0)


class ColdFrame(NamedTuple):
    """Where a conversation's content is."""

    user: int
    conversation_id: str
    object: str
    start_byte: int
    length: int
    sha256: bytes
    items: int
    newest_us: int
    cooled_us: int
    gone: Sequence[str] = ()
    """Items that were deleted since."""


class Seen(NamedTuple):
    """How a conversation stood when its content was read."""

    user: int
    conversation_id: str
    head_sequence: int
    updated_us: int


async def read_content(connection: asyncpg.Connection, place: Place) -> ColdContent:
    """Return what the conversation (user, id) says, sealed."""
    items = await connection.fetch(_ITEMS, *place)
    return ColdContent(
        items=tuple(ColdItem(*row.values()) for row in items),
        answers=tuple((row[0], row[1]) for row in await connection.fetch(_ANSWERS, *place)),
        events=tuple((row[0], row[1]) for row in await connection.fetch(_EVENTS, *place)),
    )


async def cool(
    connection: asyncpg.Connection, seen: Seen, content: ColdContent, frame: ColdFrame
) -> bool:
    """Take the content out of the tables and note where it is; return whether that was right.

    It is not when anything of it changed since it was read: then everything stays as it is. Its
    old changes leave the feed with it, so that who has not seen them begins anew.
    """
    place = (seen.user, seen.conversation_id)
    state = await connection.fetchrow(_LOCK, *place)
    if state is None or state["cold"] or state["items_deleted"]:
        return False
    if (state["head_sequence"], state["updated_us"]) != (seen.head_sequence, seen.updated_us):
        return False
    there = [row[0] for row in await connection.fetch(_ITEM_IDS, *place)]
    if there != [item.item_id for item in content.items]:
        return False
    answers = [turn_id for turn_id, _ in content.answers]
    events = [turn_id for turn_id, _ in content.events]
    await connection.execute(
        _COOL, *place, answers, events, frame.object, frame.start_byte, frame.length, frame.sha256,
        frame.items, frame.newest_us, frame.cooled_us,
    )  # fmt: skip
    return True


async def read_frame(connection: asyncpg.Connection, place: Place) -> ColdFrame | None:
    """Return where the content of the conversation (user, id) is; None when it is not cold."""
    row = await connection.fetchrow(_FRAME, *place)
    return None if row is None else ColdFrame(*row.values())


async def read_frames(
    connection: asyncpg.Connection, user: int, after: str, limit: int
) -> list[ColdFrame]:
    """Return where a person's cold conversations are, by their ids."""
    rows = await connection.fetch(_FRAMES_OF, user, after, limit)
    return [ColdFrame(*row.values()) for row in rows]


async def warm(
    connection: asyncpg.Connection, frame: ColdFrame, content: ColdContent, now_us: int
) -> bool:
    """Put the content back where it stood; return whether it was still to be put back.

    What was deleted, forgotten or replaced meanwhile stays away.
    """
    place = (frame.user, frame.conversation_id)
    state = await connection.fetchrow(_LOCK, *place)
    standing = await read_frame(connection, place)
    if state is None or standing is None or standing.sha256 != frame.sha256:
        return False
    gone = list(standing.gone)
    if content.items:
        columns = [list(column) for column in zip(*map(_fields, content.items), strict=True)]
        await connection.execute(_RESTORE_ITEMS, *place, *columns, gone)
    if content.answers:
        await connection.execute(_RESTORE_ANSWERS, frame.user, *_columns(content.answers))
    cut = {item.turn_id for item in content.items if item.item_id in gone}
    events = [(turn_id, told) for turn_id, told in content.events if turn_id not in cut]
    if events:
        await connection.execute(_RESTORE_EVENTS, *place, *_columns(events))
    await connection.execute(_WARM, *place, now_us)
    return True


async def mark_warm(connection: asyncpg.Connection, place: Place, now_us: int) -> None:
    """Say that nothing of the conversation is in the archive any more, unless something is."""
    if await connection.fetchrow(_LOCK, *place) and await read_frame(connection, place) is None:
        await connection.execute(_WARM, *place, now_us)


async def forget_cold(connection: asyncpg.Connection, frame: ColdFrame, now_us: int) -> bool:
    """Delete a cold conversation with everything it says, as its person would.

    Return whether it was still cold.
    """
    place = (frame.user, frame.conversation_id)
    state = await connection.fetchrow(_LOCK, *place)
    if state is None or await read_frame(connection, place) is None:
        return False
    told = not state["implicit"] and state["deleted_us"] is None
    change = ChangeRow(*place, state["head_sequence"], now_us, Change(DELETED, "", ()))
    rows = Rows(
        conversations=[], members=[], turns=[], replaced=[], places=[], items=[], deleted_items=[],
        forgotten_turns=[], deleted=[], deleted_with_items=[(*place, now_us)],
        changes=[change] if told else [], ended_leases=[],
    )  # fmt: skip
    await write_rows(connection, rows)
    return True


def _fields(item: ColdItem) -> tuple[object, ...]:
    return msgspec.structs.astuple(item)


def _columns(pairs: Sequence[tuple[str, bytes]]) -> list[list[object]]:
    return [list(column) for column in zip(*pairs, strict=True)]
