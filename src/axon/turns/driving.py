"""From accepted turn to acknowledgement: relay the engine, journal the whole, then say so."""

import asyncio

from axon.conversations import WindowTurn
from axon.inference import (
    Job,
    JobDone,
    JobFailed,
    JobStream,
    QueueFull,
    SseBytes,
    Started,
    WholeBody,
    estimate_tokens,
)
from axon.journal import JournalError, Location
from axon.records import (
    SealedItem,
    TokenUsage,
    TurnCompleted,
    TurnInterrupted,
    TurnProgress,
    encode,
)
from axon.sealing import item_context, seal
from axon.telemetry import log
from axon.turns.accepting import ANSWER_ITEM, REQUEST_ITEM
from axon.turns.answer import Closing, Ending, OutputItem, TurnFailure
from axon.turns.chunks import BrokenUpstream
from axon.turns.failures import (
    BROKEN,
    LEASE_LOST,
    NOT_DURABLE,
    OVERLOADED,
    SHUTDOWN,
    broken,
    cut_short,
    from_job,
)
from axon.turns.fitting import engine_streams
from axon.turns.request import RunningTurn, TurnEnd
from axon.turns.rooms import TurnOptions, TurnRooms


async def drive(rooms: TurnRooms, options: TurnOptions, turn: RunningTurn) -> None:
    """Run an accepted turn to its end; a client that went away changes nothing."""
    try:
        ending = await _relay(rooms, options, turn)
    except BrokenUpstream as error:
        ending = failed(broken(str(error)))
    except QueueFull:
        ending = failed(OVERLOADED)
    except asyncio.CancelledError:  # the process is draining and its time is up
        ending = failed(SHUTDOWN)
    except Exception as error:  # noqa: BLE001 - an answer we cannot read is the engine's fault
        log.error("turn.unreadable", "An answer broke the turn.", error__message=repr(error))
        ending = failed(broken(type(error).__name__))
    turn.engine_done_s = rooms.clock.monotonic()
    await finish(rooms, turn, ending)


async def _relay(rooms: TurnRooms, options: TurnOptions, turn: RunningTurn) -> Ending:
    """Pass the engine's output on until it ends; return how it ended."""
    now_s = rooms.clock.monotonic()
    turn.submitted_s = turn.progress_s = now_s
    streamed = engine_streams(turn.request, turn.model)
    job = Job(
        turn_id=turn.head.turn_id,
        model=turn.model,
        fields=turn.fields,
        streamed=streamed,
        deadline=now_s + options.deadline_s,
    )
    output = rooms.inference.submit(job)
    try:
        return await _pass_on(rooms, options, turn, output)
    except BaseException:
        rooms.inference.cancel(turn.head.turn_id)
        raise


async def _pass_on(
    rooms: TurnRooms, options: TurnOptions, turn: RunningTurn, output: JobStream
) -> Ending:
    answer = turn.answer
    answer_bytes = 0
    while True:
        part = await output.next()
        if type(part) is SseBytes:
            _show(rooms, turn, answer.feed(part.data))
            answer_bytes += len(part.data)
            if answer_bytes > options.answer_bytes_max:
                rooms.inference.cancel(turn.head.turn_id)
                return Ending(status="incomplete", reason="max_output_tokens")
            if turn.request.streamed:
                _note_progress(rooms, options, turn)
        elif type(part) is WholeBody:
            answer.take_whole(part.data)
            turn.first_output_us = rooms.clock.now_us()
        elif type(part) is Started:
            turn.upstream = part.upstream
            if turn.request.streamed:
                turn.stream.show(answer.open())
        elif type(part) is JobFailed:
            return answer.ending() if answer.complete else failed(from_job(part))
        elif type(part) is JobDone:
            return answer.ending() if answer.complete else failed(cut_short())


def _show(rooms: TurnRooms, turn: RunningTurn, data: bytes) -> None:
    if turn.first_output_us == 0:
        turn.first_output_us = rooms.clock.now_us()
    if turn.request.streamed:
        turn.stream.show(data)
        if not turn.shown.done():
            turn.shown.set_result(None)


def failed(failure: TurnFailure) -> Ending:
    """Return the ending of a turn whose engine failed; what was said so far is kept."""
    return Ending(status="failed", reason=failure.code, failure=failure)


