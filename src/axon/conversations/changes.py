"""What a record changes for those who look at a conversation, in the words of the feed."""

from collections.abc import Sequence
from typing import NamedTuple

from axon.conversations.placed import DELETIONS, Placed, placed_change
from axon.records import ConversationChanged, TurnCompleted, TurnInterrupted

CREATED = "created"
ITEM_ADDED = "item_added"
ITEM_DELETED = "item_deleted"
DELETED = "deleted"
UPDATES = frozenset({"metadata", "renamed", "archived", "unarchived"})
"""Changes of the conversation itself, by their names in records and in the feed."""


class Change(NamedTuple):
    """One change; a record may be several."""

    kind: str
    """created, item_added, item_deleted, deleted, or one of UPDATES."""
    turn_id: str
    """The turn that added the items; empty when none did."""
    item_ids: Sequence[str]


def changes_of(record: Placed) -> list[Change]:
    """Return what the record changes, in order; nothing for a turn that was forgotten."""
    items = [item.item_id for item in placed_change(record).items]
    if isinstance(record, TurnCompleted | TurnInterrupted):
        return _added(record.head.turn_id, items)
    if not isinstance(record, ConversationChanged):
        return _added("", items)
    changes: list[Change] = []
    for word in record.changes:
        if word in ("created", "forked"):
            changes += [Change(CREATED, "", ()), *_added("", items)]
        elif word == "item_deleted":
            changes.append(Change(ITEM_DELETED, "", (record.item_id,)))
        elif word in DELETIONS:
            changes.append(Change(DELETED, "", ()))
        elif word in UPDATES:
            changes.append(Change(word, "", ()))
    return changes


def _added(turn_id: str, item_ids: list[str]) -> list[Change]:
    return [Change(ITEM_ADDED, turn_id, item_ids)] if item_ids else []
