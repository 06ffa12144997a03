"""Turns that a dead process left open: found in its journal, run again or ended as interrupted.

A turn whose client was shown nothing (it did not stream) is run again, so that it ends as if
nothing had happened. A streamed one ends at the last journaled progress: a client may have seen
more than that, never less, and a second run would contradict it.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.conversations import (
    Begun,
    ConversationNotFound,
    HistoryUnavailable,
    NewItem,
    Owner,
)
from axon.journal import Entry, EntryTooLarge, JournalFull, Location
from axon.records import (
    KINDS,
    Record,
    SealedItem,
    TokenUsage,
    TurnAccepted,
    TurnCompleted,
    TurnHead,
    TurnInterrupted,
    TurnProgress,
    decode,
    encode,
)
from axon.sealing import DataKey, SealingError, item_context, key_id_of, open_sealed, seal
from axon.turns.accepting import new_answer
from axon.turns.answer import Ending, TurnFailure
from axon.turns.engine_request import Fields
from axon.turns.failures import TurnError
from axon.turns.fitting import History, engine_fields
from axon.turns.request import ANSWER_ITEM, REQUEST_ITEM, RunningTurn, TurnRequest
from axon.turns.rooms import TurnOptions, TurnRooms

_CRASH = TurnFailure(
    status=500,
    code="server_error",
    message="The server stopped before the answer was complete; what was said so far is kept.",
)


_BEGIN_AGAIN_EVERY_S = 0.5
"""How often a turn whose history cannot be read yet is tried again."""


class PlaceTaken(TurnError):
    """Another turn has taken this turn's place in its conversation."""


@dataclass(slots=True)
class OpenTurn:
    """An accepted turn without an end."""

    accepted: TurnAccepted
    location: Location
    progress: TurnProgress | None = None

    @property
    def turn_id(self) -> str:
        """Return the turn's id."""
        return self.accepted.head.turn_id


def read_back(entries: Iterable[Entry], note: Callable[[Record, Location], None]) -> list[OpenTurn]:
    """Return the turns without an end among these entries, the oldest first; blocks.

    `note` is told of every record on the way.
    """
    left_open: dict[str, OpenTurn] = {}
    for entry in entries:
        if entry.kind not in KINDS:
            continue  # a place that `axon journal salvage` could not save
        record = decode(entry.kind, entry.payload)
        note(record, entry.location)
        if isinstance(record, TurnAccepted):
            left_open[record.head.turn_id] = OpenTurn(record, entry.location)
        elif isinstance(record, TurnCompleted | TurnInterrupted):
            left_open.pop(record.head.turn_id, None)
        elif isinstance(record, TurnProgress) and record.head.turn_id in left_open:
            left_open[record.head.turn_id].progress = record
    return list(left_open.values())


def runs_again(left: OpenTurn, now_us: int, options: TurnOptions) -> bool:
    """Return whether the turn is run again: nothing was shown, it adds to a conversation, and its
    deadline has not passed. (The last also ends a loop of crashes that a turn may itself cause.)"""
    accepted = left.accepted
    age_s = (now_us - accepted.head.accepted_us) / MICROS_PER_SECOND
    unseen = accepted.background or not accepted.streamed
    return unseen and bool(accepted.head.conversation_id) and age_s < options.deadline_s


async def end_as_interrupted(rooms: TurnRooms, left_open: list[OpenTurn]) -> None:
    """Journal the end of each turn as far as it had come, as many in one commit as it takes."""
    written: list[tuple[Record, asyncio.Future[Location]]] = []
    for left in left_open:
        record = await _interrupted(rooms, left)
        try:
            appended = _append(rooms, record)
        except JournalFull:
            await _note(rooms, written)
            appended = _append(rooms, record)
        written.append((record, appended))
    await _note(rooms, written)


def _append(rooms: TurnRooms, record: TurnInterrupted) -> "asyncio.Future[Location]":
    """Append the ending; without items where they, input and progress, fit two entries but not one.

    The projector then writes none, as for a turn that had said nothing.
    """
    try:
        return rooms.journal.append(*encode(record))
    except EntryTooLarge:
        return rooms.journal.append(*encode(msgspec.structs.replace(record, input=[], output=[])))


async def _note(rooms: TurnRooms, written: list[tuple[Record, "asyncio.Future[Location]"]]) -> None:
    """Wait until these are durable, note them in the tail, and forget them here."""
    for record, appended in written:
        rooms.conversations.tail.note(record, await appended)
    written.clear()


