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


class ConversationChanged(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A conversation was created, given metadata, lost an item, or was deleted."""

    change_id: str
    org_id: str
    user: int
    credential_id: str
    conversation_id: str
    sequence: int
    fence: int
    at_us: int
    change: str
    """created, metadata, item_deleted, turn_forgotten or deleted."""
    metadata: dict[str, str]
    """The whole new metadata, for created and metadata."""
    item_id: str
    """The item that went, for item_deleted; the turn that can no longer be fetched, for
    turn_forgotten."""
    items: list[SealedItem]
    """The initial items, for created."""


class SubjectErased(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A person's data keys were destroyed; what they sealed can be read by nobody again."""

    change_id: str
    org_id: str
    user: int
    credential_id: str
    at_us: int
    reason: str
