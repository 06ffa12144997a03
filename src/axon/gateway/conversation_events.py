"""`GET /v1/conversations/{id}/events`: what happens in a conversation, to every open device."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import msgspec

from axon.base import TaskOwner
from axon.conversations import (
    ConversationEvent,
    CursorExpired,
    Followed,
    NotACursor,
    TooManySubscribers,
)
from axon.gateway.call import Call
from axon.gateway.conversation_object import Missing, owner_of
from axon.gateway.door import Door
from axon.gateway.problem import Problem, RequestRefused, refuse, unavailable
from axon.telemetry import counter, log

KEEP_ALIVE_S = 15.0
"""How often a quiet stream says something: proxies give up on one after 30 to 60 seconds."""

_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_KEEP_ALIVE = b": keep-alive\n\n"
_cut = counter("axon_slow_clients_cut_total", "Streams ended because their client did not read.")

Data = dict[str, object]


async def follow_conversation(door: Door, call: Call, conversation_id: str) -> None:
    """Stream new items, updates, deletions and running responses, from `Last-Event-ID` on."""
    owner = owner_of(door, call, conversation_id)
    last_event_id = call.header(b"last-event-id") or call.query().get("last_event_id") or None
    await call.body(door.options.body_bytes_max)
    try:
        with Missing(conversation_id):
            followed = await door.conversations.looking.follow(
                owner, conversation_id, last_event_id
            )
    except NotACursor:
        message = "Invalid 'Last-Event-ID': it is no event of this stream."
        raise refuse(message, param="Last-Event-ID", code="invalid_cursor") from None
    except CursorExpired as error:
        gone = Problem(status=410, message=str(error), code="cursor_expired")
        raise RequestRefused(gone) from error
    except TooManySubscribers as error:
        raise RequestRefused(unavailable(str(error), "server_overloaded")) from error
    watchers = TaskOwner(_watcher_failed)
    watchers.start(_close_when_gone(call, followed), "client of a conversation's events")
    try:
        await send_events(call, followed, conversation_id, door.options.slow_client_s)
    finally:
        followed.close()
        await watchers.cancel()


async def send_events(
    call: Call, followed: Followed, conversation_id: str, patience_s: float
) -> None:
    """Send the events until the conversation, the client or the process ends the stream.

    A client that does not read for `patience_s` is cut off; it comes back with its last event's id.
    """
    await call.begin_stream(_STREAM)
    piece = b"id: %b\n\n" % followed.start_id.encode()  # no event, but where the next begins
    try:
        await asyncio.wait_for(call.send_piece(piece, False), patience_s)
        async with aclosing(followed.events(KEEP_ALIVE_S)) as events:
            async for event in events:
                piece = _KEEP_ALIVE if event is None else _line(conversation_id, event)
                await asyncio.wait_for(call.send_piece(piece, False), patience_s)
        await call.send_piece(b"", True)
    except TimeoutError:
        _cut.inc()
        call.log["axon.cut"] = "slow client"


async def _close_when_gone(call: Call, followed: Followed) -> None:
    await call.gone()
    followed.close()


def _watcher_failed(name: str, error: BaseException) -> None:
    log.error(
        "task.failed", "A background task failed.", axon__task=name, error__message=repr(error)
    )


def _line(conversation_id: str, event: ConversationEvent) -> bytes:
    """Return the event as SSE sends it."""
    name, members = _SHOWN[event.kind](event)
    data: Data = {"type": name, "conversation_id": conversation_id, **members}
    number = b"id: %b\n" % event.event_id.encode() if event.event_id else b""
    return b"%bevent: %b\ndata: %b\n\n" % (number, name.encode(), msgspec.json.encode(data))


def _created(event: ConversationEvent) -> tuple[str, Data]:
    content = event.item.content if event.item is not None else b"null"
    shown: Data = {"item": msgspec.Raw(content), "response_id": event.turn_id or None}
    return "conversation.item.created", shown


def _deleted_item(event: ConversationEvent) -> tuple[str, Data]:
    return "conversation.item.deleted", {"item_id": event.item_id}


def _updated(event: ConversationEvent) -> tuple[str, Data]:
    return "conversation.updated", {"change": event.change, **(event.members or {})}


def _deleted(_: ConversationEvent) -> tuple[str, Data]:
    return "conversation.deleted", {}


def _started(event: ConversationEvent) -> tuple[str, Data]:
    return "response.started", {"response_id": event.turn_id}


def _ended(event: ConversationEvent) -> tuple[str, Data]:
    return "response.ended", {"response_id": event.turn_id, "status": event.status}


def _resync(_: ConversationEvent) -> tuple[str, Data]:
    return "conversation.resync", {}


_SHOWN: dict[str, Callable[[ConversationEvent], tuple[str, Data]]] = {
    "item_created": _created,
    "item_deleted": _deleted_item,
    "updated": _updated,
    "deleted": _deleted,
    "turn_started": _started,
    "turn_ended": _ended,
    "resync": _resync,
}
"""How each kind of event is named and shown; every kind of the room's has its line."""
