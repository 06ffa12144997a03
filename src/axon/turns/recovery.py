"""Turns that a dead process left open are run again, or ended as interrupted.

Where the bus still has what the engine said, any turn is told on from there, and those who follow
its stream notice nothing. Else a turn whose client was shown nothing (it did not stream) is run
again, so that it ends as if nothing had happened. A streamed one ends at the last journaled
progress: a client may have seen more than that, never less, and a second run would contradict it.
"""

import asyncio

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.conversations import Begun, ConversationNotFound, HistoryUnavailable, Owner
from axon.inference import JobStream
from axon.records import TurnAccepted, TurnHead
from axon.sealing import key_id_of, open_sealed
from axon.turns.accepting import new_answer
from axon.turns.compacting import as_told, recall
from axon.turns.failures import TurnError
from axon.turns.fitting import History, engine_fields, engine_streams
from axon.turns.guarding import guard_of, guards, refusal_of
from axon.turns.left_open import OpenTurn, blob_context, read_request
from axon.turns.passages import with_passages
from axon.turns.request import SUMMARY_ITEM, RunningTurn
from axon.turns.responses import ResponsesAnswer
from axon.turns.rooms import TurnOptions, TurnRooms
from axon.turns.steering import recorded
from axon.turns.told import told_again

_BEGIN_AGAIN_EVERY_S = 0.5
"""How often a turn whose history cannot be read yet is tried again."""


class PlaceTaken(TurnError):
    """Another turn has taken this turn's place in its conversation."""


class OutputGone(TurnError):
    """What the engine said is gone with the process that heard it."""


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
    request = await read_request(rooms, accepted)
    steered = await recorded(rooms, accepted, request)
    model = rooms.models.resolve(steered.request.model)
    history = History(begun.history, begun.complete)
    summary = await _summary(rooms, accepted)
    known = await recall(rooms, steered.request, history, summary)
    told = with_passages(as_told(steered.request, known.summary), steered.steering.passages)
    streamed = engine_streams(request, model)
    fields = await engine_fields(rooms, told, model, known.history, streamed=streamed)
    steering = steered.steering
    fields = told_again(fields, steering.hidden, steering.removed)
    answer = new_answer(rooms, request, head)
    if summary and isinstance(answer, ResponsesAnswer):
        answer.begin_with(summary)
    return RunningTurn(
        head=msgspec.structs.replace(head, fence=begun.fence),
        request=steered.request,
        model=model,
        answer=answer,
        key=await rooms.data_key(head.org_id, head.user),
        input=accepted.input,
        contents=tuple(item.content for item in request.items),
        begun=begun,
        started_s=rooms.clock.monotonic(),
        tells=request.tells,
        engine_streams=streamed,
        assignments=accepted.assignments,
        fields=fields,
        request_blob=accepted.request,
        watched=accepted.streamed or left.progress is not None,
        summary=summary,
        input_tokens_reserved=accepted.input_tokens_reserved,
        output_tokens_reserved=accepted.output_tokens_reserved,
        degraded=begun.degraded,
        guard=guard_of(rooms, request, steering) if guards(rooms) or steering.hidden else None,
        refusal=refusal_of(steering),
        verdicts=accepted.verdicts,
    )


async def _summary(rooms: TurnRooms, accepted: TurnAccepted) -> bytes:
    """Return the compaction item that was made for the turn; nothing when none was."""
    if not accepted.summary:
        return b""
    key = await rooms.keys.by_id(key_id_of(accepted.summary))
    return open_sealed(key, blob_context(accepted.head, SUMMARY_ITEM), accepted.summary)


async def output_of(
    rooms: TurnRooms, options: TurnOptions, accepted: TurnAccepted
) -> JobStream | None:
    """Return the output of the job that the dead process had submitted, if the bus has it.

    It begins with the first word again, so followers are told the same events.
    """
    age_s = (rooms.clock.now_us() - accepted.head.accepted_us) / MICROS_PER_SECOND
    deadline = rooms.clock.monotonic() + options.deadline_s - age_s
    return await rooms.inference.reattach(accepted.head.turn_id, deadline)


async def _begin_again(rooms: TurnRooms, options: TurnOptions, head: TurnHead) -> Begun:
    """Take the turn's place in its conversation again; a chain it was to begin is begun now.

    While the stores are away it is tried again, up to the turn's deadline.
    """
    owner = Owner(org_id=head.org_id, user=head.user)
    conversations = rooms.conversations
    if head.unplaced:
        return await conversations.begin_without_history(
            owner, head.conversation_id, options.wait_s, head.follows
        )
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
