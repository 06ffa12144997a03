"""Changes to conversations that are no turns: each one record, durable before it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from axon.conversations.errors import ConversationNotFound
from axon.conversations.forking import Copy
from axon.conversations.history import WindowTurn
from axon.conversations.keys import RequestKey
from axon.conversations.leasing import PREFIX
from axon.conversations.placed import DELETED_WITH_ITEMS, TURN_FORGOTTEN
from axon.conversations.recording import Recording, WritingParts
from axon.conversations.store import WINDOW_LOAD_BYTES
from axon.conversations.values import (
    UNCHANGED,
    Begun,
    Conversation,
    ForkOrigin,
    NewItem,
    Owner,
    StoredItem,
    TurnPlace,
    Update,
)
from axon.records import ConversationChanged, ItemsAppended


class Writing:
    """Lease, record, fsync, then the answer; a caller that goes away changes nothing of that."""

    def __init__(self, parts: WritingParts, wait_s: float) -> None:
        """A change waits at most `wait_s` for the turns before it."""
        self._parts = parts
        self._recording = Recording(parts, wait_s)

    async def create(
        self,
        owner: Owner,
        credential_id: str,
        metadata: Mapping[str, str],
        items: Sequence[NewItem],
        key: RequestKey | None,
    ) -> Conversation:
        """See Changing.create."""
        conversation_id = self._parts.mint.mint(PREFIX, owner.org_id, owner.user)
        turn = await self._recording.seal_items(owner, conversation_id, items)
        self._parts.journal.admit()
        begun = self._parts.leasing.start(owner, conversation_id)
        change = msgspec.structs.replace(
            self._recording.changed(begun, credential_id, turn.turn_id, "created"),
            metadata=dict(metadata),
            items=turn.items,
            **_macs(key),
        )
        await self._recording.record(begun, change, _at(turn, begun))
        return _made(begun, change)

    async def fork(
        self, owner: Owner, credential_id: str, copy: Copy, metadata: Mapping[str, str] | None
    ) -> Conversation:
        """See Changing.fork."""
        original = copy.conversation
        conversation_id = self._parts.mint.mint(PREFIX, owner.org_id, owner.user)
        turn = await self._recording.seal_items(owner, conversation_id, copy.items)
        title = b""
        if original.title is not None:
            title = await self._recording.seal_title(owner, conversation_id, original.title)
        self._parts.journal.admit()
        begun = self._parts.leasing.start(owner, conversation_id)
        change = msgspec.structs.replace(
            self._recording.changed(begun, credential_id, turn.turn_id, "forked"),
            metadata=dict(original.metadata if metadata is None else metadata),
            items=turn.items,
            title=title,
            forked_conversation_id=original.conversation_id,
            forked_item_id=copy.last_item_id,
        )
        small = sum(len(item.blob) for item in turn.items) <= WINDOW_LOAD_BYTES
        await self._recording.record(begun, change, _at(turn, begun) if small else None)
        origin = ForkOrigin(
            conversation_id=original.conversation_id, item_id=copy.last_item_id or None
        )
        made = _made(begun, change)
        return replace(made, title=original.title, forked_from=origin)

    async def append_items(
        self,
        owner: Owner,
        credential_id: str,
        conversation_id: str,
        items: Sequence[NewItem],
        key: RequestKey | None,
    ) -> tuple[StoredItem, ...]:
        """See Changing.append_items."""
        turn = await self._recording.seal_items(owner, conversation_id, items)
        begun = await self._recording.begin(owner, conversation_id)
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
            **_macs(key),
        )
        await self._recording.record(begun, change, _at(turn, begun))
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

    async def update(
        self, owner: Owner, credential_id: str, conversation_id: str, update: Update
    ) -> Conversation:
        """See Changing.update."""
        words, members = _named(update)
        title = b""
        if isinstance(update.title, str):
            title = await self._recording.seal_title(owner, conversation_id, update.title)
        begun = await self._recording.begin(owner, conversation_id)
        before = await self._recording.before(
            begun, self._parts.reading.read(owner, conversation_id)
        )
        change_id = self._recording.change_id(owner)
        metadata = update.metadata
        change = msgspec.structs.replace(
            self._recording.changed(begun, credential_id, change_id, words[0]),
            metadata={} if metadata is UNCHANGED else dict(metadata),
            title=title,
            also=words[1:],
        )
        await self._recording.record(begun, change, WindowTurn(change_id, begun.sequence, []))
        return replace(_after(before, change), **members)

    async def delete_item(
        self, owner: Owner, credential_id: str, conversation_id: str, item_id: str
    ) -> Conversation:
        """See Changing.delete_item."""
        origin_id = await self._parts.reading.origin_of(owner, conversation_id, item_id)
        begun = await self._recording.begin(owner, conversation_id)
        reading = self._parts.reading.read_with_item(owner, conversation_id, item_id)
        before = await self._recording.before(begun, reading)
        change = msgspec.structs.replace(
            self._recording.changed(
                begun, credential_id, self._recording.change_id(owner), "item_deleted"
            ),
            item_id=item_id,
            origin_id=origin_id,
        )
        await self._recording.record(begun, change, None)
        return _after(before, change)

    async def delete(
        self, owner: Owner, credential_id: str, conversation_id: str, *, with_items: bool
    ) -> None:
        """See Changing.delete."""
        begun = await self._recording.begin(owner, conversation_id)
        word = DELETED_WITH_ITEMS if with_items else "deleted"
        change = self._recording.changed(
            begun, credential_id, self._recording.change_id(owner), word
        )
        await self._recording.record(begun, change, None)

    async def forget_turn(
        self, owner: Owner, credential_id: str, place: TurnPlace, turn_id: str
    ) -> None:
        """See Changing.forget_turn."""
        conversation_id, begun = place.conversation_id, None
        if conversation_id:
            try:
                begun = await self._recording.begin(owner, conversation_id)
            except ConversationNotFound:
                conversation_id = ""  # it was deleted, and its responses stayed: they have no place
        change_id = self._recording.change_id(owner)
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
            await self._recording.record(begun, change, WindowTurn(change_id, begun.sequence, []))
            return
        await self._recording.record_outside(change)


def _macs(key: RequestKey | None) -> dict[str, bytes]:
    """Return the members by which a record tells of its request's key."""
    if key is None:
        return {}
    return {"idempotency_mac": key.key_mac, "body_mac": key.body_mac}


