"""Background responses: acknowledged at once, finished whatever the client does."""

import asyncio
import time
from typing import Any

from openai.types.responses import Response

from conformance.groups.responses import NO_SUCH_ID
from conformance.registry import check
from conformance.server import ENDED, SHORT, Server, text_of
from conformance.verdicts import offered, refusal, require

_AT_ONCE = 10


async def start(server: Server, said: str = SHORT, **more: Any) -> Response:
    """Start a background response; raises Refused where there are none, Failed if it blocks."""
    create: Any = server.client.responses.create
    made: Response = await offered(
        create(model=server.model, input=said, background=True, **server.bounded(said, more))
    )
    require(made.status in ("queued", "in_progress"), f"acknowledged as {made.status}")
    return made


@check("background", "acknowledged, then polled to its end")
async def polled(server: Server) -> str:
    """The answer comes at once as queued or in_progress, and polling leads to its end.

    Documented: guides, Background mode.
    """
    began = time.monotonic()
    made = await start(server, server.target.long_text)
    took_s = time.monotonic() - began
    require(made.background is True, f"background is {made.background!r}")
    seen = await server.client.responses.retrieve(made.id)
    require(seen.id == made.id, "it cannot be read at once")
    final = await server.ended(made.id)
    require(final.status in ENDED and text_of(final), f"it ended as {final.status}")
    return f"{made.status} after {took_s * 1000:.0f} ms, then {final.status}"


@check("background", "cancel")
async def cancel(server: Server) -> str:
    """A running one can be cancelled, stays cancelled, and cancelling again changes nothing.

    The stop button of every chat. One that is not there is 404.
    Documented: API reference, Responses, Cancel; guides, Background mode.
    """
    made = await start(server, server.target.long_text)
    await asyncio.sleep(0.5)
    said = await offered(server.client.responses.cancel(made.id))
    require(said.status == "cancelled", f"status is {said.status}")
    again = await server.client.responses.cancel(made.id)
    require(again.status == "cancelled", f"cancelled again it is {again.status}")
    await asyncio.sleep(1.0)
    await refusal(server.client.responses.cancel(NO_SUCH_ID), 404)
    kept = await server.client.responses.retrieve(made.id)
    require(kept.status == "cancelled", f"a second later it is {kept.status}")
    return f"cancelled, {len(text_of(kept))} characters kept"


@check("background", "only background ones can be cancelled")
async def cancel_plain(server: Server) -> str:
    """Cancelling a response that was not started in the background is refused.

    Documented: API reference, Responses, Cancel.
    """
    background = await start(server)
    await server.ended(background.id)
    plain = await server.respond()
    error = await refusal(server.client.responses.cancel(plain.id), 400, 409)
    return f"{error.status_code}"


@check("background", "ten at once")
async def ten(server: Server) -> str:
    """Ten acknowledged responses all end, each with an answer.

    Documented: guides, Background mode.
    """
    made = await asyncio.gather(*(start(server) for _ in range(_AT_ONCE)))
    ends = await asyncio.gather(*(server.ended(response.id) for response in made))
    good = [end for end in ends if end.status in ENDED and text_of(end)]
    require(len(good) == _AT_ONCE, f"{len(good)} of {_AT_ONCE} have an answer")
    return f"{len(good)} of {_AT_ONCE}"


@check("background", "in a conversation")
async def in_conversation(server: Server) -> str:
    """Its pair stands in the conversation once it has ended, before the next turn's.

    Documented: guides, Background mode; guides, Conversation state.
    """
    conversation = (await server.conversation()).id
    made = await start(server, "Say hello. (background)", conversation=conversation)
    await server.ended(made.id)
    await server.respond("Say hello. (after)", conversation=conversation)
    roles = [str(getattr(item, "role", item.type)) for item in await server.items(conversation)]
    require(roles == ["user", "assistant"] * 2, f"{roles}")
    return "two pairs"
