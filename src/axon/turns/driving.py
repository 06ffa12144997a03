"""The middle of a turn: hand its job to inference and relay what the engine says."""

import asyncio
from contextlib import suppress

from axon.inference import (
    FailureKind,
    Job,
    JobFailed,
    JobOutput,
    JobStream,
    QueueFull,
    SseBytes,
    Started,
    WholeBody,
)
from axon.journal import JournalError
from axon.records import TurnHead, TurnProgress, encode
from axon.telemetry import log, span_id, traceparent
from axon.turns.answer import Ending, TurnFailure
from axon.turns.chunks import BrokenUpstream
from axon.turns.ending import finish, seal_blob, seal_output
from axon.turns.failures import (
    OVERLOADED,
    SHUTDOWN,
    broken,
    cut_short,
    from_job,
)
from axon.turns.guarding import ask_about_answer
from axon.turns.request import EVENTS_ITEM, RunningTurn
from axon.turns.reserving import RESERVATION_USED, used_up
from axon.turns.rooms import TurnOptions, TurnRooms
from axon.turns.surfaces import SURFACES

_CANCELLED = Ending(status="cancelled", reason="cancelled")


async def drive(rooms: TurnRooms, options: TurnOptions, turn: RunningTurn) -> None:
    """Run an accepted turn to its end; a client that went away changes nothing."""
    try:
        ending = await _relay(rooms, options, turn)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the turn ends all the same
        rooms.inference.cancel(turn.head.turn_id)
        ending = failed(_cause(error))
    turn.engine_done_s = rooms.clock.monotonic()
    await finish(rooms, turn, ending)


def _cause(error: BaseException) -> TurnFailure:
    """Return what a client is told of an error between the engine and us."""
    if isinstance(error, BrokenUpstream):
        return broken(str(error))
    if isinstance(error, QueueFull):
        return OVERLOADED
    if isinstance(error, asyncio.CancelledError):  # the process is draining and its time is up
        return SHUTDOWN
    # An answer that we cannot read is the engine's fault.
    log.error("turn.unreadable", "An answer broke the turn.", error__message=repr(error))
    return broken(type(error).__name__)


def submit(rooms: TurnRooms, options: TurnOptions, turn: RunningTurn) -> JobStream:
    """Hand the turn's job to inference and return its output; raise QueueFull."""
    now_s = rooms.clock.monotonic()
    turn.submitted_s = turn.progress_s = now_s
    share = rooms.limits.share(turn.request.tier)
    head = turn.head
    job = Job(
        turn_id=head.turn_id,
        model=turn.model,
        fields=turn.fields,
        streamed=turn.engine_streams,
        deadline=now_s + options.deadline_s,
        path=SURFACES[head.surface].engine_path,
        row=share.row,
        weight=share.weight,
        traceparent=_traceparent(options, head),
    )
    turn.output = rooms.inference.submit(job)
    return turn.output


def _traceparent(options: TurnOptions, head: TurnHead) -> bytes:
    """Return what ties the engine's own spans to the one that a turn's record becomes later."""
    if not head.trace:
        return b""
    return traceparent(head.trace, span_id(head.turn_id, "engine"), options.trace_ratio)


async def _relay(rooms: TurnRooms, options: TurnOptions, turn: RunningTurn) -> Ending:
    """Pass the engine's output on until it ends; return how it ended."""
    output = turn.output
    if turn.refusal is not None:
        return failed(turn.refusal)
    if output is None:
        output = submit(rooms, options, turn)
    if turn.request.background:
        turn.stream.show(turn.answer.open())
    while True:
        for part in await output.next_all():
            if type(part) is SseBytes:
                ending = _take_events(rooms, options, turn, part.data)
            elif type(part) is Started:
                turn.upstream, turn.engine_us = part.upstream, part.engine_us
                continue
            elif turn.reattached and _may_run_again(turn, part):
                turn.reattached = False
                output = submit(rooms, options, turn)
                break
            else:
                ending = _end_of(rooms, turn, await _asked_about(rooms, turn, part))
            if ending is not None:
                return ending


