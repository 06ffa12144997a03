"""Fills the PostgreSQL of a running Axon with conversations, as its projector would.

The records are sealed, numbered and applied by production code; only the journal is left out, as
if they were long retired from it.
"""

import json
from collections.abc import Callable
from pathlib import Path

import asyncpg

from axon.app.embedded import EmbeddedPostgres
from axon.app.folders import DataFolder
from axon.base import IdMint, SystemClock, SystemRandomness, instance_mark
from axon.conversations import ConversationsProjector
from axon.projection import Positioned
from axon.records import (
    ConversationChanged,
    Record,
    SealedItem,
    TokenUsage,
    TurnCompleted,
    TurnHead,
)
from axon.sealing import DataKey, Keyring, KeyStore, item_context, seal

TURNS = 3
"""Of each conversation, before it is measured: a question of 300 bytes and an answer of 1 KiB."""

CONVERSATIONS_AT_ONCE = 200
"""In one transaction, as a projector that catches up does it."""

INSTANCE = "serving"
"""The one serving process of `axon up`, which then owns the conversations."""

_CREDENTIAL = "SELECT id, org_id, user_id FROM accounts.credentials LIMIT 1"
_QUESTION = "What does a write-ahead log promise, and what does it cost? " * 5
_ANSWER = "It promises that what was acknowledged is on the disk, in its order. " * 15


class Filler:
    """Makes conversations of the installation's one user."""

    def __init__(self, data: Path) -> None:
        """Use the keyring and the data keys of the data folder; blocks."""
        folder = DataFolder(data)
        self._randomness = SystemRandomness()
        self._clock = SystemClock()
        keyring = Keyring.open(folder.keyring, self._randomness)
        self._keys = KeyStore(folder.key_store, keyring, self._clock, self._randomness)
        mark = instance_mark(INSTANCE)
        self._mint = IdMint(keyring.identity, self._clock, self._randomness, mark)
        self._url = EmbeddedPostgres(data).url()
        self._org_id = ""
        self._user = 0
        self._credential_id = ""

    async def fill(self, count: int, told: Callable[[int], None]) -> list[str]:
        """Return the ids of `count` new conversations; `told` hears how many there are so far."""
        connection = await asyncpg.connect(self._url, timeout=10)
        try:
            row = await connection.fetchrow(_CREDENTIAL)
            assert row is not None, "axon up registers a development key"
            self._credential_id, self._org_id, self._user = row
            key = await self._keys.current(self._org_id, self._user)
            async with connection.transaction():
                await self._keys.upload(connection)
            ids: list[str] = []
            while len(ids) < count:
                batch = min(CONVERSATIONS_AT_ONCE, count - len(ids))
                ids += await self._apply(connection, key, batch)
                told(len(ids))
            await connection.execute("VACUUM ANALYZE", timeout=600)
        finally:
            await connection.close()
            await self._keys.close()
        return ids

    async def _apply(self, connection: asyncpg.Connection, key: DataKey, count: int) -> list[str]:
        ids = [self._mint.mint("conv", self._org_id, self._user) for _ in range(count)]
        records: list[Record] = []
        for conversation_id in ids:
            records.append(self._created(conversation_id))
            records += [self._turn(key, conversation_id, 2 + turn) for turn in range(TURNS)]
        positioned = [
            Positioned(instance="bench", sequence=number, record=record)
            for number, record in enumerate(records)
        ]
        async with connection.transaction():
            await ConversationsProjector().apply(connection, positioned)
        return ids

    def _created(self, conversation_id: str) -> ConversationChanged:
        return ConversationChanged(
            change_id=self._mint.mint("chg", self._org_id, self._user),
            org_id=self._org_id,
            user=self._user,
            credential_id=self._credential_id,
            conversation_id=conversation_id,
            sequence=1,
            fence=1,
            at_us=self._clock.now_us(),
            change="created",
            metadata={},
            item_id="",
            items=[],
        )

    def _turn(self, key: DataKey, conversation_id: str, sequence: int) -> TurnCompleted:
        now_us = self._clock.now_us()
        head = TurnHead(
            turn_id=self._mint.mint("resp", self._org_id, self._user),
            org_id=self._org_id,
            user=self._user,
            credential_id=self._credential_id,
            conversation_id=conversation_id,
            sequence=sequence,
            fence=sequence,
            surface="responses",
            model="bench-model",
            accepted_us=now_us,
            implicit=False,
            stored=True,
        )
        return TurnCompleted(
            head=head,
            input=[self._item(key, head, "user", "input_text", _QUESTION)],
            output=[self._item(key, head, "assistant", "output_text", _ANSWER)],
            answer=self._sealed(key, head, "answer", b"{}"),
            status="completed",
            usage=TokenUsage(input_tokens=60, output_tokens=200),
            upstream="bench",
            upstream_id="",
            completed_us=now_us,
            first_token_us=now_us,
            assignments=[],
        )

    def _item(self, key: DataKey, head: TurnHead, author: str, part: str, text: str) -> SealedItem:
        item_id = self._mint.mint("msg", self._org_id, self._user)
        shown = {
            "id": item_id,
            "type": "message",
            "role": author,
            "status": "completed",
            "content": [{"type": part, "text": text}],
        }
        blob = self._sealed(key, head, item_id, json.dumps(shown).encode())
        return SealedItem(item_id, "message", author, len(text) // 3, blob)

    def _sealed(self, key: DataKey, head: TurnHead, item_id: str, content: bytes) -> bytes:
        place = (head.org_id, head.user, head.conversation_id, head.turn_id, item_id)
        return seal(key, item_context(*place), content, self._randomness)
