"""What a run of records comes to, gathered so that each table is written once."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from axon.conversations.changes import changes_of
from axon.conversations.feed_store import ChangeRow
from axon.conversations.placed import (
    DELETED_WITH_ITEMS,
    DELETIONS,
    TURN_FORGOTTEN,
    Placed,
    PlacedChange,
    placed_change,
)
from axon.conversations.projecting import NO_HEAD, Conversation, Head, Rows, without_nul
from axon.projection import Gap
from axon.records import (
    ConversationChanged,
    ItemsAppended,
    Record,
    TokenUsage,
    TurnAccepted,
    TurnCompleted,
    TurnInterrupted,
)

Turn = TurnAccepted | TurnCompleted | TurnInterrupted


class Place(NamedTuple):
    """A record's place."""

    conversation: Conversation
    sequence: int


def place_of(record: Record) -> Place | None:
    """Return the place the record takes in a conversation, if it takes one."""
    if isinstance(record, TurnCompleted | TurnInterrupted):
        head = record.head
        if head.unplaced:
            return None
        place = Place((head.user, head.conversation_id), head.sequence)
    elif isinstance(record, ItemsAppended | ConversationChanged):
        place = Place((record.user, record.conversation_id), record.sequence)
    else:
        return None
    return place if place.conversation[1] else None


@dataclass(slots=True)
class _State:
    """A conversation in the course of the batch."""

    head: Head
    row: tuple[Any, ...] = ()
    """What is written of it; nothing yet while empty."""
    metadata: dict[str, str] | None = None
    title: bytes | None = None
    """Sealed; empty when it was taken away, None when it stays."""
    archived: bool | None = None
    forked: tuple[str, str | None] | None = None
    deleted_us: int = 0
    deleted_with_items: bool = False

    def members(self) -> tuple[Any, ...]:
        """Return the row of members that were changed; nothing when none was."""
        changed = (self.metadata, self.title, self.archived, self.forked)
        if all(member is None for member in changed):
            return ()
        return (
            None if self.metadata is None else _metadata_json(self.metadata),
            self.title is not None,
            self.title or None,
            self.archived,
            *(self.forked or (None, None)),
        )


