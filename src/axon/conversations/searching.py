"""Searching a person's conversations: what is sealed is opened and looked through, newest first.

There is no index of the words, for it would say what nobody but the person may know. So a search
is bounded, in conversations, bytes and time, and says where the next one goes on.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from axon.base import KIB, MIB
from axon.conversations.errors import HistoryUnavailable, NotACursor, SearchBusy
from axon.conversations.feed import CatchingUp
from axon.conversations.loading import LOAD_TIMEOUT_S
from axon.conversations.matching import SealedText, match_all, snippet
from axon.conversations.opening import Opener
from axon.conversations.reading import Reading
from axon.conversations.values import Owner
from axon.sealing import item_context
from axon.stores import Postgres, PostgresAway

SEARCH_CONVERSATIONS_MAX = 500
SEARCH_BYTES_MAX = 32 * MIB
SEARCH_S = 2.0
"""Where a search ends that has not found enough; it goes on at the cursor it gives."""

SEARCHES_AT_ONCE = 2
"""Each keeps a thread busy; others wait for as long as a search may take."""

ITEM_BYTES_MAX = 1 * MIB
"""Sealed; what is larger is an image or a file, and is not looked through."""

_SLICE_ITEMS = 64
_SLICE_BYTES = 256 * KIB
"""What is opened in one go in the thread: a few milliseconds."""

_PAGE_CONVERSATIONS = 50

_CONVERSATIONS = """
SELECT id, title FROM conversations.conversations
WHERE user_id = $1 AND NOT implicit AND deleted_us IS NULL
    AND id COLLATE "C" <= $2
