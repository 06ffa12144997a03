"""Turns that a dead process left open, as its journal tells of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.conversations import NewItem
from axon.journal import LOST_KIND, Entry, Location
from axon.records import (
    Record,
    SealedItem,
    TurnAccepted,
    TurnCompleted,
    TurnHead,
    TurnInterrupted,
    TurnProgress,
    decode,
)
from axon.sealing import DataKey, item_context, key_id_of, open_sealed
from axon.turns.engine_request import Fields
from axon.turns.request import REQUEST_ITEM, TurnRequest
from axon.turns.rooms import TurnOptions, TurnRooms


@dataclass(slots=True)
class OpenTurn:
    """An accepted turn without an end."""

    accepted: TurnAccepted
    location: Location
    progress: TurnProgress | None = None
    """The last one."""
    events: list[bytes] = field(default_factory=list)
    """What each progress holds of the stream, sealed."""

    @property
    def turn_id(self) -> str:
        """Return the turn's id."""
        return self.accepted.head.turn_id


def read_back(entries: Iterable[Entry], note: Callable[[Record, Location], None]) -> list[OpenTurn]:
    """Return the turns without an end among these entries, the oldest first; blocks.

    `note` is told of every record on the way. Raises UnknownRecord for one that a newer version of
    Axon wrote: who passed over it would lose it.
    """
    left_open: dict[str, OpenTurn] = {}
    for entry in entries:
        if entry.kind == LOST_KIND:
            continue  # a place that `axon journal salvage` could not save
        record = decode(entry.kind, entry.payload)
        note(record, entry.location)
        if isinstance(record, TurnAccepted):
            left_open[record.head.turn_id] = OpenTurn(record, entry.location)
        elif isinstance(record, TurnCompleted | TurnInterrupted):
            left_open.pop(record.head.turn_id, None)
        elif isinstance(record, TurnProgress) and record.head.turn_id in left_open:
            left = left_open[record.head.turn_id]
            left.progress = record
            if record.number == 0:
                left.events.clear()
            left.events.append(record.events)
    return list(left_open.values())


def runs_again(left: OpenTurn, now_us: int, options: TurnOptions) -> bool:
    """Return whether the turn is run again: nothing was shown, it adds to a conversation, and its
    deadline has not passed. (The last also ends a loop of crashes that a turn may itself cause.)"""
    accepted = left.accepted
    age_s = (now_us - accepted.head.accepted_us) / MICROS_PER_SECOND
    unseen = not accepted.streamed and left.progress is None
    return unseen and bool(accepted.head.conversation_id) and age_s < options.deadline_s


async def read_request(rooms: TurnRooms, accepted: TurnAccepted) -> TurnRequest:
    """Return the request as it was understood when it was accepted; raise KeyGone when erased."""
    head = accepted.head
    key = await rooms.keys.by_id(key_id_of(accepted.request))
    body = open_sealed(key, blob_context(head, REQUEST_ITEM), accepted.request)
    fields = msgspec.json.decode(body, type=Fields)
    instructions = fields.get("instructions")
    output_cap = fields.get("max_output_tokens")
    return TurnRequest(
        trace=head.trace,
        org_id=head.org_id,
        user=head.user,
        credential_id=head.credential_id,
        surface=head.surface,
        model=head.model,
        streamed=accepted.streamed,
        background=accepted.background,
        stored=head.stored,
        body=body,
        fields=fields,
        items=tuple(_new_item(key, head, item) for item in accepted.input),
        instructions=msgspec.json.decode(instructions, type=str | None) if instructions else None,
        conversation_id=None if head.implicit else head.conversation_id,
        truncate=bytes(fields.get("truncation") or b"") == b'"auto"',
        output_tokens_max=msgspec.json.decode(output_cap, type=int | None) if output_cap else None,
    )


def _new_item(key: DataKey, head: TurnHead, item: SealedItem) -> NewItem:
    content = open_sealed(key, blob_context(head, item.item_id), item.blob)
    return NewItem(kind=item.kind, author=item.author, content=content)


def blob_context(head: TurnHead, item_id: str) -> bytes:
    """Return what binds a blob of a turn to its place."""
    return item_context(head.org_id, head.user, head.conversation_id, head.turn_id, item_id)
