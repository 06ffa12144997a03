"""Writing one record of a conversation: lease, seal, journal, fsync, and only then the window."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from axon.base import Clock, IdMint, Randomness, TaskOwner, until_done
from axon.conversations.errors import HistoryUnavailable, LeaseLost
from axon.conversations.forking import ITEMS_AT_ONCE
from axon.conversations.history import WindowTurn
from axon.conversations.leasing import Leasing
from axon.conversations.reading import TITLE_PLACE, Reading
from axon.conversations.tail import Tail
from axon.conversations.values import Begun, Conversation, NewItem, Owner
from axon.journal import Journal, Location
from axon.records import ConversationChanged, ItemsAppended, SealedItem, encode
from axon.sealing import KeyStore, item_context, seal

CHANGE_PREFIX = "chg"
"""Of the ids of changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingParts:
    """What a change goes through."""

    leasing: Leasing
    reading: Reading
    tail: Tail
    journal: Journal
    keys: KeyStore
    mint: IdMint
    clock: Clock
    randomness: Randomness
    tasks: TaskOwner


class Recording:
    """What every change goes through; a caller that goes away changes nothing of that."""

    def __init__(self, parts: WritingParts, wait_s: float) -> None:
        """A change waits at most `wait_s` for the turns before it."""
        self._parts = parts
        self._wait_s = wait_s

    async def begin(self, owner: Owner, conversation_id: str) -> Begun:
        """Return the place of the change, once it may be written; raises as Conversations.begin."""
        self._parts.journal.admit()
        return await self._parts.leasing.begin(owner, conversation_id, self._wait_s)

    async def before(self, begun: Begun, reading: Awaitable[Conversation]) -> Conversation:
        """Return the conversation as it stands under the lease, read before anything is written.

        The answer to a durable change then needs no store. Ends the turn when this raises.
        """
        try:
            before = await reading
            if before.head_sequence != begun.sequence - 1:
                raise HistoryUnavailable(f"place {begun.sequence - 1} is not here yet")
        except BaseException:
            await self._parts.leasing.abort(begun)
            raise
        return before

    def change_id(self, owner: Owner) -> str:
        """Return a new change's id."""
        return self._parts.mint.mint(CHANGE_PREFIX, owner.org_id, owner.user)

    def changed(
        self, begun: Begun, credential_id: str, change_id: str, change: str
    ) -> ConversationChanged:
        """Return the record of a change that has nothing but its name yet."""
        return ConversationChanged(
            change_id=change_id,
            org_id=begun.owner.org_id,
            user=begun.owner.user,
            credential_id=credential_id,
            conversation_id=begun.conversation_id,
            sequence=begun.sequence,
            fence=begun.fence,
            at_us=self._parts.clock.now_us(),
            change=change,
            metadata={},
            item_id="",
            items=[],
        )

    async def seal_items(
        self, owner: Owner, conversation_id: str, items: Sequence[NewItem]
    ) -> WindowTurn:
        """Return the items with ids, sealed for a new change; its place is not known yet."""
        parts, change_id = self._parts, self.change_id(owner)
        key = await parts.keys.current(owner.org_id, owner.user)
        sealed, contents = [], []
        for number, item in enumerate(items, start=1):
            if number % ITEMS_AT_ONCE == 0:
                await asyncio.sleep(0)
            item_id = parts.mint.mint(item.prefix, owner.org_id, owner.user)
            content = item.with_id(item_id)
            context = item_context(owner.org_id, owner.user, conversation_id, change_id, item_id)
            blob = seal(key, context, content, parts.randomness)
            tokens = item.model_tokens or len(content)
            sealed.append(SealedItem(item_id, item.kind, item.author, tokens, blob))
            contents.append(content)
        return WindowTurn(change_id, 0, sealed, tuple(contents))

    async def seal_title(self, owner: Owner, conversation_id: str, title: str) -> bytes:
        """Return the title sealed for its conversation."""
        key = await self._parts.keys.current(owner.org_id, owner.user)
        context = item_context(owner.org_id, owner.user, conversation_id, *TITLE_PLACE)
        return seal(key, context, title.encode(), self._parts.randomness)

    async def record(
        self, begun: Begun, change: ItemsAppended | ConversationChanged, turn: WindowTurn | None
    ) -> None:
        """Return when the change is durable and told; without `turn` the window starts anew.

        Also to a caller that goes away meanwhile, so that it can say what its key has made.
        """
        try:
            durable = self._parts.journal.append(*encode(change))
        except BaseException:
            await self._parts.leasing.abort(begun)
            raise
        settling = self._settle(begun, change, durable, turn)
        await until_done(self._parts.tasks.start(settling, "settle change"))

    async def _settle(
        self,
        begun: Begun,
        change: ItemsAppended | ConversationChanged,
        durable: "asyncio.Future[Location]",
        turn: WindowTurn | None,
    ) -> None:
        leasing = self._parts.leasing
        await self._note(change, durable)
        owned = leasing.still_owned(begun)
        if turn is None:
            await leasing.commit_without_window(begun)
        else:
            await leasing.commit(begun, turn)
        if not owned:
            raise LeaseLost

    async def record_outside(self, change: ConversationChanged) -> None:
        """Return when a change that takes no place is durable and told."""
        self._parts.journal.admit()
        durable = self._parts.journal.append(*encode(change))
        await asyncio.shield(self._parts.tasks.start(self._note(change, durable), "note change"))

    async def _note(
        self, change: ItemsAppended | ConversationChanged, durable: "asyncio.Future[Location]"
    ) -> None:
        self._parts.tail.note(change, await durable)
