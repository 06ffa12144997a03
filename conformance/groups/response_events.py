"""The events of a streamed response: their order, numbers, types, and the text they add up to."""

import json
from typing import Any

from conformance.events import (
    last_response,
    raw,
    require_gapless,
    require_known,
    shown_text,
)
from conformance.groups.responses import PRESENT
from conformance.registry import check
from conformance.server import BRIEF, ENDED, SHORT, Server, text_of
from conformance.verdicts import offered, require

_OPENERS = ("response.created", "response.queued", "response.in_progress")


@check("response events", "begin and end")
async def begin_and_end(server: Server) -> str:
    """A stream begins with response.created, response.in_progress and ends with a final one.

    Documented: API reference, Responses, Streaming events.
    """
    events = await offered(server.stream())
    require(events and events[0].type == "response.created", f"first is {events[:1]}")
    begun = [event.type for event in events if event.type in _OPENERS]
    require("response.in_progress" in begun, "no response.in_progress")
    require(begun == sorted(begun, key=_OPENERS.index), f"out of order: {begun}")
    require(last_response(events).status in ENDED, f"status {last_response(events).status}")
    ends = [event for event in events if raw(event).get("response", {}).get("status") in ENDED]
    require(len(ends) == 1, f"{len(ends)} final events")
    return f"{len(events)} events, {events[-1].type}"


@check("response events", "sequence numbers have no gap")
async def sequence(server: Server) -> str:
    """sequence_number counts 0, 1, 2 ... over all events of a stream.

    Resuming after a lost connection is built on it.
    Documented: API reference, Responses, Streaming events, sequence_number.
    """
    last = require_gapless(await offered(server.stream()))
    return f"0 to {last}"


@check("response events", "the SDK knows every event")
async def known(server: Server) -> str:
    """Each event is in the SDK's union and has every field its type wants, checked strictly.

    Documented: API reference, Responses, Streaming events.
    """
    events = await offered(server.stream())
    require(events, "the stream is empty")
    for event in events:
        require_known(event)
    return f"{len({event.type for event in events})} kinds of event"


@check("response events", "name and type agree")
async def names(server: Server) -> str:
    """Every SSE event has an `event:` line that says the same as its `type`.

    Browsers' EventSource dispatches by the name.
    Documented: API reference, Responses, Streaming events.
    """
    create = server.client.responses.with_streaming_response.create
    async with create(
        model=server.model, input=SHORT, max_output_tokens=BRIEF, stream=True
    ) as answer:
        kind = answer.headers.get("content-type", "")
        lines = [line async for line in answer.iter_lines()]
    require(kind.startswith("text/event-stream"), f"content-type is {kind!r}")
    name, seen = "", 0
    for line in lines:
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:") and line != "data: [DONE]":
            said = json.loads(line.removeprefix("data:"))["type"]
            require(name == said, f"the name is {name!r}, the type {said!r}")
            name, seen = "", seen + 1
    require(seen, "no event")
    return f"{seen} events"


@check("response events", "items open before they fill and close")
async def nesting(server: Server) -> str:
    """Item added, part added, deltas, text done, part done, item done: in this order, per item.

    A client builds the answer from them by index and needs no other memory.
    Documented: API reference, Responses, Streaming events.
    """
    told = [raw(event) for event in await offered(server.stream())]
    messages = [
        event["output_index"]
        for event in told
        if event["type"] == "response.output_item.added" and event["item"]["type"] == "message"
    ]
    require(messages, "no message item was added")
    wanted = (
        "response.output_item.added", "response.content_part.added",
        "response.output_text.delta", "response.output_text.done",
        "response.content_part.done", "response.output_item.done",
    )  # fmt: skip
    for index in messages:
        kinds = [event["type"] for event in told if event.get("output_index") == index]
        kinds = [kind for kind in kinds if kind in wanted]
        require(set(kinds) == set(wanted), f"missing {sorted(set(wanted) - set(kinds))}")
        require(kinds == sorted(kinds, key=wanted.index), "an event comes too early or too late")
    return f"{len(messages)} message, 6 kinds in order"


@check("response events", "ids stay the same")
async def ids(server: Server) -> str:
    """The item's id is the same in every event and in the final response; so is the response's.

    Documented: API reference, Responses, Streaming events.
    """
    events = await offered(server.stream())
    final = last_response(events)
    told = [raw(event) for event in events]
    responses = {event["response"]["id"] for event in told if "response" in event}
    require(responses == {final.id}, f"{len(responses)} ids of one response")
    kept = {index: getattr(item, "id", None) for index, item in enumerate(final.output)}
    for event in told:
        if "output_index" in event:
            said = event.get("item_id") or event.get("item", {}).get("id")
            require(said == kept.get(event["output_index"]), f"{event['type']} names another item")
    return f"{len(kept)} items"


@check("response events", "shown, done and stored texts are equal")
async def texts(server: Server) -> str:
    """The deltas add up to the text of the done event, of the last event, and of the store.

    What the user read is what the next turn continues from.
    Documented: API reference, Responses, Streaming events; Retrieve.
    """
    events = await offered(server.stream())
    shown = shown_text(events)
    require(shown, "no text was streamed")
    done = "".join(event.text for event in events if event.type == "response.output_text.done")
    require(done == shown, "the done text is not the deltas'")
    final = last_response(events)
    require(text_of(final) == shown, "the last event's text is not the deltas'")
    kept = await offered(server.client.responses.retrieve(final.id))
    require(text_of(kept) == shown, "the stored text is not the deltas'")
    return f"{len(shown)} characters, four times"


@check("response events", "first and last event carry whole responses")
async def carried(server: Server) -> str:
    """response.created and the last event hold a response with every field.

    Documented: API reference, Responses, Streaming events, response.created.
    """
    events = await offered(server.stream())
    for event in (events[0], events[-1]):
        body: dict[str, Any] = raw(event).get("response", {})
        missing = [name for name in PRESENT if name not in body]
        require(not missing, f"{event.type} lacks {', '.join(missing)}")
    first, last = raw(events[0])["response"], raw(events[-1])["response"]
    require(first["status"] in ("in_progress", "queued"), f"created as {first['status']}")
    require(first["created_at"] == last["created_at"], "created_at changes")
    require(last["usage"], "the last event has no usage")
    return f"{len(PRESENT)} fields in both"