ORDER BY id COLLATE "C" DESC LIMIT $3
"""

_ITEMS = """
SELECT sequence, index, turn_id, item_id, blob FROM (
    SELECT *, sum(octet_length(blob)) OVER (ORDER BY sequence DESC, index DESC) AS total FROM (
        SELECT * FROM conversations.items
        WHERE user_id = $1 AND conversation_id = $2 AND (sequence, index) < ($3, $4)
            AND octet_length(blob) <= $5
        ORDER BY sequence DESC, index DESC LIMIT $6
    ) AS latest
) AS counted WHERE total - octet_length(blob) < $7 ORDER BY sequence DESC, index DESC
"""

_ABOVE_ALL = "~"
"""No id sorts behind it."""

_TOP = (2**31 - 1, 2**31 - 1)
_CURSOR = re.compile(r"(conv_[0-9a-f]{50})\.([0-9]{1,10})\.([0-9]{1,10})")


class Point(NamedTuple):
    """How far a search has come: everything from here on downwards is left."""

    conversation_id: str
    sequence: int
    item_index: int

    def cursor(self) -> str:
        """Return the point as text."""
        return f"{self.conversation_id}.{self.sequence}.{self.item_index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """One place where the words are."""

    conversation_id: str
    item_id: str | None
    """None when they are in the title."""
    title: str | None
    snippet: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """What was found, the newest conversation first."""

    hits: tuple[SearchHit, ...]
    complete: bool
    """False when a bound ended the search before enough was found."""
    cursor: str | None
    """Where the next search goes on; None when there is nothing left to search."""


@dataclass(slots=True, kw_only=True)
class _Search:
    """One search in hand."""

    owner: Owner
    needle: str
    limit: int
    deadline: float
    conversations: int = 0
    opened_bytes: int = 0


class _Slice(NamedTuple):
    """Part of a conversation that was looked through."""

    point: Point
    hits: list[tuple[Point, SearchHit]]


class Searching:
    """Searches for one process; few at once."""

    def __init__(
        self, postgres: Postgres, reading: Reading, opener: Opener, catching_up: CatchingUp
    ) -> None:
        """`opener` finds the keys; what PostgreSQL lacks is waited for."""
        self._postgres = postgres
        self._opener = opener
        self._catching_up = catching_up
        self._reading = reading
        self._free = asyncio.Semaphore(SEARCHES_AT_ONCE)

    async def search(
        self, owner: Owner, words: str, limit: int, after: str | None = None
    ) -> SearchPage:
        """Return where the person's conversations say `words`, in any case, titles included.

        Ends at a bound, then the page is not complete; go on behind its cursor. Raises
        NotACursor, SearchBusy, HistoryUnavailable.
        """
        start = None if after is None else _point(after)
        caught_up = await self._catching_up.wait(owner.user)
        try:
            async with asyncio.timeout(SEARCH_S):
                await self._free.acquire()
        except TimeoutError:
            raise SearchBusy from None
        try:
            deadline = asyncio.get_running_loop().time() + SEARCH_S
            search = _Search(owner=owner, needle=words.casefold(), limit=limit, deadline=deadline)
            page = await self._scan(search, start)
        except PostgresAway as away:
            raise HistoryUnavailable("PostgreSQL is away") from away
        finally:
            self._free.release()
        if caught_up:
            return page
        return SearchPage(hits=page.hits, complete=False, cursor=page.cursor)

    async def _scan(self, search: _Search, start: Point | None) -> SearchPage:
        """Look through slice after slice until a bound, or until enough is found."""
        hits: list[SearchHit] = []
        async with aclosing(self._slices(search, start)) as slices:
            async for part in slices:
                for point, hit in part.hits:
                    hits.append(hit)
                    if len(hits) == search.limit:
                        return SearchPage(hits=tuple(hits), complete=True, cursor=point.cursor())
                if _is_over(search):
                    cursor = part.point.cursor()
                    return SearchPage(hits=tuple(hits), complete=False, cursor=cursor)
        return SearchPage(hits=tuple(hits), complete=True, cursor=None)

    async def _slices(self, search: _Search, start: Point | None) -> AsyncGenerator[_Slice, None]:
        """Yield the person's conversations from the start downwards, in slices."""
        upper, done = _ABOVE_ALL, ""
        if start is not None:
            upper = start.conversation_id
            done = upper if start.sequence == 0 else ""
        while names := await self._conversations(search, upper, done):
            for name, sealed_title in names:
                upper = done = name
                search.conversations += 1
                title = await self._reading.open_title(search.owner, name, sealed_title)
                below = _TOP
                if start is not None and name == start.conversation_id:
                    below = (start.sequence, start.item_index)
                elif title is not None and (found := snippet(title, search.needle)) is not None:
                    hit = SearchHit(conversation_id=name, item_id=None, title=title, snippet=found)
                    yield _Slice(Point(name, *_TOP), [(Point(name, *_TOP), hit)])
                async for part in self._conversation(search, (name, title), below):
                    yield part

    async def _conversations(
        self, search: _Search, upper: str, done: str
    ) -> list[tuple[str, bytes | None]]:
        """Return the next conversations with their titles, sealed."""
        async with self._postgres.connection(LOAD_TIMEOUT_S) as connection:
            rows = await connection.fetch(
                _CONVERSATIONS, search.owner.user, upper, _PAGE_CONVERSATIONS
            )
        return [(name, title) for name, title in rows if name != done]

    async def _conversation(
        self, search: _Search, named: tuple[str, str | None], below: tuple[int, int]
    ) -> AsyncIterator[_Slice]:
        """Yield the items of (conversation, its title) from the newest on, looked through."""
        name, title = named
        more = True
        while more:
            async with self._postgres.connection(LOAD_TIMEOUT_S) as connection:
                bounds = (ITEM_BYTES_MAX, _SLICE_ITEMS, _SLICE_BYTES)
                rows = await connection.fetch(_ITEMS, search.owner.user, name, *below, *bounds)
            sealed = [await self._sealed(search.owner, name, row) for row in rows]
            found = await asyncio.to_thread(match_all, sealed, search.needle)
            points = [Point(name, row["sequence"], row["index"]) for row in rows]
            hits = [
                (
                    point,
                    SearchHit(
                        conversation_id=name, item_id=row["item_id"], title=title, snippet=text
                    ),
                )
                for point, row, text in zip(points, rows, found, strict=True)
                if text is not None
            ]
            size = sum(len(row["blob"]) for row in rows)
            search.opened_bytes += size
            more = len(rows) == _SLICE_ITEMS or size >= _SLICE_BYTES
            point = points[-1] if more else Point(name, 0, 0)
            below = (point.sequence, point.item_index)
            yield _Slice(point, hits)

    async def _sealed(
        self, owner: Owner, conversation_id: str, row: asyncpg.Record
    ) -> SealedText | None:
        """Return the item with what opens it; None when its key was erased."""
        key = await self._opener.key_of(row["blob"])
        if key is None:
            return None
        place = (conversation_id, row["turn_id"], row["item_id"])
        return SealedText(key, item_context(owner.org_id, owner.user, *place), row["blob"])


def _is_over(search: _Search) -> bool:
    return (
        search.conversations >= SEARCH_CONVERSATIONS_MAX
        or search.opened_bytes >= SEARCH_BYTES_MAX
        or asyncio.get_running_loop().time() >= search.deadline
    )


def _point(cursor: str) -> Point:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise NotACursor
    sequence, index = int(match[2]), int(match[3])
    if max(sequence, index) > _TOP[0]:
        raise NotACursor
    return Point(match[1], sequence, index)
