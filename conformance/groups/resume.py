"""Resume: a stream goes on where the connection was lost, and several may follow it."""

import asyncio
from typing import Any

from openai import APIStatusError, NotFoundError
from openai.types.responses import ResponseStreamEvent

from conformance.events import last_response, raw, require_gapless, shown_text
from conformance.groups.responses import NO_SUCH_ID
from conformance.registry import check
from conformance.server import Server, text_of
from conformance.verdicts import Failed, offered, refusal, require

_BACKGROUND: dict[str, Any] = {"background": True}
_FIRST_PART = 6
"""Events read before hanging up: enough to have seen some text."""


async def _follow(server: Server, response: str, after: int | None) -> list[ResponseStreamEvent]:
    """Return the events of a response after a number, or all of them.

    A server that does not know its own running response by its id is not refusing, but failing.
    """
    await known(server, response)
    more: dict[str, Any] = {} if after is None else {"starting_after": after}
    retrieve: Any = server.client.responses.retrieve
    stream = await offered(retrieve(response, stream=True, **more))
    if not hasattr(stream, "__aiter__"):
        raise Failed("the answer is no stream")
    async with stream:
        return [event async for event in stream]


async def known(server: Server, response: str) -> None:
    """Raise Failed when a response that the server has begun cannot be read by its id."""
    try:
        await server.client.responses.retrieve(response)
    except NotFoundError:
        raise Failed("404 for the id that the stream gave") from None


async def _begin(server: Server, **more: Any) -> tuple[str, list[ResponseStreamEvent]]:
    """Start a long stream, hang up after a few events; return its id and those events."""
    begun = await server.first_events(_FIRST_PART, **more)
    return raw(begun[0])["response"]["id"], begun


async def _resumed(server: Server, **more: Any) -> str:
    response, begun = await _begin(server, **more)
    rest = await _follow(server, response, begun[-1].sequence_number)
    whole = begun + rest
    last = require_gapless(whole)
    final = last_response(whole)
    require(shown_text(whole) == text_of(final), "the two parts do not add up to the text")
    kept = await server.ended(response)
    require(text_of(kept) == text_of(final), "the stored text differs")
    return f"{len(begun)} + {len(rest)} events, numbers 0 to {last}"


@check("resume", "a running background stream")
async def background(server: Server) -> str:
    """After a lost connection, starting_after=N brings exactly the events after N.

    Both parts together are gapless and their text is the stored one.
    Documented: guides, Background mode, Streaming a background response.
    """
    return await _resumed(server, **_BACKGROUND)


@check("resume", "a running plain stream")
async def plain(server: Server) -> str:
    """The same for a stream that was not started in the background.

    Nobody knows beforehand which connection will be lost. OpenAI offers it for background only.
    Documented: guides, Background mode, for background streams.
    """
    return await _resumed(server)


@check("resume", "a finished stream")
async def finished(server: Server) -> str:
    """A finished background stream replays from the start and from the middle, as it was.

    A tab that was asleep shows the same answer as the one that was awake.
    Documented: API reference, Responses, Retrieve, stream and starting_after.
    """
    events = await offered(server.stream(**_BACKGROUND))
    response = last_response(events).id
    told = [raw(event) for event in events]
    middle = len(events) // 2
    half = [raw(event) for event in await _follow(server, response, middle)]
    require(half, "no event: the stream parameter is passed over")
    require(half == told[middle + 1 :], f"after {middle}: {len(half)} events, or others")
    whole = [raw(event) for event in await _follow(server, response, None)]
    require(whole == told, f"from the start: {len(whole)} events of {len(told)}, or others")
    return f"{len(whole)} and {len(half)} events, equal"


@check("resume", "three followers")
async def followers(server: Server) -> str:
    """Three clients follow one running stream from different places and see the same events.

    A laptop and a phone show one answer growing.
    Documented: API reference, Responses, Retrieve, starting_after.
    """
    response, begun = await _begin(server, **_BACKGROUND)
    starts: tuple[int | None, ...] = (None, 2, begun[-1].sequence_number)
    parts = await asyncio.gather(*(_follow(server, response, start) for start in starts))
    whole = [raw(event) for event in parts[0]]
    require_gapless(parts[0])
    for start, part in zip(starts[1:], parts[1:], strict=True):
        assert start is not None
        require([raw(event) for event in part] == whole[start + 1 :], f"after {start} it differs")
    return f"{[len(part) for part in parts]} events"


@check("resume", "beyond the end it ends")
async def beyond(server: Server) -> str:
    """starting_after the last event, or far beyond, ends or is refused; it never hangs.

    Documented: API reference, Responses, Retrieve, starting_after.
    """
    events = await offered(server.stream(**_BACKGROUND))
    response = last_response(events).id
    last = events[-1].sequence_number
    require(await _follow(server, response, 0), "no event: the stream parameter is passed over")
    require(await _follow(server, response, last) == [], "something follows the last event")
    try:
        far = await server.client.responses.retrieve(
            response, stream=True, starting_after=last + 1000
        )
    except APIStatusError as error:
        require(error.status_code < 500, f"{error.status_code}")
        return f"ends; far beyond is {error.status_code}"
    async with far:
        require([event async for event in far] == [], "events with numbers that never were")
    return "ends at once"


@check("resume", "an unknown id is 404")
async def unknown(server: Server) -> str:
    """Resuming a stream that is not there is 404, not an empty stream.

    Documented: API reference, Responses, Retrieve.
    """
    events = await offered(server.stream(**_BACKGROUND))
    replayed = await _follow(server, last_response(events).id, None)
    require(replayed, "no event: the stream parameter is passed over")
    await refusal(server.client.responses.retrieve(NO_SUCH_ID, stream=True), 404)
    return "404"
