"""Stored chat completions: listed, found and given metadata, as acknowledged.

A completion is a turn outside any conversation. It is forgotten as every turn is, by
`Changing.forget_turn`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from axon.base import TaskOwner
from axon.conversations.chat_store import (
    ChatFilter,
    ChatRow,
    after_record,
    read_chat_page,
    read_these,
)
from axon.conversations.errors import HistoryUnavailable, TurnNotFound
from axon.conversations.finding import ANSWER_ITEM
from axon.conversations.loading import LOAD_TIMEOUT_S
from axon.conversations.opening import Opener
from axon.conversations.parts import ConversationsParts
from axon.conversations.placed import TURN_METADATA
from axon.conversations.recording import CHANGE_PREFIX
from axon.conversations.tail import Tail
from axon.conversations.values import Owner
from axon.journal import Location
from axon.records import ConversationChanged, Record, decode, encode
from axon.stores import PostgresAway

REQUEST_ITEM = "request"
"""The name under which a turn's request is bound to its place."""

TAIL_COMPLETIONS_MAX = 5_000
"""Of one person, made or changed in the last moments: more says that PostgreSQL is far behind, and
a list would be read from the journal alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChat:
    """A stored chat completion, opened."""

    completion_id: str
    model: str
    metadata: Mapping[str, str]
    request: bytes
    """The client's body."""
    answer: bytes
    """The completion as its client saw it, put together when it was streamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPage:
    """Some completions in the order asked for."""

    completions: tuple[StoredChat, ...]
    has_more: bool


class ChatCompletions:
    """The stored chat completions of one process: PostgreSQL, brought up to date with the tail.

    Every call raises HistoryUnavailable when PostgreSQL is needed and away.
    """

    def __init__(
        self, parts: ConversationsParts, tail: Tail, opener: Opener, tasks: TaskOwner
    ) -> None:
        """Read through `opener`; changes are made durable by tasks of `tasks`."""
        self._parts = parts
        self._tail = tail
        self._opener = opener
        self._tasks = tasks

    async def page(self, owner: Owner, wanted: ChatFilter) -> ChatPage:
        """Return at most `wanted.limit` completions of the person, in the order of their making."""
        known = await self._known(owner, wanted)  # before PostgreSQL, so that none is missed
        try:
            async with self._parts.postgres.connection(LOAD_TIMEOUT_S) as connection:
                rows = await read_these(connection, owner.user, list(known)) if known else {}
                found = await read_chat_page(connection, owner.user, wanted, list(known))
        except PostgresAway as away:
            raise HistoryUnavailable("PostgreSQL is away") from away
        for completion_id, records in known.items():
            row = _folded(rows.get(completion_id), records)
            if row is not None and _is_wanted(row, wanted):
                found.append(row)
        found.sort(key=attrgetter("completion_id"), reverse=wanted.order == "desc")
        opened = [await self._open(owner, row) for row in found[: wanted.limit]]
        return ChatPage(
            completions=tuple(one for one in opened if one is not None),
            has_more=len(found) > wanted.limit,
        )

    async def find(self, owner: Owner, completion_id: str) -> StoredChat:
        """Return the completion; raises TurnNotFound, also when it was not stored or is gone."""
        places = self._tail.chat.places(owner.user, completion_id)
        row = _folded(None, await self._read(places))
        if row is None:
            row = await self._projected(owner, completion_id)
            row = _folded(row, await self._read(places))
        opened = None if row is None else await self._open(owner, row)
        if opened is None:
            raise TurnNotFound
        return opened

    async def update_metadata(
        self, owner: Owner, credential_id: str, completion_id: str, metadata: Mapping[str, str]
    ) -> StoredChat:
        """Return the completion with its metadata replaced, durable; raises TurnNotFound.

        It is made even if the caller is cancelled once it was journaled. Raises what the journal
        raises.
        """
        found = await self.find(owner, completion_id)
        parts = self._parts
        parts.journal.admit()
        change = ConversationChanged(
            change_id=parts.mint.mint(CHANGE_PREFIX, owner.org_id, owner.user),
            org_id=owner.org_id,
            user=owner.user,
            credential_id=credential_id,
            conversation_id="",
            sequence=0,
            fence=0,
            at_us=parts.clock.now_us(),
            change=TURN_METADATA,
            metadata=dict(metadata),
            item_id=completion_id,
            items=[],
        )
        durable = parts.journal.append(*encode(change))
        await asyncio.shield(self._tasks.start(self._note(change, durable), "note change"))
        return StoredChat(
            completion_id=completion_id,
            model=found.model,
            metadata=change.metadata,
            request=found.request,
            answer=found.answer,
        )

    async def _note(self, change: ConversationChanged, durable: "asyncio.Future[Location]") -> None:
        self._tail.note(change, await durable)

    async def _known(self, owner: Owner, wanted: ChatFilter) -> dict[str, list[Record]]:
        """Return the records that PostgreSQL may lack, by completion."""
        chat = self._tail.chat
        ids = [one for one in chat.ids(owner.user) if _follows(one, wanted)]
        if len(ids) > TAIL_COMPLETIONS_MAX:
            raise HistoryUnavailable("PostgreSQL is behind")
        places = {one: chat.places(owner.user, one) for one in ids}
        return {one: await self._read(locations) for one, locations in places.items()}

    async def _projected(self, owner: Owner, completion_id: str) -> ChatRow | None:
        try:
            async with self._parts.postgres.connection(LOAD_TIMEOUT_S) as connection:
                rows = await read_these(connection, owner.user, [completion_id])
        except PostgresAway as away:
            raise HistoryUnavailable("PostgreSQL is away") from away
        return rows.get(completion_id)

    async def _open(self, owner: Owner, row: ChatRow) -> StoredChat | None:
        """Return the completion opened; None when its key was erased."""
        turn_id = row.completion_id
        request = await self._opener.open(owner, ("", turn_id, REQUEST_ITEM), row.request)
        answer = await self._opener.open(owner, ("", turn_id, ANSWER_ITEM), row.answer)
        if request is None or answer is None:
            return None
        return StoredChat(
            completion_id=turn_id,
            model=row.model,
            metadata=row.metadata,
            request=request,
            answer=answer,
        )

    async def _read(self, places: Sequence[Location]) -> list[Record]:
        """Return the records at these places, read from the journal in a thread."""
        if not places:
            return []
        entries = await asyncio.to_thread(
            lambda: [self._parts.journal.entry_at(place) for place in places]
        )
        return [decode(entry.kind, entry.payload) for entry in entries]


def _folded(row: ChatRow | None, records: Sequence[Record]) -> ChatRow | None:
    for record in records:
        row = after_record(row, record)
    return row


def _follows(completion_id: str, wanted: ChatFilter) -> bool:
    if wanted.after is None:
        return True
    if wanted.order == "asc":
        return completion_id > wanted.after
    return completion_id < wanted.after


def _is_wanted(row: ChatRow, wanted: ChatFilter) -> bool:
    if wanted.model is not None and row.model != wanted.model:
        return False
    return wanted.metadata.items() <= row.metadata.items()