@dataclass(slots=True)
class Batch:
    """Takes records in order, then gives the rows to write; raises Gap before any is written."""

    heads: dict[Conversation, Head]
    """Of the conversations that exist."""
    fences: dict[tuple[int, str, int], int]
    """Of what stands in the tables at places that are not behind the heads."""
    _states: dict[Conversation, _State] = field(default_factory=dict)
    _turns: dict[tuple[int, str], Turn] = field(default_factory=dict)
    _placed: dict[tuple[int, str, int], PlacedChange] = field(default_factory=dict)
    _deleted_items: list[tuple[int, str, str]] = field(default_factory=list)
    _forgotten_turns: list[tuple[int, str]] = field(default_factory=list)
    _changes: dict[tuple[int, str, int], list[ChangeRow]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take the next record; raises Gap when its predecessor is missing."""
        if isinstance(record, TurnCompleted | TurnInterrupted) and record.head.unplaced:
            return  # it comes again with its place, and until then the journal's tail has it
        if isinstance(record, Turn):
            self._add_turn(record)
        if isinstance(record, ConversationChanged) and record.change == TURN_FORGOTTEN:
            self._forgotten_turns.append((record.user, record.item_id))
        place = place_of(record)
        if place is None:
            return
        assert isinstance(record, Placed)
        change = placed_change(record)
        state = self._states.get(place.conversation)
        if state is None:
            head = self.heads.get(place.conversation, NO_HEAD)
            state = self._states[place.conversation] = _State(head)
        if self._stands(place, change, state.head):
            self._place(record, place, change, state)

    def _add_turn(self, turn: Turn) -> None:
        """Keep the end of a turn rather than its beginning, and its first end."""
        key = (turn.head.user, turn.head.turn_id)
        if isinstance(self._turns.get(key), TurnAccepted | None):
            self._turns[key] = turn

    def _stands(self, place: Place, change: PlacedChange, head: Head) -> bool:
        """Return whether the record is the true one of its place, as far as is known."""
        if place.sequence > head.sequence + 1:
            raise Gap(f"{place.conversation[1]}: {place.sequence} follows {head.sequence}")
        if place.sequence == head.sequence + 1:
            return True
        key = (*place.conversation, place.sequence)
        other = self._placed.get(key)
        standing = other.fence if other is not None else self.fences.get(key, 0)
        return change.fence > standing

    def _place(self, record: Placed, place: Place, change: PlacedChange, state: _State) -> None:
        user, conversation_id = place.conversation
        created_us, model, implicit, org_id = change.at_us, None, False, ""
        if isinstance(record, TurnCompleted | TurnInterrupted):
            turn = record.head
            created_us, model, implicit = turn.accepted_us, turn.model, turn.implicit
            org_id = turn.org_id
        else:
            org_id = record.org_id
        if state.head.sequence:
            implicit = state.head.implicit
        if place.sequence >= state.head.sequence:
            deleted = state.head.deleted
            state.head = Head(place.sequence, change.fence, deleted, implicit)
        self._placed[user, conversation_id, place.sequence] = change
        if state.row:
            created_us, model = state.row[3], model or state.row[7]
        state.row = (
            user,
            conversation_id,
            org_id,
            created_us,
            change.at_us,
            state.head.sequence,
            state.head.fence,
            model,
            implicit,
        )
        if isinstance(record, ConversationChanged):
            for word in record.changes:
                self._change(record, word, state)
        self._tell(record, place, change.at_us, state.head)

    def _change(self, record: ConversationChanged, word: str, state: _State) -> None:
        if word in ("created", "forked", "metadata"):
            state.metadata = record.metadata
        if word in ("renamed", "forked"):
            state.title = record.title
        if word == "forked":
            state.forked = (record.forked_conversation_id, record.forked_item_id or None)
        elif word in ("archived", "unarchived"):
            state.archived = word == "archived"
        elif word == "item_deleted":
            gone = (record.user, record.conversation_id, record.item_id)
            self._deleted_items.append(gone)
        elif word in DELETIONS:
            state.deleted_us = record.at_us
            state.deleted_with_items = word == DELETED_WITH_ITEMS

    def _tell(self, record: Placed, place: Place, at_us: int, head: Head) -> None:
        """Put the record's changes into the feed, in place of those of a record it replaces."""
        key = (*place.conversation, place.sequence)
        self._changes.pop(key, None)
        if not head.implicit and not head.deleted:
            self._changes[key] = [ChangeRow(*key, at_us, change) for change in changes_of(record)]

    def rows(self) -> Rows:
        """Return what is to be written."""
        changed = {place: state for place, state in self._states.items() if state.row}
        deleted = {place: state for place, state in changed.items() if state.deleted_us}
        return Rows(
            conversations=[state.row for state in changed.values()],
            members=[
                (*place, *members)
                for place, state in changed.items()
                if (members := state.members())
            ],
            turns=[_turn_row(turn) for turn in self._turns.values()],
            replaced=[key for key in self._placed if key in self.fences],
            places=[
                (*key, change.fence, change.origin_id, change.at_us)
                for key, change in self._placed.items()
            ],
            items=[row for key, change in self._placed.items() for row in self._items(key, change)],
            deleted_items=self._deleted_items,
            forgotten_turns=self._forgotten_turns,
            deleted=[
                (*place, state.deleted_us)
                for place, state in deleted.items()
                if not state.deleted_with_items
            ],
            deleted_with_items=[
                (*place, state.deleted_us)
                for place, state in deleted.items()
                if state.deleted_with_items
            ],
            changes=[change for changes in self._changes.values() for change in changes],
            ended_leases=[(*place, state.head.sequence) for place, state in changed.items()],
        )

    def _items(self, key: tuple[int, str, int], change: PlacedChange) -> list[tuple[Any, ...]]:
        if self.heads.get(key[:2], NO_HEAD).deleted:
            return []
        return [
            (
                *key,
                index,
                item.item_id,
                change.origin_id,
                output,
                item.kind,
                item.author,
                status,
                item.model_tokens,
                item.blob,
                change.at_us,
            )
            for index, item, output, status in change.rows()
        ]


def _metadata_json(metadata: dict[str, str]) -> str:
    storable = {without_nul(key): without_nul(value) for key, value in metadata.items()}
    return msgspec.json.encode(storable).decode()


def _turn_row(turn: Turn) -> tuple[Any, ...]:
    head = turn.head
    status, reason, answer, usage = "in_progress", "", b"", TokenUsage()
    upstream, first_token_us, completed_us = "", 0, 0
    if not isinstance(turn, TurnAccepted):
        status, answer, usage = turn.status, turn.answer, turn.usage
        upstream = turn.upstream
        first_token_us, completed_us = turn.first_token_us, turn.completed_us
    if isinstance(turn, TurnInterrupted):
        reason = turn.reason
    return (
        head.user,
        head.turn_id,
        head.org_id,
        head.conversation_id,
        head.sequence,
        head.credential_id,
        head.surface,
        head.model,
        status,
        reason,
        head.stored,
        answer or None,
        usage.input_tokens,
        usage.cached_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        upstream,
        head.accepted_us,
        first_token_us,
        completed_us,
        head.without_history,
    )
