"""What a record does at its place in a conversation, whatever kind of record it is."""

from collections.abc import Iterable
from dataclasses import dataclass

from axon.records import (
    AccessLogged,
    AdminAction,
    ConversationChanged,
    EventsReceived,
    ExperimentChanged,
    FeedbackGiven,
    FlagsChanged,
    ItemsAppended,
    Record,
    SealedItem,
    SubjectErased,
    TrainingConsent,
    TurnCompleted,
    TurnInterrupted,
)

TURN_FORGOTTEN = "turn_forgotten"
"""A change that makes the turn in `item_id` one that is not stored; its items stay. Of a turn
outside any conversation, it takes no place."""

TURN_METADATA = "turn_metadata"
"""A change of the metadata of the stored chat completion in `item_id`; it takes no place."""

DELETED_WITH_ITEMS = "deleted_with_items"
DELETIONS = frozenset({"deleted", DELETED_WITH_ITEMS})
"""Changes after which there is no conversation; the second takes its items along."""

_OF_NO_CONVERSATION = (
    SubjectErased
    | EventsReceived
    | FlagsChanged
    | ExperimentChanged
    | FeedbackGiven
    | AccessLogged
    | AdminAction
    | TrainingConsent
)

Placed = TurnCompleted | TurnInterrupted | ItemsAppended | ConversationChanged
"""The records that take a place in a conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedChange:
    """What one record does to its conversation, whatever kind of record it is."""

    origin_id: str
    """The turn, or the change without a turn: what the items' seals are bound to."""
    sequence: int
    fence: int
    at_us: int
    input: list[SealedItem]
    output: list[SealedItem]
    output_status: str

    @property
    def items(self) -> list[SealedItem]:
        """Return all items the record brought."""
        return [*self.input, *self.output]

    def rows(self) -> Iterable[tuple[int, SealedItem, bool, str]]:
        """Yield (index, item, whether it is output, status)."""
        for index, item in enumerate(self.input):
            yield index, item, False, "completed"
        for index, item in enumerate(self.output, len(self.input)):
            yield index, item, True, self.output_status


def conversation_of(record: Record) -> str:
    """Return the conversation the record is about; empty when it is about none."""
    if isinstance(record, _OF_NO_CONVERSATION):
        return ""
    if isinstance(record, ItemsAppended | ConversationChanged):
        return record.conversation_id
    return record.head.conversation_id


def placed_change(record: Placed) -> PlacedChange:
    """Return what the record does at its place."""
    if isinstance(record, TurnCompleted | TurnInterrupted):
        completed = record.status == "completed"
        return PlacedChange(
            origin_id=record.head.turn_id,
            sequence=record.head.sequence,
            fence=record.head.fence,
            at_us=record.completed_us,
            input=record.input,
            output=record.output,
            output_status="completed" if completed else "incomplete",
        )
    return PlacedChange(
        origin_id=record.change_id,
        sequence=record.sequence,
        fence=record.fence,
        at_us=record.at_us,
        input=record.items,
        output=[],
        output_status="completed",
    )
