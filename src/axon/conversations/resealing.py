"""A turn's end, sealed anew for the place it gets: content opens at its own place only."""

import asyncio
from collections.abc import Sequence

import msgspec

from axon.base import IdMint, Randomness
from axon.conversations.finding import ANSWER_ITEM
from axon.conversations.forking import ITEMS_AT_ONCE, without_id
from axon.conversations.history import HistoryTurn
from axon.conversations.opening import Opener
from axon.conversations.turn_events import EVENTS_ITEM
from axon.conversations.values import Begun, Owner
from axon.records import SealedItem, TurnCompleted, TurnHead, TurnInterrupted
from axon.sealing import DataKey, KeyStore, item_context, seal

Ended = TurnCompleted | TurnInterrupted


class Resealing:
    """Moves the ends of turns to places in conversations."""

    def __init__(
        self, opener: Opener, keys: KeyStore, mint: IdMint, randomness: Randomness
    ) -> None:
        """Open with `opener`, seal with the present key of the person."""
        self.opener = opener
        self._keys = keys
        self._mint = mint
        self._randomness = randomness

    async def moved(self, ended: Ended, begun: Begun, earlier: Sequence[HistoryTurn] = ()) -> Ended:
        """Return the end of the turn at the place of `begun`, behind a copy of what came earlier.

        In the conversation it was taken for nothing is sealed anew. Content whose key was erased
        is left out. Raises SealBroken, HistoryAway.
        """
        before = ended.head
        head = msgspec.structs.replace(
            before,
            conversation_id=begun.conversation_id,
            sequence=begun.sequence,
            fence=begun.fence,
            follows="",
        )
        if head.conversation_id == before.conversation_id:
            return msgspec.structs.replace(ended, head=head)
        head = msgspec.structs.replace(head, implicit=True)
        key = await self._keys.current(head.org_id, head.user)
        copies = await self._copies(key, head, earlier)
        own = [await self._moved(key, item, before, head) for item in ended.input]
        output = [await self._moved(key, item, before, head) for item in ended.output]
        return msgspec.structs.replace(
            ended,
            head=head,
            input=[*copies, *filter(None, own)],
            output=list(filter(None, output)),
            answer=await self._blob(key, (ANSWER_ITEM, ended.answer), before, head),
            events=await self._blob(key, (EVENTS_ITEM, ended.events), before, head),
        )

    async def _copies(
        self, key: DataKey, head: TurnHead, earlier: Sequence[HistoryTurn]
    ) -> list[SealedItem]:
        copies: list[SealedItem] = []
        for item in (item for turn in earlier for item in turn.items):
            if len(copies) % ITEMS_AT_ONCE == ITEMS_AT_ONCE - 1:
                await asyncio.sleep(0)
            new = without_id(item)
            item_id = self._mint.mint(new.prefix, head.org_id, head.user)
            blob = self._seal(key, head, item_id, new.with_id(item_id))
            copies.append(SealedItem(item_id, item.kind, item.author, item.model_tokens, blob))
        return copies

    async def _moved(
        self, key: DataKey, item: SealedItem, before: TurnHead, head: TurnHead
    ) -> SealedItem | None:
        blob = await self._blob(key, (item.item_id, item.blob), before, head)
        return msgspec.structs.replace(item, blob=blob) if blob else None

    async def _blob(
        self, key: DataKey, named: tuple[str, bytes], before: TurnHead, head: TurnHead
    ) -> bytes:
        """Return the blob of that name sealed for the turn's new place; nothing for nothing."""
        name, blob = named
        if not blob:
            return b""
        owner = Owner(org_id=head.org_id, user=head.user)
        place = (before.conversation_id, before.turn_id, name)
        content = await self.opener.open(owner, place, blob)
        return b"" if content is None else self._seal(key, head, name, content)

    def _seal(self, key: DataKey, head: TurnHead, name: str, content: bytes) -> bytes:
        context = item_context(head.org_id, head.user, head.conversation_id, head.turn_id, name)
        return seal(key, context, content, self._randomness)