async def _interrupted(rooms: TurnRooms, left: OpenTurn) -> TurnInterrupted:
    accepted, head = left.accepted, left.accepted.head
    output = left.progress.output if left.progress is not None else []
    answer = b""
    try:
        request = await _request(rooms, accepted)
    except (SealingError, UnicodeDecodeError, msgspec.DecodeError):
        output = []  # the person was erased meanwhile, or the seal is broken: nothing may return
    else:
        ending = Ending(status="failed", reason="crash", failure=_CRASH)
        kept = new_answer(rooms, request, head).close(ending, TokenUsage()).kept
        key = await rooms.data_key(head.org_id, head.user)
        answer = seal(key, _context(head, ANSWER_ITEM), kept, rooms.randomness)
    usage = TokenUsage(
        input_tokens=accepted.input_tokens_reserved,
        output_tokens=left.progress.output_tokens if left.progress is not None else 0,
        estimated=True,
    )
    return TurnInterrupted(
        head=head,
        input=accepted.input if output else [],
        output=output,
        answer=answer,
        status="failed",
        reason="crash",
        usage=usage,
        upstream="",
        upstream_id="",
        completed_us=rooms.clock.now_us(),
        first_token_us=0,
        assignments=accepted.assignments,
    )


def _context(head: TurnHead, item_id: str) -> bytes:
    return item_context(head.org_id, head.user, head.conversation_id, head.turn_id, item_id)


async def reopen(rooms: TurnRooms, options: TurnOptions, left: OpenTurn) -> RunningTurn:
    """Return the turn ready to run again; it holds its place in the conversation.

    Raises whatever keeps it from that, and then holds nothing: the turn is to be ended instead.
    """
    head = left.accepted.head
    begun = await _begin_again(rooms, options, head)
    try:
        if begun.sequence != head.sequence:
            raise PlaceTaken
        return await _reopened(rooms, left, begun)
    except BaseException:
        await asyncio.shield(rooms.conversations.abort(begun))
        raise


async def _reopened(rooms: TurnRooms, left: OpenTurn, begun: Begun) -> RunningTurn:
    accepted, head = left.accepted, left.accepted.head
    request = await _request(rooms, accepted)
    model = rooms.models.resolve(request.model)
    history = History(begun.history, begun.complete)
    fields = await engine_fields(rooms, request, model, history)
    return RunningTurn(
        head=msgspec.structs.replace(head, fence=begun.fence),
        request=request,
        model=model,
        answer=new_answer(rooms, request, head),
        key=await rooms.data_key(head.org_id, head.user),
        input=accepted.input,
        contents=tuple(item.content for item in request.items),
        begun=begun,
        started_s=rooms.clock.monotonic(),
        fields=fields,
        request_blob=accepted.request,
        accepted_at=left.location,
    )


async def _begin_again(rooms: TurnRooms, options: TurnOptions, head: TurnHead) -> Begun:
    """Take the turn's place in its conversation again; a chain it was to begin is begun now.

    While the stores are away it is tried again, up to the turn's deadline.
    """
    owner = Owner(org_id=head.org_id, user=head.user)
    conversations = rooms.conversations
    deadline_us = head.accepted_us + int(options.deadline_s * MICROS_PER_SECOND)
    while True:
        try:
            return await conversations.begin(owner, head.conversation_id, options.wait_s)
        except ConversationNotFound:
            if head.implicit and head.sequence == 1:
                return conversations.start(owner, head.conversation_id)
            raise
        except HistoryUnavailable:
            if rooms.clock.now_us() > deadline_us:
                raise
        await asyncio.sleep(_BEGIN_AGAIN_EVERY_S)


async def _request(rooms: TurnRooms, accepted: TurnAccepted) -> TurnRequest:
    """Return the request as it was understood when it was accepted; raise KeyGone when erased."""
    head = accepted.head
    key = await rooms.keys.by_id(key_id_of(accepted.request))
    body = open_sealed(key, _context(head, REQUEST_ITEM), accepted.request)
    fields = msgspec.json.decode(body, type=Fields)
    instructions = fields.get("instructions")
    output_cap = fields.get("max_output_tokens")
    return TurnRequest(
        org_id=head.org_id,
        user=head.user,
        credential_id=head.credential_id,
        surface=head.surface,
        model=head.model,
        streamed=accepted.streamed,
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
    content = open_sealed(key, _context(head, item.item_id), item.blob)
    return NewItem(kind=item.kind, author=item.author, content=content)
