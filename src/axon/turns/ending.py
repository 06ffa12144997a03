"""The end of a turn: journal the whole, wait for the fsync, and only then say so."""

from axon.base import until_done
from axon.conversations import WindowTurn
from axon.inference import estimate_tokens
from axon.journal import JournalError, JournalFailed
from axon.records import SealedItem, TokenUsage, TurnCompleted, TurnInterrupted, encode
from axon.sealing import item_context, seal
from axon.turns.answer import Closing, Ending, OutputItem
from axon.turns.failures import BROKEN, LEASE_LOST, NOT_DURABLE
from axon.turns.measures import measure_verdicts
from axon.turns.request import ANSWER_ITEM, EVENTS_ITEM, REQUEST_ITEM, RunningTurn, TurnEnd
from axon.turns.reserving import within_reservation
from axon.turns.rooms import TurnRooms


async def let_go(rooms: TurnRooms, turn: RunningTurn) -> None:
    """Let go of whoever waits for a turn that could not be ended; it stays open in the journal."""
    if turn.end is None:
        closing = Closing(shown=b"", body=b"", kept=b"")
        _tell(turn, closing, TurnEnd(status="failed", body=b"", failure=BROKEN))
    if turn.begun is not None:
        await rooms.conversations.abort(turn.begun)


async def finish(rooms: TurnRooms, turn: RunningTurn, ending: Ending) -> None:
    """Journal the end of the turn, wait for the fsync, and only then let the client see it."""
    usage = turn.answer.usage or within_reservation(turn, _estimated_usage(turn, ending))
    closing = turn.answer.close(ending, usage)
    record = _end_record(rooms, turn, ending, usage, closing)
    failure, may_be_found = ending.failure, False
    try:
        location = await until_done(rooms.journal.append(*encode(record)))
    except JournalError as error:
        failure, may_be_found = NOT_DURABLE, isinstance(error, JournalFailed)
    else:
        turn.ended_at = location.sequence
        if turn.head.holds:
            rooms.limits.settle(record, location.sequence)
        if turn.readable:
            rooms.conversations.tail.note(record, location)
        if turn.begun is not None and not rooms.conversations.still_owned(turn.begun):
            failure = LEASE_LOST
    if failure is not None and failure is not ending.failure:
        closing = turn.answer.close(
            Ending(status="failed", reason=failure.code, failure=failure), usage
        )
    _tell(turn, closing, TurnEnd(status=ending.status, body=closing.body, failure=failure))
    if turn.begun is None:
        return
    if failure is NOT_DURABLE:
        if not may_be_found:  # else the next process may find it, and no window may deny its place
            await rooms.conversations.abort(turn.begun)
        return
    await rooms.conversations.commit(turn.begun, _window_turn(turn, record, closing))


def _window_turn(
    turn: RunningTurn, record: TurnCompleted | TurnInterrupted, closing: Closing
) -> WindowTurn:
    head = turn.head
    if not record.input and not record.output:
        return WindowTurn(head.turn_id, head.sequence, [])
    contents = (*turn.contents, *[item.content for item in closing.output])
    return WindowTurn(head.turn_id, head.sequence, [*record.input, *record.output], contents)


def _tell(turn: RunningTurn, closing: Closing, end: TurnEnd) -> None:
    """Show the terminal event: the acknowledgement, or the word that there is none."""
    if turn.tells:
        turn.stream.show(closing.shown)
    turn.end = end
    turn.stream.end()


def _estimated_usage(turn: RunningTurn, ending: Ending) -> TokenUsage:
    """Count for an engine that did not; marked as estimated. One that only failed took nothing."""
    if ending.status == "failed" and not turn.answer.said_anything():
        return TokenUsage(estimated=True)
    return TokenUsage(
        input_tokens=estimate_tokens(turn.fields),
        output_tokens=estimate_tokens(turn.answer.said_text()),
        estimated=True,
    )


def _end_record(
    rooms: TurnRooms, turn: RunningTurn, ending: Ending, usage: TokenUsage, closing: Closing
) -> TurnCompleted | TurnInterrupted:
    head = turn.head
    completed = ending.status in ("completed", "incomplete") and ending.failure is None
    keeps_items = completed or turn.answer.said_anything()
    output = closing.output if keeps_items else []
    sealed = [seal_output(rooms, turn, item) for item in output]
    answer = seal_blob(rooms, turn, ANSWER_ITEM, closing.kept)
    events = b""
    if turn.tells and (head.stored or turn.request.idempotency_key is not None):
        shown = turn.stream.so_far()[0] + closing.shown
        events = seal_blob(rooms, turn, EVENTS_ITEM, shown)
    now_us = rooms.clock.now_us()
    times = turn.times(rooms.clock.monotonic())
    charge = turn.charge = rooms.prices.charge(head, ending.status, usage)
    verdicts = turn.verdicts if turn.guard is None else turn.verdicts + turn.guard.verdicts()
    if verdicts:
        measure_verdicts(verdicts)
    if completed:
        return TurnCompleted(
            head=head,
            input=_input(turn),
            output=sealed,
            answer=answer,
            status=ending.status,
            usage=usage,
            upstream=turn.upstream,
            upstream_id=turn.answer.upstream_id,
            completed_us=now_us,
            first_token_us=turn.first_output_us,
            assignments=turn.assignments,
            events=events,
            charge=charge,
            times=times,
            refused=turn.answer.said_no(),
            verdicts=verdicts,
        )
    return TurnInterrupted(
        head=head,
        input=_input(turn) if keeps_items else [],
        output=sealed,
        answer=answer,
        status=ending.status,
        reason=ending.reason,
        usage=usage,
        upstream=turn.upstream,
        upstream_id=turn.answer.upstream_id,
        completed_us=now_us,
        first_token_us=turn.first_output_us,
        assignments=turn.assignments,
        events=events,
        charge=charge,
        times=times,
        verdicts=verdicts,
    )


def _input(turn: RunningTurn) -> list[SealedItem]:
    """Return the turn's input; a chat completion's is its request, whole."""
    if turn.head.surface != "chat":
        return turn.input
    tokens = turn.answer.usage.input_tokens if turn.answer.usage is not None else 0
    return [SealedItem(REQUEST_ITEM, "chat_request", "user", tokens, turn.request_blob)]


def seal_blob(rooms: TurnRooms, turn: RunningTurn, name: str, content: bytes) -> bytes:
    """Return one of the turn's own blobs, sealed under its name."""
    head = turn.head
    context = item_context(head.org_id, head.user, head.conversation_id, head.turn_id, name)
    return seal(turn.key, context, content, rooms.randomness)


def seal_output(rooms: TurnRooms, turn: RunningTurn, item: OutputItem) -> SealedItem:
    """Return an output item sealed for its place in this turn."""
    head = turn.head
    context = item_context(head.org_id, head.user, head.conversation_id, head.turn_id, item.item_id)
    return SealedItem(
        item_id=item.item_id,
        kind=item.kind,
        author=item.author,
        model_tokens=estimate_tokens(item.content),
        blob=seal(turn.key, context, item.content, rooms.randomness),
    )