def _named(update: Update) -> tuple[list[str], dict[str, Any]]:
    """Return the words for what is changed, and the members of the conversation afterwards."""
    words: list[str] = []
    members: dict[str, Any] = {}
    if update.metadata is not UNCHANGED:
        words.append("metadata")
        members["metadata"] = dict(update.metadata)
    if update.title is not UNCHANGED:
        words.append("renamed")
        members["title"] = update.title
    if update.archived is not UNCHANGED:
        words.append("archived" if update.archived else "unarchived")
        members["archived"] = update.archived
    if not words:
        raise ValueError("an update changes something")
    return words, members


def _made(begun: Begun, change: ConversationChanged) -> Conversation:
    """Return the conversation that the record makes, without a title."""
    return Conversation(
        owner=begun.owner,
        conversation_id=begun.conversation_id,
        created_us=change.at_us,
        updated_us=change.at_us,
        head_sequence=begun.sequence,
        metadata=change.metadata,
        title=None,
        model=None,
        implicit=False,
        archived=False,
    )


def _after(before: Conversation, change: ConversationChanged) -> Conversation:
    return replace(before, updated_us=change.at_us, head_sequence=change.sequence)


def _at(turn: WindowTurn, begun: Begun) -> WindowTurn:
    return msgspec.structs.replace(turn, sequence=begun.sequence)
