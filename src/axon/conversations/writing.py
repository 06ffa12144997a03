"""Changes to conversations that are no turns: each one record, durable before it is told."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from axon.base import Clock, IdMint, Randomness, TaskOwner
from axon.conversations.errors import HistoryUnavailable, LeaseLost
from axon.conversations.history import WindowTurn
from axon.conversations.leasing import PREFIX, Leasing
from axon.conversations.placed import TURN_FORGOTTEN
from axon.conversations.reading import Reading
from axon.conversations.tail import Tail
from axon.conversations.values import (
    Begun,
    Conversation,
    NewItem,
    Owner,
    StoredItem,
    TurnPlace,
)
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


class Writing:
    """Lease, record, fsync, then the answer; a caller that goes away changes nothing of that."""

    def __init__(self, parts: WritingParts, wait_s: float) -> None:
        """A change waits at most `wait_s` for the turns before it."""
        self._parts = parts
        self._wait_s = wait_s

    async def create(
        self,
        owner: Owner,
        credential_id: str,
        metadata: Mapping[str, str],
        items: Sequence[NewItem],
    ) -> Conversation:
        """See Conversations.create."""
        conversation_id = self._parts.mint.mint(PREFIX, owner.org_id, owner.user)
        turn = await self._seal(owner, conversation_id, items)
        self._parts.journal.admit()
        begun = self._parts.leasing.start(owner, conversation_id)
        change = msgspec.structs.replace(
            self._changed(begun, credential_id, turn.turn_id, "created"),
            metadata=dict(metadata),
            items=turn.items,
        )
        await self._record(begun, change, _at(turn, begun))
        return Conversation(
            owner=owner,
            conversation_id=conversation_id,
            created_us=change.at_us,
            updated_us=change.at_us,
            head_sequence=begun.sequence,
            metadata=change.metadata,
            title=None,
            model=None,
            implicit=False,
            archived=False,
        )

    async def append_items(
        self, owner: Owner, credential_id: str, conversation_id: str, items: Sequence[NewItem]
    ) -> tuple[StoredItem, ...]:
        """See Conversations.append_items."""
        turn = await self._seal(owner, conversation_id, items)
        begun = await self._begin(owner, conversation_id)
        change = ItemsAppended(
            change_id=turn.turn_id,
            org_id=owner.org_id,
            user=owner.user,
            credential_id=credential_id,
            conversation_id=conversation_id,
            sequence=begun.sequence,
            fence=begun.fence,
            at_us=self._parts.clock.now_us(),
            items=turn.items,
        )
        await self._record(begun, change, _at(turn, begun))
        return tuple(
            StoredItem(
                item_id=item.item_id,
                kind=item.kind,
                author=item.author,
                status="completed",
                content=content,
            )
            for item, content in zip(turn.items, turn.contents, strict=True)
        )

    async def update_metadata(
        self, owner: Owner, credential_id: str, conversation_id: str, metadata: Mapping[str, str]
    ) -> Conversation:
        """See Conversations.update_metadata."""
        begun = await self._begin(owner, conversation_id)
        before = await self._before(begun, self._parts.reading.read(owner, conversation_id))
        change_id = self._change_id(owner)
        change = msgspec.structs.replace(
            self._changed(begun, credential_id, change_id, "metadata"), metadata=dict(metadata)
        )
        await self._record(begun, change, WindowTurn(change_id, begun.sequence, []))
        return replace(_after(before, change), metadata=change.metadata)

    async def delete_item(
        self, owner: Owner, credential_id: str, conversation_id: str, item_id: str
    ) -> Conversation:
        """See Conversations.delete_item."""
        begun = await self._begin(owner, conversation_id)
        reading = self._parts.reading.read_with_item(owner, conversation_id, item_id)
        before = await self._before(begun, reading)
        change = msgspec.structs.replace(
            self._changed(begun, credential_id, self._change_id(owner), "item_deleted"),
            item_id=item_id,
        )
        await self._record(begun, change, None)
        return _after(before, change)

    async def delete(self, owner: Owner, credential_id: str, conversation_id: str) -> None:
        """See Conversations.delete."""
        begun = await self._begin(owner, conversation_id)
        change = self._changed(begun, credential_id, self._change_id(owner), "deleted")
        await self._record(begun, change, None)

    async def forget_turn(
        self, owner: Owner, credential_id: str, place: TurnPlace, turn_id: str
    ) -> None:
        """See Conversations.forget_turn."""
        conversation_id = place.conversation_id
        begun = await self._begin(owner, conversation_id) if conversation_id else None
        change_id = self._change_id(owner)
        change = ConversationChanged(
            change_id=change_id,
            org_id=owner.org_id,
            user=owner.user,
            credential_id=credential_id,
            conversation_id=conversation_id,
            sequence=begun.sequence if begun else 0,
            fence=begun.fence if begun else 0,
            at_us=self._parts.clock.now_us(),
            change=TURN_FORGOTTEN,
            metadata={},
            item_id=turn_id,
            items=[],
        )
        if begun is not None:
            await self._record(begun, change, WindowTurn(change_id, begun.sequence, []))
            return
        self._parts.journal.admit()
        durable = self._parts.journal.append(*encode(change))
        await asyncio.shield(self._parts.tasks.start(self._note(change, durable), "note change"))

    async def _begin(self, owner: Owner, conversation_id: str) -> Begun:
        self._parts.journal.admit()
        return await self._parts.leasing.begin(owner, conversation_id, self._wait_s)

    async def _before(self, begun: Begun, reading: Awaitable[Conversation]) -> Conversation:
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

    def _change_id(self, owner: Owner) -> str:
        return self._parts.mint.mint(CHANGE_PREFIX, owner.org_id, owner.user)

    def _changed(
        self, begun: Begun, credential_id: str, change_id: str, change: str
    ) -> ConversationChanged:
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

    async def _seal(
        self, owner: Owner, conversation_id: str, items: Sequence[NewItem]
    ) -> WindowTurn:
        """Return the items with ids, sealed for a new change; its place is not known yet."""
        parts, change_id = self._parts, self._change_id(owner)
        key = await parts.keys.current(owner.org_id, owner.user)
        sealed, contents = [], []
        for item in items:
            item_id = parts.mint.mint(item.prefix, owner.org_id, owner.user)
            content = item.with_id(item_id)
            context = item_context(owner.org_id, owner.user, conversation_id, change_id, item_id)
            blob = seal(key, context, content, parts.randomness)
            tokens = item.model_tokens or len(content)
            sealed.append(SealedItem(item_id, item.kind, item.author, tokens, blob))
            contents.append(content)
        return WindowTurn(change_id, 0, sealed, tuple(contents))

    async def _record(
        self, begun: Begun, change: ItemsAppended | ConversationChanged, turn: WindowTurn | None
    ) -> None:
        """Return when the change is durable and told; without `turn` the window starts anew."""
        try:
            durable = self._parts.journal.append(*encode(change))
        except BaseException:
            await self._parts.leasing.abort(begun)
            raise
        settling = self._settle(begun, change, durable, turn)
        await asyncio.shield(self._parts.tasks.start(settling, "settle change"))

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

    async def _note(
        self, change: ItemsAppended | ConversationChanged, durable: "asyncio.Future[Location]"
    ) -> None:
        self._parts.tail.note(change, await durable)


def _after(before: Conversation, change: ConversationChanged) -> Conversation:
    return replace(before, updated_us=change.at_us, head_sequence=change.sequence)


def _at(turn: WindowTurn, begun: Begun) -> WindowTurn:
    return msgspec.structs.replace(turn, sequence=begun.sequence)