def _take_events(
    rooms: TurnRooms, options: TurnOptions, turn: RunningTurn, data: bytes
) -> Ending | None:
    """Show what one read of the engine's stream became; return the end of an answer too long."""
    answer = turn.answer
    begins = turn.request.streamed and not turn.first_output_us
    opening = answer.open() if begins and not turn.request.background else b""
    guard = turn.guard
    passed = data if guard is None else guard.gate.feed(data)
    _show(rooms, turn, opening + answer.feed(passed))
    if guard is not None and guard.gate.closed:
        rooms.inference.cancel(turn.head.turn_id)
        return answer.ending()
    turn.answer_bytes += len(data)
    if turn.answer_bytes > options.answer_bytes_max:
        rooms.inference.cancel(turn.head.turn_id)
        return Ending(status="incomplete", reason="max_output_tokens")
    if used_up(turn, data):
        rooms.inference.cancel(turn.head.turn_id)
        return RESERVATION_USED
    if turn.watched:
        _note_progress(rooms, options, turn)
    return None


async def _asked_about(rooms: TurnRooms, turn: RunningTurn, part: JobOutput) -> JobOutput:
    """Show what was held of an answer that is whole now; return its last part as it may be told."""
    if turn.guard is None or type(part) is JobFailed:
        return part
    if type(part) is WholeBody:
        return WholeBody(part.upstream, await ask_about_answer(rooms, turn, part.data))
    _show(rooms, turn, turn.answer.feed(await ask_about_answer(rooms, turn, None)))
    return part


def _may_run_again(turn: RunningTurn, part: JobOutput) -> bool:
    """Return whether the job of the process before is to be done anew: it ended with no output."""
    lost = type(part) is JobFailed and part.kind is FailureKind.LOST and not part.shown
    return lost and not turn.first_output_us


def _end_of(rooms: TurnRooms, turn: RunningTurn, part: JobOutput) -> Ending:
    """Return how the answer ended, by the last of the job's output."""
    answer = turn.answer
    if type(part) is WholeBody:
        turn.upstream, turn.engine_us = part.upstream, part.engine_us
        _note_first_output(rooms, turn)
        answer.take_whole(part.data)
    if answer.complete:
        return answer.ending()
    if type(part) is not JobFailed:
        return failed(cut_short())
    return _CANCELLED if turn.cancelled else failed(from_job(part))


def _show(rooms: TurnRooms, turn: RunningTurn, data: bytes) -> None:
    """Show the client what one read of the engine's stream became."""
    if turn.first_output_us == 0:
        _note_first_output(rooms, turn)
    if turn.tells:
        turn.stream.show(data)


def _note_first_output(rooms: TurnRooms, turn: RunningTurn) -> None:
    turn.first_output_us, turn.first_output_s = rooms.clock.now_us(), rooms.clock.monotonic()


def failed(failure: TurnFailure) -> Ending:
    """Return the ending of a turn whose engine failed; what was said so far is kept."""
    return Ending(status="failed", reason=failure.code, failure=failure)


def _note_progress(rooms: TurnRooms, options: TurnOptions, turn: RunningTurn) -> None:
    """Journal what was said so far, now and then, without waiting for it."""
    now_s = rooms.clock.monotonic()
    if turn.begun is None or now_s - turn.progress_s < options.progress_every_s:
        return
    turn.progress_s = now_s
    with suppress(JournalError):  # the end of the turn will meet the same trouble and report it
        rooms.journal.append(*encode(_progress(rooms, turn)))


async def watch(rooms: TurnRooms, turn: RunningTurn) -> None:
    """Return when the answer may be shown while it grows: a crash will not give it anew then.

    Until somebody watches, a background turn that a crash interrupts is run again from the start.
    Raises JournalError when that cannot be written down.
    """
    if turn.watched or turn.end is not None:
        return
    await rooms.journal.append(*encode(_progress(rooms, turn)))
    turn.watched = True


def _progress(rooms: TurnRooms, turn: RunningTurn) -> TurnProgress:
    output = [seal_output(rooms, turn, item) for item in turn.answer.items("incomplete")]
    events, turn.journaled = turn.stream.so_far(turn.journaled)
    number = turn.progresses
    sealed = seal_blob(rooms, turn, f"{EVENTS_ITEM}{number}", events)
    turn.progresses += 1
    return TurnProgress(
        head=turn.head,
        output=output,
        output_tokens=sum(item.model_tokens for item in output),
        events=sealed,
        number=number,
    )
