"""The SQL of stored chat completions: what the projector writes and what a reader gets."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import asyncpg
import msgspec

from axon.conversations.placed import TURN_FORGOTTEN, TURN_METADATA
from axon.conversations.projecting import without_nul
from axon.records import ConversationChanged, Record, TurnCompleted

CHAT = "chat"
"""The surface of the turns that are chat completions."""

# Told again after it was forgotten, a turn is not stored any more, and stays away.
_INSERT = """
INSERT INTO conversations.chat_completions (user_id, id, model, metadata, request)
SELECT new.user_id, new.id, new.model, new.metadata::jsonb, new.request
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bytea[])
    AS new (user_id, id, model, metadata, request)
JOIN conversations.turns AS t ON t.user_id = new.user_id AND t.id = new.id AND t.stored
ON CONFLICT (user_id, id) DO NOTHING
"""

_SET_METADATA = """
UPDATE conversations.chat_completions AS c SET metadata = new.metadata::jsonb
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS new (user_id, id, metadata)
WHERE c.user_id = new.user_id AND c.id = new.id
"""

_FORGET = """
DELETE FROM conversations.chat_completions AS c
USING unnest($1::bigint[], $2::text[]) AS gone (user_id, id)
WHERE c.user_id = gone.user_id AND c.id = gone.id
"""

_ROW = """
SELECT c.id, c.model, c.metadata, c.request, t.answer
FROM conversations.chat_completions AS c
JOIN conversations.turns AS t ON t.user_id = c.user_id AND t.id = c.id
WHERE c.user_id = $1 AND t.answer IS NOT NULL
"""

_THESE = _ROW + " AND c.id = ANY($2::text[])"

_PAGE = (
    _ROW
    + """
    AND ($2::text IS NULL OR c.id {after} $2) AND ($3::text IS NULL OR c.model = $3)
    AND ($4::text IS NULL OR (c.metadata <> '{{}}' AND c.metadata @> $4::jsonb))
    AND c.id <> ALL($5::text[])
ORDER BY c.id {order} LIMIT $6
"""
)

_PAGES = {
    "asc": _PAGE.format(after=">", order="ASC"),
    "desc": _PAGE.format(after="<", order="DESC"),
}


class ChatRow(NamedTuple):
    """A stored chat completion, request and answer sealed."""

    completion_id: str
    model: str
    metadata: dict[str, str]
    request: bytes
    answer: bytes


class ChatFilter(NamedTuple):
    """Which completions a page holds; None asks for nothing of a kind."""

    after: str | None
    model: str | None
    metadata: dict[str, str]
    limit: int
    order: Literal["asc", "desc"]


def is_chat_change(record: Record) -> bool:
    """Return whether the record is about a stored chat completion."""
    if isinstance(record, TurnCompleted):
        return record.head.surface == CHAT and record.head.stored
    if isinstance(record, ConversationChanged):
        return not record.conversation_id and record.change in (TURN_METADATA, TURN_FORGOTTEN)
    return False


def after_record(row: ChatRow | None, record: Record) -> ChatRow | None:
    """Return the completion after the record; None when it is gone, or was never there."""
    if isinstance(record, TurnCompleted):
        head = record.head
        request = record.input[0].blob
        return ChatRow(head.turn_id, head.model, head.metadata, request, record.answer)
    if isinstance(record, ConversationChanged) and row is not None:
        if record.change == TURN_METADATA:
            return row._replace(metadata=record.metadata)
        return None
    return row


async def write_chat_completions(connection: asyncpg.Connection, records: Sequence[Record]) -> None:
    """Write what the records say of stored chat completions; their turns are written already."""
    told = [record for record in records if is_chat_change(record)]
    made: list[tuple[Any, ...]] = []
    changed: dict[tuple[int, str], str] = {}
    forgotten: list[tuple[int, str]] = []
    for record in told:
        if isinstance(record, TurnCompleted):
            head = record.head
            request = record.input[0].blob
            pairs = _metadata_json(head.metadata)
            made.append((head.user, head.turn_id, without_nul(head.model), pairs, request))
        elif isinstance(record, ConversationChanged):
            if record.change == TURN_METADATA:
                changed[record.user, record.item_id] = _metadata_json(record.metadata)
            else:
                forgotten.append((record.user, record.item_id))
    if made:
        await connection.execute(_INSERT, *zip(*made, strict=True))
    if changed:
        rows = [(*key, pairs) for key, pairs in changed.items()]
        await connection.execute(_SET_METADATA, *zip(*rows, strict=True))
    if forgotten:
        await connection.execute(_FORGET, *zip(*forgotten, strict=True))


async def erase_chat_completions(connection: asyncpg.Connection, user: int) -> None:
    """Delete the person's stored chat completions."""
    await connection.execute("DELETE FROM conversations.chat_completions WHERE user_id = $1", user)


async def read_these(
    connection: asyncpg.Connection, user: int, completion_ids: Sequence[str]
) -> dict[str, ChatRow]:
    """Return those of the completions that PostgreSQL has."""
    rows = await connection.fetch(_THESE, user, completion_ids)
    return {row["id"]: _row(row) for row in rows}


async def read_chat_page(
    connection: asyncpg.Connection, user: int, wanted: ChatFilter, without: Sequence[str]
) -> list[ChatRow]:
    """Return the page and one more, without those that are looked at elsewhere."""
    pairs = msgspec.json.encode(wanted.metadata).decode() if wanted.metadata else None
    rows = await connection.fetch(
        _PAGES[wanted.order], user, wanted.after, wanted.model, pairs, without, wanted.limit + 1
    )
    return [_row(row) for row in rows]


def _row(row: asyncpg.Record) -> ChatRow:
    metadata = msgspec.json.decode(row["metadata"], type=dict[str, str])
    return ChatRow(row["id"], row["model"], metadata, row["request"], row["answer"])


def _metadata_json(metadata: dict[str, str]) -> str:
    storable = {without_nul(key): without_nul(value) for key, value in metadata.items()}
    return msgspec.json.encode(storable).decode()
