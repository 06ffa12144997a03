"""Disconnects: the client goes away in the middle of an answer.

OpenAI says that closing the connection ends a response that was not started in the background. A
chat on a phone needs more: what was asked and what was shown must still be there.
"""

import asyncio
from typing import Any

from openai import APITimeoutError, NotFoundError
from openai.types.responses import Response

from conformance.events import raw, shown_text
from conformance.groups.chat_stored import store_one
from conformance.groups.conversations import said_by
from conformance.registry import check
from conformance.server import FINAL, LENGTHY, Server, text_of
from conformance.verdicts import Failed, offered, require, until

_EVENTS_READ = 12
_STORED_WITHIN_S = 45.0
_BUDGET_S = 120.0


async def _hang_up(server: Server, **more: Any) -> tuple[str, str]:
    """Read some events of a long answer and close; return the response's id and the text seen."""
    seen = await server.first_events(_EVENTS_READ, **more)
    return raw(seen[0])["response"]["id"], shown_text(seen)


async def _stored(server: Server, response_id: str) -> Response:
    async def final() -> Response | None:
        try:
            response = await server.client.responses.retrieve(response_id)
        except NotFoundError:
            return None
        return response if response.status in FINAL else None

    return await until(final, _STORED_WITHIN_S, "not stored, or without an end")


@check("disconnects", "what was shown is kept", budget_s=_BUDGET_S)
async def shown_is_kept(server: Server) -> str:
    """After hanging up, the response has a final status and begins with the text that was shown.

    The user saw those words; reopening the chat must show them again.
    Documented: not by OpenAI, where hanging up ends a plain response.
    """
    response_id, shown = await _hang_up(server)
    kept = await _stored(server, response_id)
    require(text_of(kept).startswith(shown), "the stored text begins differently")
    return f"{kept.status}; {len(shown)} characters shown, {len(text_of(kept))} kept"


@check("disconnects", "the answer goes on to its end", budget_s=_BUDGET_S)
async def goes_on(server: Server) -> str:
    """A stream whose client went away is completed and stored whole.

    A phone in a tunnel finds the answer when it is back.
    Documented: guides, Background mode, for background streams; not for plain ones.
    """
    response_id, shown = await _hang_up(server)
    kept = await _stored(server, response_id)
    why = kept.incomplete_details
    is_long = why is not None and why.reason == "max_output_tokens"  # the engine's own limit
    require(kept.status == "completed" or is_long, f"it is {kept.status}")
    require(len(text_of(kept)) >= len(shown), "less is stored than was shown")
    return f"{kept.status}, {len(text_of(kept))} characters"


@check("disconnects", "the conversation has the pair", budget_s=_BUDGET_S)
async def pair(server: Server) -> str:
    """The conversation holds the question and the answer that was being streamed.

    Documented: not by OpenAI, where hanging up ends a plain response.
    """
    conversation = (await server.conversation()).id
    response_id, shown = await _hang_up(server, conversation=conversation)
    await _stored(server, response_id)
    items = [item for item in await server.items(conversation) if item.type != "reasoning"]
    roles = [str(getattr(item, "role", item.type)) for item in items]
    require(roles == ["user", "assistant"], f"{roles}")
    require(said_by(items[1]).startswith(shown), "the answer begins differently")
    return f"pair, {len(said_by(items[1]))} characters"


@check("disconnects", "the next turn is served", budget_s=_BUDGET_S)
async def next_turn(server: Server) -> str:
    """After hanging up, the same conversation takes the next turn; it is not left locked.

    Documented: guides, Conversation state.
    """
    conversation = (await server.conversation()).id
    await _hang_up(server, conversation=conversation)
    await server.respond("Say hello. (next)", conversation=conversation)
    items = await server.items(conversation)
    roles = [str(getattr(item, "role", item.type)) for item in items if item.type != "reasoning"]
    require(roles[-2:] == ["user", "assistant"], f"{roles}")
    require(roles in (["user", "assistant"], ["user", "assistant"] * 2), f"{roles}")
    return f"{len(roles) // 2} pairs"


@check("disconnects", "an unstreamed answer is kept too", budget_s=_BUDGET_S)
async def unstreamed(server: Server) -> str:
    """A client that gives up waiting finds the pair in the conversation afterwards.

    Documented: not by OpenAI, where hanging up ends a plain response.
    """
    conversation = (await server.conversation()).id
    async with server.client_with(server.target.api_key, timeout_s=0.5) as hasty:
        create: Any = hasty.responses.create
        try:
            await create(
                model=server.model,
                input=server.target.long_text,
                conversation=conversation,
                max_output_tokens=LENGTHY,
            )
        except APITimeoutError:
            await asyncio.sleep(0)

    async def there() -> list[str] | None:
        items = await server.items(conversation)
        roles = [str(getattr(item, "role", item.type)) for item in items]
        return roles if "assistant" in roles else None

    roles = await until(there, _STORED_WITHIN_S, "no answer in the conversation")
    require([role for role in roles if role != "reasoning"] == ["user", "assistant"], f"{roles}")
    return "pair"


@check("disconnects", "a stored chat stream is kept", budget_s=_BUDGET_S)
async def chat(server: Server) -> str:
    """A chat completion stream with store=true can be read whole after hanging up.

    Documented: API reference, Chat Completions, Create, store; hanging up is not.
    """
    await store_one(server)
    messages: Any = [{"role": "user", "content": server.target.long_text}]
    stream = await offered(
        server.client.chat.completions.create(
            model=server.model,
            messages=messages,
            stream=True,
            store=True,
            max_completion_tokens=LENGTHY,
        )
    )
    shown, found, count = "", "", 0
    async with stream:
        async for chunk in stream:
            found, count = chunk.id, count + 1
            shown += "".join(choice.delta.content or "" for choice in chunk.choices)
            if count >= _EVENTS_READ:
                break

    async def kept() -> str | None:
        try:
            completion = await server.client.chat.completions.retrieve(found)
        except NotFoundError:
            return None
        return completion.choices[0].message.content or ""

    text = await until(kept, _STORED_WITHIN_S, "not stored")
    if not text.startswith(shown):
        raise Failed("the stored text begins differently")
    return f"{len(shown)} characters shown, {len(text)} kept"
