"""What a person changes of conversations, each change durable before it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from axon.conversations.finding import Finding
from axon.conversations.forking import Copying
from axon.conversations.keys import IdempotencyKeys, RequestKey
from axon.conversations.placing import Placing
from axon.conversations.reading import refuse_nonsense
from axon.conversations.recording import WritingParts
from axon.conversations.values import Conversation, NewItem, Owner, StoredItem, Update
from axon.conversations.writing import Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangingParts:
    """What changes stand on."""

    writing: WritingParts
    placing: Placing
    finding: Finding
    copying: Copying
    keys: IdempotencyKeys
    wait_s: float
    """How long a change waits for the turns before it."""


class Changing:
    """The changes of conversations that are no turns.

    Each is made even if the caller is cancelled once it was journaled; all raise LeaseLost when it
    may not stand, ConversationBusy, and what the journal raises.
    """

    def __init__(self, parts: ChangingParts) -> None:
        """Changes go through `parts.writing`."""
        self._parts = parts
        self._placing = parts.placing
        self._keys = parts.keys
        self._reading = parts.writing.reading
        self._journal = parts.writing.journal
        self._writing = Writing(parts.writing, parts.wait_s)

    async def create(
        self,
        owner: Owner,
        credential_id: str,
        metadata: Mapping[str, str],
        items: Sequence[NewItem],
        key: RequestKey | None = None,
    ) -> Conversation:
        """Return a new conversation with these items, durable; raises JournalFull, DiskLow.

        With a `key` that an earlier request had, the conversation which that one made; raises
        KeyReused and KeysFull.
        """
        if key is None:
            return await self._writing.create(owner, credential_id, metadata, items, None)
        claim = await self._keys.claim(key)
        if isinstance(claim, str):
            await self._placing.look_at(owner, claim)
            return await self._reading.read(owner, claim)
        try:
            made = await self._writing.create(owner, credential_id, metadata, items, key)
            claim.settle(made.conversation_id, self._journal.durable_through)
        finally:
            claim.release()
        return made

    async def fork(
        self,
        owner: Owner,
        credential_id: str,
        conversation_id: str,
        item_id: str | None,
        metadata: Mapping[str, str] | None = None,
    ) -> Conversation:
        """Return a new conversation with a copy of all items up to `item_id`, durable.

        Without `item_id` of all of them; the title is copied, and the metadata unless given.
        Raises ItemNotFound, ForkTooLarge, ForkCutsCall.
        """
        await self._placing.look_at(owner, conversation_id)
        if item_id is not None:
            refuse_nonsense(item_id)
        copy = await self._parts.copying.copy(owner, conversation_id, item_id)
        return await self._writing.fork(owner, credential_id, copy, metadata)

    async def branch(
        self, owner: Owner, credential_id: str, conversation_id: str, item_id: str
    ) -> Conversation:
        """Return a new conversation with a copy of all items before `item_id`, as `fork` does."""
        await self._placing.look_at(owner, conversation_id)
        refuse_nonsense(item_id)
        copy = await self._parts.copying.copy(owner, conversation_id, item_id, before=True)
        return await self._writing.fork(owner, credential_id, copy, None)

    async def append_items(
        self,
        owner: Owner,
        credential_id: str,
        conversation_id: str,
        items: Sequence[NewItem],
        key: RequestKey | None = None,
    ) -> tuple[StoredItem, ...]:
        """Return the items as they were added to the end of the conversation, durable.

        With a `key` that an earlier request had, the items which that one added; raises KeyReused
        and KeysFull, and ItemNotFound when one of them was deleted.
        """
        place = (owner, credential_id, conversation_id)
        if key is None:
            return await self._writing.append_items(*place, items, None)
        claim = await self._keys.claim(key)
        if isinstance(claim, str):
            await self._placing.look_at(owner, conversation_id)
            reads = [
                self._reading.read_item(owner, conversation_id, name) for name in claim.split(",")
            ]
            return tuple([await read for read in reads])
        try:
            added = await self._writing.append_items(*place, items, key)
            names = ",".join(item.item_id for item in added)
            claim.settle(names, self._journal.durable_through)
        finally:
            claim.release()
        return added

    async def update(
        self, owner: Owner, credential_id: str, conversation_id: str, update: Update
    ) -> Conversation:
        """Return the conversation with the named members replaced, all at once and durable.

        Raises ValueError for an update that names none.
        """
        return await self._writing.update(owner, credential_id, conversation_id, update)

    async def delete_item(
        self, owner: Owner, credential_id: str, conversation_id: str, item_id: str
    ) -> Conversation:
        """Return the conversation without the item, durable; raises ItemNotFound.

        The events of the turn that brought it are forgotten with it.
        """
        await self._placing.look_at(owner, conversation_id)
        refuse_nonsense(item_id)
        return await self._writing.delete_item(owner, credential_id, conversation_id, item_id)

    async def delete(
        self, owner: Owner, credential_id: str, conversation_id: str, *, with_items: bool = False
    ) -> None:
        """Delete the conversation, durable; its items stay with the responses that made them.

        `with_items`: they go too, with the turns and their answers, from Valkey at once and from
        PostgreSQL once it is projected; the journal forgets them after its retention.
        """
        await self._writing.delete(owner, credential_id, conversation_id, with_items=with_items)

    async def forget_turn(self, owner: Owner, credential_id: str, turn_id: str) -> None:
        """Make the turn one that is not stored, durable; its items stay in the conversation."""
        finding = self._parts.finding
        await self._placing.settle_turn(owner, turn_id, self._parts.wait_s)
        place = await finding.place(owner, turn_id)
        try:
            await self._writing.forget_turn(owner, credential_id, place, turn_id)
        finally:
            finding.forget(turn_id)
