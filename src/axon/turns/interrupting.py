"""Ending the turns that a crash cut short: each as far as its client may have seen it."""

import asyncio
from typing import NamedTuple

import msgspec

from axon.journal import EntryTooLarge, JournalFull, Location
from axon.records import TokenUsage, TurnInterrupted, encode
from axon.sealing import SealingError, key_id_of, open_sealed, seal
from axon.turns.accepting import new_answer
from axon.turns.answer import Closing, Ending, TurnFailure
from axon.turns.left_open import OpenTurn, blob_context, read_request
from axon.turns.request import ANSWER_ITEM, EVENTS_ITEM, TurnRequest
from axon.turns.responses import ResponsesAnswer
from axon.turns.rooms import TurnRooms
from axon.turns.stream import count_events

_UNSEEN = Ending(
    status="failed",
    reason="crash",
    failure=TurnFailure(
        status=500,
        code="server_error",
        message="The server stopped before the answer was complete; what was said so far is kept.",
    ),
)
_SEEN = Ending(status="incomplete", reason="crash")
"""Of a turn whose client may have seen some of it: the rest will never come."""


async def end_as_interrupted(rooms: TurnRooms, left_open: list[OpenTurn]) -> None:
    """Journal the end of each turn as far as it had come, as many in one commit as it takes."""
    heads = [left.accepted.head for left in left_open]
    conversation_ids = [head.conversation_id for head in heads if head.sequence]
    await rooms.conversations.disbelieve(conversation_ids)
    written: list[tuple[TurnInterrupted, asyncio.Future[Location]]] = []
    for left in left_open:
        record = await _interrupted(rooms, left)
        try:
            appended = _append(rooms, record)
        except JournalFull:
            await _note(rooms, written)
            appended = _append(rooms, record)
        written.append((record, appended))
    await _note(rooms, written)
    await rooms.conversations.disbelieve(conversation_ids)


def _append(rooms: TurnRooms, record: TurnInterrupted) -> "asyncio.Future[Location]":
    """Append the ending; without items where they, input and progress, fit two entries but not one.

    The projector then writes none, as for a turn that had said nothing.
    """
    try:
        return rooms.journal.append(*encode(record))
    except EntryTooLarge:
        return rooms.journal.append(*encode(msgspec.structs.replace(record, input=[], output=[])))


async def _note(
    rooms: TurnRooms, written: list[tuple[TurnInterrupted, "asyncio.Future[Location]"]]
) -> None:
    """Wait until these are durable, note them in the tail, and forget them here."""
    for record, appended in written:
        location = await appended
        rooms.conversations.tail.note(record, location)
        rooms.limits.settle(record, location.sequence)
    written.clear()


class _Cut(NamedTuple):
    """The end of a turn that a crash cut short."""

    ending: Ending
    answer: bytes = b""
    events: bytes = b""


async def _interrupted(rooms: TurnRooms, left: OpenTurn) -> TurnInterrupted:
    accepted, head = left.accepted, left.accepted.head
    output = left.progress.output if left.progress is not None else []
    try:
        cut = await _cut(rooms, left)
    except (SealingError, UnicodeDecodeError, msgspec.DecodeError):
        # The person was erased meanwhile, or the seal is broken: nothing may return.
        output, cut = [], _Cut(_UNSEEN)
    usage = _usage(left, cut.ending)
    return TurnInterrupted(
        head=head,
        input=accepted.input if output else [],
        output=output,
        answer=cut.answer,
        status=cut.ending.status,
        reason=cut.ending.reason,
        usage=usage,
        upstream="",
        upstream_id="",
        completed_us=rooms.clock.now_us(),
        first_token_us=0,
        assignments=accepted.assignments,
        events=cut.events,
        charge=rooms.prices.charge(head, cut.ending.status, usage),
        verdicts=accepted.verdicts,
    )


async def _cut(rooms: TurnRooms, left: OpenTurn) -> _Cut:
    """Return how the turn ends: what is kept of its answer, and its events with a last one."""
    head = left.accepted.head
    request = await read_request(rooms, left.accepted)
    key = await rooms.data_key(head.org_id, head.user)
    events = b"".join(await _opened_events(rooms, left))
    ending = _SEEN if left.accepted.streamed or left.progress is not None else _UNSEEN
    closing = await _closing(rooms, left, request, ending, events)
    kept = seal(key, blob_context(head, ANSWER_ITEM), closing.kept, rooms.randomness)
    if not request.tells or not head.stored:
        return _Cut(ending, kept)
    shown = seal(key, blob_context(head, EVENTS_ITEM), events + closing.shown, rooms.randomness)
    return _Cut(ending, kept, shown)


async def _closing(
    rooms: TurnRooms, left: OpenTurn, request: TurnRequest, ending: Ending, events: bytes
) -> Closing:
    answer = new_answer(rooms, request, left.accepted.head)
    if not isinstance(answer, ResponsesAnswer):
        return answer.close(ending, TokenUsage())
    head, items = left.accepted.head, []
    for item in left.progress.output if left.progress is not None else []:
        key = await rooms.keys.by_id(key_id_of(item.blob))
        items.append(open_sealed(key, blob_context(head, item.item_id), item.blob))
    output = b"[%b]" % b",".join(items)
    return answer.cut_off(ending, _usage(left, ending), count_events(events), output)


async def _opened_events(rooms: TurnRooms, left: OpenTurn) -> list[bytes]:
    head, opened = left.accepted.head, []
    for number, sealed in enumerate(left.events):
        key = await rooms.keys.by_id(key_id_of(sealed))
        context = blob_context(head, f"{EVENTS_ITEM}{number}")
        opened.append(open_sealed(key, context, sealed))
    return opened


def _usage(left: OpenTurn, ending: Ending) -> TokenUsage:
    """Return what is known of the tokens: the engine never said. Nothing, when nothing came."""
    if ending.status == "failed":
        return TokenUsage(estimated=True)
    accepted = left.accepted
    output_tokens = left.progress.output_tokens if left.progress is not None else 0
    if accepted.head.holds:  # an estimate, which errs on the high side
        output_tokens = min(output_tokens, accepted.output_tokens_reserved)
    return TokenUsage(
        input_tokens=accepted.input_tokens_reserved,
        output_tokens=output_tokens,
        estimated=True,
    )
