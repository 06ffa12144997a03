"""A person's conversations, page by page, in the order in which they were created."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Literal

import asyncpg
import msgspec

from axon.conversations.errors import HistoryUnavailable
from axon.conversations.loading import LOAD_TIMEOUT_S
from axon.conversations.overlay import overlay
from axon.conversations.reading import Reading
from axon.conversations.store import STATE_COLUMNS, StateRow, read_states, state_row
from axon.conversations.tail import Tail
from axon.conversations.values import Conversation, Owner
from axon.records import Record
from axon.stores import Postgres, PostgresAway

TAIL_CONVERSATIONS_MAX = 5_000
"""Of one person, changed in the last moments: more says that PostgreSQL is far behind, and a list
would be read from the journal alone."""

_LIST = """
SELECT id, {columns} FROM conversations.conversations
WHERE user_id = $1 AND NOT implicit AND deleted_us IS NULL
    AND id COLLATE "C" {after} $2
    AND ($3::boolean IS NULL OR archived = $3) AND metadata @> $4::jsonb
    AND ($5::text IS NULL OR model = $5) AND id <> ALL($6::text[])
ORDER BY id COLLATE "C" {order} LIMIT $7
"""

_LISTS = {
    "asc": _LIST.format(columns=STATE_COLUMNS, after=">", order="ASC"),
    "desc": _LIST.format(columns=STATE_COLUMNS, after="<", order="DESC"),
}


_BEFORE_ALL = {"asc": "", "desc": "~"}
"""What the ids of a first page follow: no id sorts before the one or behind the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which conversations are asked for; None asks for nothing of a kind."""

    limit: int
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    """The conversation before the first, which need not be there any more."""
    archived: bool | None = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Pairs that the conversation's metadata must hold."""
    model: str | None = None
    """The alias that answered last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationPage:
    """Some conversations in the order asked for."""

    conversations: tuple[Conversation, ...]
    has_more: bool


class Listing:
    """Lists what PostgreSQL has, with what the tail knows better in its place."""

    def __init__(self, postgres: Postgres, tail: Tail, reading: Reading) -> None:
        """`reading` opens titles."""
        self._postgres = postgres
        self._tail = tail
        self._reading = reading

    async def page(self, owner: Owner, wanted: Wanted) -> ConversationPage:
        """Return at most `wanted.limit` of the person's conversations, as acknowledged.

        Chains of responses are not among them. Raises HistoryUnavailable while PostgreSQL is away.
        """
        changed = await self._changed(owner, wanted)  # before PostgreSQL, so that none is missed
        try:
            async with self._postgres.connection(LOAD_TIMEOUT_S) as connection:
                states = await read_states(connection, owner.user, list(changed))
                found = await _read_list(connection, owner.user, wanted, list(changed))
        except PostgresAway as away:
            raise HistoryUnavailable("PostgreSQL is away") from away
        for name, records in changed.items():
            view = overlay(states.get(name), records)
            if view is not None and _is_wanted(view.state, wanted):
                found.append((name, view.state))
        found.sort(key=itemgetter(0), reverse=wanted.order == "desc")
        shown = [await self._reading.shown(owner, *one) for one in found[: wanted.limit]]
        return ConversationPage(conversations=tuple(shown), has_more=len(found) > wanted.limit)

    async def _changed(self, owner: Owner, wanted: Wanted) -> dict[str, list[Record]]:
        """Return the records that PostgreSQL may lack, by conversation."""
        names = [name for name in self._tail.conversations(owner.user) if _follows(name, wanted)]
        if len(names) > TAIL_CONVERSATIONS_MAX:
            raise HistoryUnavailable("PostgreSQL is behind")
        places = {name: self._tail.places(name) for name in names}
        return {name: await self._tail.read(entries) for name, entries in places.items()}


def _follows(name: str, wanted: Wanted) -> bool:
    if wanted.after is None:
        return True
    return name > wanted.after if wanted.order == "asc" else name < wanted.after


def _is_wanted(state: StateRow, wanted: Wanted) -> bool:
    if state.implicit or state.deleted:
        return False
    if wanted.archived is not None and state.archived != wanted.archived:
        return False
    if wanted.model is not None and state.model != wanted.model:
        return False
    return wanted.metadata.items() <= state.metadata.items()


async def _read_list(
    connection: asyncpg.Connection, user: int, wanted: Wanted, without: Sequence[str]
) -> list[tuple[str, StateRow]]:
    """Return the page and one more, without those that are looked at elsewhere."""
    pairs = msgspec.json.encode(dict(wanted.metadata)).decode()
    after = wanted.after or _BEFORE_ALL[wanted.order]
    filters = (after, wanted.archived, pairs, wanted.model, without)
    rows = await connection.fetch(_LISTS[wanted.order], user, *filters, wanted.limit + 1)
    return [(row["id"], state_row(row)) for row in rows]
