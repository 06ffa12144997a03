"""Retries: asking again after a lost connection is not a second turn.

OpenAI documents no idempotency key. The SDK has an option for one and marks its own retries with
`x-stainless-retry-count`; the header's meaning is that of the IETF's Idempotency-Key draft.
"""

import asyncio
from typing import Any

from openai import APIStatusError, APITimeoutError

from conformance.events import raw
from conformance.registry import check
from conformance.server import BRIEF, Server
from conformance.unique import unique
from conformance.verdicts import offered, refusal, require

_AT_ONCE = 20
_LOOKS, _LOOK_S = 12, 0.25


def _key() -> dict[str, str]:
    return {"Idempotency-Key": unique()}


async def _said(server: Server, conversation: str) -> list[str]:
    """Return who said something in the conversation, the oldest first."""
    items = await server.items(conversation)
    return [str(getattr(item, "role", item.type)) for item in items]


@check("retries", "same key, same answer")
async def same_answer(server: Server) -> str:
    """A second request with the same key and body gets the stored answer byte for byte.

    A phone that lost the answer in a tunnel asks again; the user must not see two answers.
    Documented: IETF draft-ietf-httpapi-idempotency-key-header; not by OpenAI.
    """
    conversation = (await server.conversation()).id
    headers = _key()
    create: Any = server.client.responses.with_raw_response.create
    answers = [
        (
            await offered(
                create(
                    model=server.model,
                    input="Say hello.",
                    max_output_tokens=BRIEF,
                    conversation=conversation,
                    extra_headers=headers,
                )
            )
        ).text
        for _ in range(2)
    ]
    count = len(await _said(server, conversation))
    require(count == 2, f"{count} items in the conversation after one turn and its retry")
    require(answers[0] == answers[1], "one turn, but the second answer differs")
    return f"equal, {len(answers[0])} bytes"


@check("retries", "same key, another body: 422")
async def another_body(server: Server) -> str:
    """A key used again for something else is refused and nothing is done.

    It is a mistake in the client, and answering with the old turn would hide it.
    Documented: IETF draft-ietf-httpapi-idempotency-key-header; not by OpenAI.
    """
    conversation = (await server.conversation()).id
    headers = _key()
    await server.respond("Say one.", conversation=conversation, extra_headers=headers)
    call = server.respond("Say two.", conversation=conversation, extra_headers=headers)
    error = await refusal(call, 422)
    require(len(await _said(server, conversation)) == 2, "the refused one was stored")
    return f"422, code {error.code}"


@check("retries", f"{_AT_ONCE} at once with one key: one turn", budget_s=90)
async def at_once(server: Server) -> str:
    """Concurrent requests with one key are one execution; all who are answered hear the same.

    Those who come while it runs may also be told 409, as the draft allows.
    Documented: IETF draft-ietf-httpapi-idempotency-key-header; not by OpenAI.
    """
    conversation = (await server.conversation()).id
    headers = _key()
    create: Any = server.client.responses.with_raw_response.create

    async def ask() -> str:
        try:
            answer = await create(
                model=server.model,
                input="Say hello.",
                max_output_tokens=BRIEF,
                conversation=conversation,
                extra_headers=headers,
            )
        except APIStatusError as error:
            require(error.status_code == 409, f"{error.status_code}")
            return ""
        return str(answer.text)

    answers = await asyncio.gather(*(ask() for _ in range(_AT_ONCE)))
    told = [answer for answer in answers if answer]
    count = len(await _said(server, conversation))
    require(count == 2, f"{count} items in the conversation, {len(told)} answered")
    require(told and len(set(told)) == 1, f"{len(set(told))} different answers")
    return f"{len(told)} equal answers, {_AT_ONCE - len(told)} times 409, 1 turn"


@check("retries", "a stream is replayed")
async def stream(server: Server) -> str:
    """A streamed request asked again with its key brings the same events.

    Documented: IETF draft-ietf-httpapi-idempotency-key-header; not by OpenAI.
    """
    conversation = (await server.conversation()).id
    headers = _key()
    streams = [
        await offered(server.stream(conversation=conversation, extra_headers=headers))
        for _ in range(2)
    ]
    count = len(await _said(server, conversation))
    require(count == 2, f"{count} items in the conversation after one turn and its retry")
    first, second = ([raw(event) for event in events] for events in streams)
    require(first == second, "one turn, but other events")
    return f"{len(first)} equal events"


@check("retries", "the SDK's own retry attaches")
async def sdk_retry(server: Server) -> str:
    """A request the SDK sends again after a time-out, marked as a retry, is the same turn.

    The SDK retries by itself and sends no key: without this each lost answer is a doubled turn.
    Documented: openai-python, Retries (x-stainless-retry-count); what it means is not.
    """
    conversation = (await server.conversation()).id
    body: dict[str, Any] = {"conversation": conversation, "max_output_tokens": 400}
    said = server.target.long_text
    async with server.client_with(server.target.api_key, timeout_s=0.5) as hasty:
        create: Any = hasty.responses.create
        try:
            made = await create(model=server.model, input=said, **body)
        except APITimeoutError:
            pass
        else:
            require(made.id, "a response without an id")
            return "answered within 0.5 s; nothing to retry"
    again = {"x-stainless-retry-count": "1"}
    await offered(server.respond(said, extra_headers=again, **body))

    # A turn made of the first request would have waited for its place and ends a little later.
    roles = await _said(server, conversation)
    for _ in range(_LOOKS):
        await asyncio.sleep(_LOOK_S)
        roles = await _said(server, conversation)
        if len(roles) > 2:
            break
    require(roles == ["user", "assistant"], f"the conversation holds {roles}")
    return "one turn"


@check("retries", "without a key, twice is twice")
async def no_key(server: Server) -> str:
    """The same words sent twice on purpose are two turns.

    People do repeat themselves; guessing retries from equal bodies alone loses turns.
    Documented: API reference, Responses, Create.
    """
    conversation = (await server.conversation()).id
    for _ in range(2):
        await server.respond(conversation=conversation)
    roles = await _said(server, conversation)
    require(roles == ["user", "assistant"] * 2, f"the conversation holds {roles}")
    return "two turns"


@check("retries", "creating a conversation and items")
async def creations(server: Server) -> str:
    """A conversation, and items in it, created twice with one key are there once.

    Documented: IETF draft-ietf-httpapi-idempotency-key-header; not by OpenAI.
    """
    headers = _key()
    create: Any = server.client.conversations.create
    made = [(await offered(create(extra_headers=headers))).id for _ in range(2)]
    require(made[0] == made[1], "two conversations")
    headers = _key()
    item: Any = {"type": "message", "role": "user", "content": "Hello."}
    add = server.client.conversations.items.create
    for _ in range(2):
        await offered(add(made[0], items=[item], extra_headers=headers))
    count = len(await server.items(made[0]))
    require(count == 1, f"{count} items")
    return "one of each"


@check("retries", "chat completions")
async def chat(server: Server) -> str:
    """A chat completion asked again with its key is the same completion.

    Documented: IETF draft-ietf-httpapi-idempotency-key-header; not by OpenAI.
    """
    headers = _key()
    messages: Any = [{"role": "user", "content": "Say hello."}]
    made = [
        await offered(
            server.client.chat.completions.create(
                model=server.model,
                messages=messages,
                max_completion_tokens=BRIEF,
                extra_headers=headers,
            )
        )
        for _ in range(2)
    ]
    require(made[0].id and made[0].id == made[1].id, "two completions")
    require(made[0].to_dict() == made[1].to_dict(), "one id, two answers")
    return "equal"
