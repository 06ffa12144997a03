"""Idempotency keys: which request has made what, for at least a day and across restarts.

A key is claimed before its request is carried out and settled with the id of what that made. Who
comes with the same key meanwhile waits; who comes later is told the id. Keys are known here until
PostgreSQL has them; one that is not known here is looked up there, so without PostgreSQL a key
cannot be proven to be new.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import asyncpg

from axon.conversations.errors import ConversationError, HistoryUnavailable
from axon.conversations.loading import LOAD_TIMEOUT_S
from axon.records import ConversationChanged, ItemsAppended, Record, TurnAccepted
from axon.stores import Postgres, PostgresAway

KEYS_MAX = 100_000
"""Keys kept in memory, at some 300 bytes each; only those PostgreSQL has make room."""

KEYS_LIVE_US = 2 * 86_400_000_000
"""Two days: a key is kept for at least one."""

_FORGOTTEN_MAX = 1000
"""How many old keys a batch takes along, so that none takes long."""

_INSERT = """
INSERT INTO conversations.idempotency_keys AS k (user_id, key_mac, body_mac, object_id, at_us)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::text[], $5::bigint[])
ON CONFLICT (user_id, key_mac) DO UPDATE SET
    body_mac = excluded.body_mac, object_id = excluded.object_id, at_us = excluded.at_us
WHERE k.at_us < excluded.at_us
"""

_FORGET = """
DELETE FROM conversations.idempotency_keys WHERE (user_id, key_mac) IN (
    SELECT user_id, key_mac FROM conversations.idempotency_keys WHERE at_us < $1 LIMIT $2
)
"""

_READ = """
SELECT body_mac, object_id FROM conversations.idempotency_keys
WHERE user_id = $1 AND key_mac = $2
"""


class KeyReused(ConversationError):
    """This Idempotency-Key was used with another request."""


class KeysFull(ConversationError):
    """Too many idempotency keys wait for PostgreSQL; please retry."""


class RequestKey(NamedTuple):
    """A request's idempotency key, and what it stands for, as keyed hashes."""

    user: int
    key_mac: bytes
    body_mac: bytes


class _Made(NamedTuple):
    """What a record says that a request with a key has made."""

    key: RequestKey
    object_id: str
    """A turn's or a conversation's, or those of items, with commas."""
    at_us: int


def _made(record: Record) -> _Made | None:
    if isinstance(record, TurnAccepted) and record.idempotency_mac:
        head = record.head
        key = RequestKey(head.user, record.idempotency_mac, record.body_mac)
        return _Made(key, head.turn_id, head.accepted_us)
    if isinstance(record, ConversationChanged | ItemsAppended) and record.idempotency_mac:
        key = RequestKey(record.user, record.idempotency_mac, record.body_mac)
        made = record.conversation_id
        if isinstance(record, ItemsAppended):
            made = ",".join(item.item_id for item in record.items)
        return _Made(key, made, record.at_us)
    return None


class _Entry:
    """A key: claimed while `object_id` is empty, then settled."""

    __slots__ = ("body_mac", "object_id", "sequence", "settled")

    def __init__(self, body_mac: bytes) -> None:
        self.body_mac = body_mac
        self.object_id = ""
        self.sequence = 0
        """Where in the journal the record is that says so; 0 when PostgreSQL says it."""
        self.settled: asyncio.Event | None = asyncio.Event()


class Claim:
    """The right to carry out the request of a key; it ends with `settle` or `release`."""

    __slots__ = ("_entry", "_forget")

    def __init__(self, entry: _Entry, forget: Callable[[], None]) -> None:
        """`forget` takes the entry away."""
        self._entry = entry
        self._forget = forget

    def settle(self, object_id: str, sequence: int) -> None:
        """Say what the request made, once that is durable at this place of the journal."""
        self._entry.object_id, self._entry.sequence = object_id, sequence
        self._wake()

    def release(self) -> None:
        """Say that the request made nothing; nothing happens when it was settled."""
        if not self._entry.object_id:
            self._forget()
            self._wake()

    def _wake(self) -> None:
        if self._entry.settled is not None:
            self._entry.settled.set()
            self._entry.settled = None


