"""The records of a conversation outside its turns, and the erasure of a person."""

import msgspec

from axon.records.content import SealedItem


class ItemsAppended(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Items were added to a conversation without a turn."""

    change_id: str
    """Id of this change; takes the place of a turn id where items are bound to their origin."""
    org_id: str
    user: int
    credential_id: str
    conversation_id: str
    sequence: int
    fence: int
    at_us: int
    items: list[SealedItem]
    idempotency_mac: bytes = b""
    """Keyed hash of the request's Idempotency-Key; empty when it had none."""
    body_mac: bytes = b""
    """Keyed hash of what the request asked for, when it had a key."""


class ConversationChanged(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A conversation was created or changed, lost an item, or was deleted."""

    change_id: str
    org_id: str
    user: int
    credential_id: str
    conversation_id: str
    sequence: int
    fence: int
    at_us: int
    change: str
    """created, forked, metadata, renamed, archived, unarchived, item_deleted, turn_forgotten,
    turn_metadata, deleted (its items stay with their responses) or deleted_with_items."""
    metadata: dict[str, str]
    """The whole new metadata, for created, forked, metadata and turn_metadata."""
    item_id: str
    """The item that went, for item_deleted; the turn that can no longer be fetched, for
    turn_forgotten, or that was given metadata, for turn_metadata."""
    items: list[SealedItem]
    """The initial items, for created and forked."""
    title: bytes = b""
    """The new title, sealed, for renamed and forked; empty for none."""
    also: list[str] = []
    """What else this record changes: metadata, renamed, archived or unarchived."""
    forked_conversation_id: str = ""
    """The conversation that was copied, for forked."""
    forked_item_id: str = ""
    """The last item of it that was copied, for forked; empty when it had none."""
    origin_id: str = ""
    """What brought the item that went, for item_deleted: a turn, whose events are forgotten too,
    or a change."""
    idempotency_mac: bytes = b""
    body_mac: bytes = b""
    """As for appended items, for created."""

    @property
    def changes(self) -> list[str]:
        """Return everything this record changes, as words."""
        return [self.change, *self.also]


class SubjectErased(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A person's data keys were destroyed; what they sealed can be read by nobody again."""

    change_id: str
    org_id: str
    user: int
    credential_id: str
    at_us: int
    reason: str
