"""PostgreSQL's view of a conversation, brought up to date with the journal's tail."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from axon.conversations.errors import HistoryUnavailable
from axon.conversations.history import WindowTurn
from axon.conversations.placed import DELETIONS, Placed, PlacedChange, placed_change
from axon.conversations.store import StateRow
from axon.records import ConversationChanged, Record, TurnCompleted, TurnInterrupted


@dataclass(slots=True, kw_only=True)
class View:
    """A conversation as PostgreSQL and the tail together have it."""

    state: StateRow
    base_head: int
    """Up to this place, and without `replaced`, PostgreSQL's items are right."""
    changes: list[PlacedChange] = field(default_factory=list)
    """What the tail adds, in the order of the places."""
    replaced: set[int] = field(default_factory=set)
    deleted_items: set[str] = field(default_factory=set)

    def tail_turns(self) -> list[WindowTurn]:
        """Return the items the tail adds, as turns."""
        turns = []
        for change in self.changes:
            items = [item for item in change.items if item.item_id not in self.deleted_items]
            if items:
                turns.append(WindowTurn(change.origin_id, change.sequence, items))
        return turns

    def base_turns(self, turns: list[WindowTurn]) -> list[WindowTurn]:
        """Return PostgreSQL's turns without what the tail takes away from them."""
        if not self.replaced and not self.deleted_items:
            return turns
        kept = []
        for turn in turns:
            items = [item for item in turn.items if item.item_id not in self.deleted_items]
            if items and turn.sequence not in self.replaced:
                kept.append(WindowTurn(turn.turn_id, turn.sequence, items))
        return kept


_BEFORE = StateRow(
    created_us=0,
    updated_us=0,
    head_sequence=0,
    head_fence=0,
    metadata={},
    title=None,
    model=None,
    implicit=False,
    archived=False,
    deleted=False,
)


def overlay(state: StateRow | None, records: Iterable[Record]) -> View | None:
    """Return the conversation after `records`, the tail's for it; None when there is none.

    `records` must have been listed before `state` was read, so that together they are all there
    is. Raises HistoryUnavailable when a place is missing: its record is in another journal.
    """
    view = View(state=state or _BEFORE, base_head=state.head_sequence if state else 0)
    for record in true_records(records):
        change = placed_change(record)
        head = view.state.head_sequence
        if change.sequence > head + 1:
            raise HistoryUnavailable(f"place {head + 1} is not here yet")
        if change.sequence <= head and not _replaces(view, change):
            continue
        if change.sequence <= head:
            view.replaced.add(change.sequence)
        view.changes.append(change)
        view.state = _after(view.state, record, change)
        if isinstance(record, ConversationChanged) and record.change == "item_deleted":
            view.deleted_items.add(record.item_id)
    return view if view.state.head_sequence else None


def true_records(records: Iterable[Record]) -> list[Placed]:
    """Return the true record of each place, in order: the one with the highest fence."""
    true: dict[int, Placed] = {}
    for record in records:
        if isinstance(record, Placed):
            change = placed_change(record)
            other = true.get(change.sequence)
            if other is None or placed_change(other).fence < change.fence:
                true[change.sequence] = record
    return [true[sequence] for sequence in sorted(true)]


def _replaces(view: View, change: PlacedChange) -> bool:
    """Return whether the tail knows better what stands at PostgreSQL's last place."""
    state = view.state
    return change.sequence == state.head_sequence and change.fence > state.head_fence


def _after(state: StateRow, record: Placed, change: PlacedChange) -> StateRow:
    after = state._replace(
        updated_us=change.at_us,
        created_us=state.created_us or change.at_us,
        head_sequence=change.sequence,
        head_fence=change.fence,
    )
    if isinstance(record, TurnCompleted | TurnInterrupted):
        after = after._replace(model=record.head.model)
        if change.sequence == 1:
            after = after._replace(
                implicit=record.head.implicit, created_us=record.head.accepted_us
            )
    elif isinstance(record, ConversationChanged):
        for word in record.changes:
            after = _changed(after, record, word)
    return after


def _changed(state: StateRow, record: ConversationChanged, word: str) -> StateRow:
    """Return the state after one of the record's changes."""
    if word in DELETIONS:
        return state._replace(deleted=True, metadata={}, title=None)
    if word in ("created", "forked", "metadata"):
        state = state._replace(metadata=record.metadata)
    if word in ("renamed", "forked"):
        state = state._replace(title=record.title or None)
    if word == "forked":
        return state._replace(
            forked_conversation_id=record.forked_conversation_id,
            forked_item_id=record.forked_item_id or None,
        )
    if word in ("archived", "unarchived"):
        return state._replace(archived=word == "archived")
    return state