class IdempotencyKeys:
    """The keys of one process."""

    def __init__(
        self, postgres: Postgres, projected: Callable[[], int], keys_max: int = KEYS_MAX
    ) -> None:
        """`projected` tells up to where of this process's journal PostgreSQL has everything."""
        self._postgres = postgres
        self._projected = projected
        self._keys_max = keys_max
        self._entries: OrderedDict[tuple[int, bytes], _Entry] = OrderedDict()

    def note(self, record: Record, sequence: int) -> None:
        """Know the key of a record that is in the journal already; for the start."""
        made = _made(record)
        if made is not None:  # it is durable, so there is room for it whatever the bound says
            self._put(made.key).settle(made.object_id, sequence)

    async def claim(self, key: RequestKey, instead_of: str = "") -> "Claim | str":
        """Return the claim, or the id of what an earlier request with the key has made.

        `instead_of` is such an id: of something that failed, so that the request may be carried
        out again. Waits while another request holds the claim. Raises KeyReused, KeysFull, and
        HistoryUnavailable when only PostgreSQL could tell and it is away.
        """
        place = (key.user, key.key_mac)
        while (entry := self._entries.get(place)) is not None:
            if entry.body_mac != key.body_mac:
                raise KeyReused
            if entry.object_id and entry.object_id != instead_of:
                return entry.object_id
            if entry.settled is None:
                break
            await entry.settled.wait()
        claim = self._enter(key)
        if instead_of:
            return claim
        try:
            found = await self._read(key)
            if found is None:
                return claim
            if found["body_mac"] != key.body_mac:
                raise KeyReused
            if found["object_id"] == instead_of:
                return claim
        except BaseException:
            claim.release()
            raise
        object_id: str = found["object_id"]
        claim.settle(object_id, 0)
        return object_id

    def _enter(self, key: RequestKey) -> Claim:
        self._make_room()
        return self._put(key)

    def _put(self, key: RequestKey) -> Claim:
        place = (key.user, key.key_mac)
        entry = self._entries[place] = _Entry(key.body_mac)
        self._entries.move_to_end(place)

        def forget() -> None:
            if self._entries.get(place) is entry:
                del self._entries[place]

        return Claim(entry, forget)

    def _make_room(self) -> None:
        """Forget the oldest keys that PostgreSQL has."""
        if len(self._entries) < self._keys_max:
            return
        projected = self._projected()
        known = (
            place
            for place, entry in self._entries.items()
            if entry.object_id and entry.sequence <= projected
        )
        oldest = next(known, None)
        if oldest is None:
            raise KeysFull
        del self._entries[oldest]

    async def _read(self, key: RequestKey) -> asyncpg.Record | None:
        try:
            async with self._postgres.connection(LOAD_TIMEOUT_S) as connection:
                return await connection.fetchrow(_READ, key.user, key.key_mac)
        except PostgresAway as away:
            message = "whether this Idempotency-Key is new cannot be told now"
            raise HistoryUnavailable(message) from away


async def write_keys(connection: asyncpg.Connection, records: Iterable[Record]) -> None:
    """Write the keys the records hold; take some that are too old along."""
    told = {}
    for made in map(_made, records):
        if made is not None:
            told[made.key[:2]] = (*made.key, made.object_id, made.at_us)
    if told:
        rows: Sequence[tuple[object, ...]] = list(told.values())
        await connection.execute(_INSERT, *zip(*rows, strict=True))
        newest_us = max(row[4] for row in told.values())
        await connection.execute(_FORGET, newest_us - KEYS_LIVE_US, _FORGOTTEN_MAX)


async def erase_keys(connection: asyncpg.Connection, user: int) -> None:
    """Delete the person's keys."""
    await connection.execute("DELETE FROM conversations.idempotency_keys WHERE user_id = $1", user)
