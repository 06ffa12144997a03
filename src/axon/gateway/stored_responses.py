"""`/v1/responses/{id}`: reading, following, cancelling and forgetting a response."""

import asyncio
import re

import msgspec

from axon.base import UnknownId
from axon.conversations import StoredTurn, TurnNotFound
from axon.gateway.call import Call
from axon.gateway.door import Door, stored_body
from axon.gateway.problem import RequestRefused, not_found, refuse, unavailable
from axon.turns import ResponsesAnswer, RunningTurn, count_events, skip_events

PREFIX = "resp"

RECOVERY_WAIT_S = 10.0
"""How long a request waits for a response whose process died to be taken up again."""

_LOOK_EVERY_S = 0.05

_NUMBER = re.compile(rb'"sequence_number":\d+')
_EVENTS_DIGITS_MAX = 9


async def get_response(door: Door, call: Call, response_id: str) -> None:
    """Answer with a stored response, or with its events from `starting_after` on."""
    query = call.query()
    streamed = _streamed(query)
    skipped = _starting_after(query)
    turn = await find_response(door, call, response_id)
    if streamed:
        await _follow(door, call, turn, skipped)
    elif isinstance(turn, RunningTurn):
        await call.reply_json(so_far(turn))
    else:
        await call.reply_json(stored_body(turn))


async def cancel_response(door: Door, call: Call, response_id: str) -> None:
    """Stop a running response; what was said so far is kept. One that has ended stays as it is.

    OpenAI stops only responses in the background; Axon also those that stream, which go on when
    their client goes away. One that was neither and has ended is refused as OpenAI does it.
    """
    turn = await find_response(door, call, response_id)
    if isinstance(turn, RunningTurn):
        door.turns.cancel(turn)
        await turn.stream.over()
        turn = await find_response(door, call, response_id)
    elif turn.status != "cancelled" and not _in_background(turn):
        message = "The response has ended, and it was not created with 'background'."
        raise refuse(message, code="response_ended")
    if isinstance(turn, RunningTurn):
        raise RequestRefused(unavailable("The response could not be ended.", "server_error"))
    await call.reply_json(stored_body(turn))


class _Kept(msgspec.Struct):
    background: bool = False


def _in_background(turn: StoredTurn) -> bool:
    return msgspec.json.decode(turn.answer, type=_Kept).background


async def delete_response(door: Door, call: Call, response_id: str) -> None:
    """Forget a stored response; the items stay in their conversation."""
    turn = await find_response(door, call, response_id)
    if isinstance(turn, RunningTurn):
        message = "The response is still running; cancel it first."
        raise refuse(message, code="response_in_progress")
    await door.conversations.changing.forget_turn(
        turn.owner, call.caller.credential_id, response_id
    )
    await call.reply_value({"id": response_id, "object": "response", "deleted": True})


def so_far(turn: RunningTurn) -> bytes:
    """Return a running response as the API shows it."""
    answer = turn.answer
    if not isinstance(answer, ResponsesAnswer):
        raise RuntimeError("only a response has this shape")
    return answer.so_far("in_progress" if turn.first_output_us else "queued")


async def find_response(door: Door, call: Call, response_id: str) -> RunningTurn | StoredTurn:
    """Return the response while it runs, or as it was stored; refuse one that is not there.

    One that is neither, because its process died, is waited for.
    """
    problem = not_found(f"Response with id '{response_id}' not found.")
    give_up_s = door.clock.monotonic() + RECOVERY_WAIT_S
    try:
        door.owner(call, response_id, PREFIX)
        while True:
            running = door.turns.find(response_id)
            if running is not None and running.end is None:
                if not running.head.stored or running.head.surface != "responses":
                    raise problem
                return running
            turn = await door.conversations.find_turn(call.caller.org_id, response_id)
            if turn.status != "in_progress" or door.clock.monotonic() > give_up_s:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
    except (UnknownId, TurnNotFound):
        raise problem from None
    if not turn.stored or turn.surface != "responses":
        raise problem
    if turn.status == "in_progress":
        raise RequestRefused(unavailable("The response is being recovered.", "recovering"))
    if not turn.answer:
        raise problem
    return turn


def _streamed(query: dict[str, str]) -> bool:
    given = query.get("stream", "false")
    if given not in ("true", "false"):
        message = f"Invalid value for 'stream': {given!r}; use 'true' or 'false'."
        raise refuse(message, param="stream", code="invalid_value")
    return given == "true"


def _starting_after(query: dict[str, str]) -> int:
    """Return how many events are not to be sent again."""
    given = query.get("starting_after")
    if given is None:
        return 0
    if query.get("stream") != "true":
        message = "'starting_after' can only be used with 'stream=true'."
        raise refuse(message, param="starting_after", code="invalid_value")
    if not given.isascii() or not given.isdigit() or len(given) > _EVENTS_DIGITS_MAX:
        message = "Invalid 'starting_after': it must be the sequence_number of an event."
        raise refuse(message, param="starting_after", code="invalid_value")
    return int(given) + 1


async def _follow(door: Door, call: Call, turn: RunningTurn | StoredTurn, skipped: int) -> None:
    if isinstance(turn, RunningTurn):
        if not turn.tells:
            raise _not_streamed()
        await door.turns.watch(turn)
        await door.streams.send(call, turn.stream.follow(skipped))
        return
    events = await door.conversations.turn_events.read(turn)
    if not events:
        raise _not_streamed()
    await door.streams.send_stored(call, _rest(events, skipped, cut=turn.reason == "crash"))


def _rest(events: bytes, skipped: int, *, cut: bool) -> bytes:
    """Return the events behind the first `skipped`.

    A client of a response that a crash cut short may have seen more events than were journaled. It
    still learns how the response ended, under the number that follows what it saw.
    """
    rest, _ = skip_events(events, skipped)
    if rest or not cut:
        return rest
    last, _ = skip_events(events, count_events(events) - 1)
    return _NUMBER.sub(b'"sequence_number":%d' % skipped, last, count=1)


def _not_streamed() -> RequestRefused:
    message = "This response was not created with 'stream' or 'background', so it has no events."
    return refuse(message, param="stream", code="invalid_value")