def _note_progress(rooms: TurnRooms, options: TurnOptions, turn: RunningTurn) -> None:
    """Journal what was said so far, now and then, without waiting for it."""
    now_s = rooms.clock.monotonic()
    if turn.begun is None or now_s - turn.progress_s < options.progress_every_s:
        return
    turn.progress_s = now_s
    output = [_seal_output(rooms, turn, item) for item in turn.answer.items("incomplete")]
    tokens = sum(item.model_tokens for item in output)
    progress = TurnProgress(head=turn.head, output=output, output_tokens=tokens)
    try:
        written = rooms.journal.append(*encode(progress))
    except JournalError:
        return  # the end of the turn will meet the same trouble and report it
    written.add_done_callback(_ignore_failure)


def _ignore_failure(written: "asyncio.Future[Location]") -> None:
    """A failed progress note needs no report: the journal has ended the process."""
    if not written.cancelled():
        written.exception()


def ended_durably(turn: RunningTurn) -> bool:
    """Return whether the turn's end is in the journal."""
    return turn.ended.done() and turn.ended.result().failure not in (NOT_DURABLE, BROKEN)


async def let_go(rooms: TurnRooms, turn: RunningTurn) -> None:
    """Let go of whoever waits for a turn that could not be ended; it stays open in the journal."""
    if not turn.ended.done():
        closing = Closing(shown=b"", body=b"", kept=b"")
        _tell(turn, closing, TurnEnd(status="failed", body=b"", failure=BROKEN))
    if turn.begun is not None:
        await rooms.conversations.abort(turn.begun)


async def finish(rooms: TurnRooms, turn: RunningTurn, ending: Ending) -> None:
    """Journal the end of the turn, wait for the fsync, and only then let the client see it."""
    usage = turn.answer.usage or _estimated_usage(turn)
    closing = turn.answer.close(ending, usage)
    record = _end_record(rooms, turn, ending, usage, closing)
    failure = ending.failure
    try:
        location = await rooms.journal.append(*encode(record))
    except JournalError:
        failure = NOT_DURABLE
    else:
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
        await rooms.conversations.abort(turn.begun)
        return
    await rooms.conversations.commit(turn.begun, _window_turn(turn, record, closing))


def _window_turn(
    turn: RunningTurn, record: TurnCompleted | TurnInterrupted, closing: Closing
) -> WindowTurn:
    head = turn.head
    if not record.input and not record.output:
        return WindowTurn(head.turn_id, head.sequence, [])
    contents = (*turn.contents, *(item.content for item in closing.output))
    return WindowTurn(head.turn_id, head.sequence, [*record.input, *record.output], contents)


def _tell(turn: RunningTurn, closing: Closing, end: TurnEnd) -> None:
    """Show the terminal event: the acknowledgement, or the word that there is none."""
    if turn.request.streamed:
        turn.stream.show(closing.shown)
    turn.stream.end()
    turn.ended.set_result(end)
    if not turn.shown.done():
        turn.shown.set_result(None)


def _estimated_usage(turn: RunningTurn) -> TokenUsage:
    """Count for an engine that did not; marked as estimated."""
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
    sealed = [_seal_output(rooms, turn, item) for item in output]
    context = item_context(head.org_id, head.user, head.conversation_id, head.turn_id, ANSWER_ITEM)
    answer = seal(turn.key, context, closing.kept, rooms.randomness)
    now_us = rooms.clock.now_us()
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
            assignments=[],
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
        assignments=[],
    )


def _input(turn: RunningTurn) -> list[SealedItem]:
    """Return the turn's input; a chat completion's is its request, whole."""
    if turn.head.surface != "chat":
        return turn.input
    tokens = turn.answer.usage.input_tokens if turn.answer.usage is not None else 0
    return [SealedItem(REQUEST_ITEM, "chat_request", "user", tokens, turn.request_blob)]


def _seal_output(rooms: TurnRooms, turn: RunningTurn, item: OutputItem) -> SealedItem:
    head = turn.head
    context = item_context(head.org_id, head.user, head.conversation_id, head.turn_id, item.item_id)
    return SealedItem(
        item_id=item.item_id,
        kind=item.kind,
        author=item.author,
        model_tokens=estimate_tokens(item.content),
        blob=seal(turn.key, context, item.content, rooms.randomness),
    )
