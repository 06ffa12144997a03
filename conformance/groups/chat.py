"""Chat completions: the call that every client can make."""

import json
from typing import Any

from openai import BadRequestError
from openai.types.chat import ChatCompletionChunk

from conformance.registry import check
from conformance.server import BRIEF, SHORT, Server
from conformance.verdicts import Failed, offered, refusal, require

_MESSAGES: Any = [{"role": "user", "content": SHORT}]
_SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "greeting",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"word": {"type": "string", "enum": ["hello", "welcome"]}},
            "required": ["word"],
            "additionalProperties": False,
        },
    },
}


async def _chunks(server: Server, **more: Any) -> list[ChatCompletionChunk]:
    stream = await server.client.chat.completions.create(
        model=server.model, messages=_MESSAGES, max_completion_tokens=BRIEF, stream=True, **more
    )
    async with stream:
        return [chunk async for chunk in stream]


@check("chat", "unstreamed answer")
async def unstreamed(server: Server) -> str:
    """The answer has an id, a choice with an assistant's message, and a reason why it ended.

    Documented: API reference, Chat Completions, Create.
    """
    answer = await offered(
        server.client.chat.completions.create(
            model=server.model, messages=_MESSAGES, max_completion_tokens=BRIEF
        )
    )
    require(answer.object == "chat.completion", f"object is {answer.object!r}")
    require(answer.id and answer.model and answer.created, "id, model or created is missing")
    require(len(answer.choices) == 1, f"{len(answer.choices)} choices")
    choice = answer.choices[0]
    require(choice.message.role == "assistant", f"role is {choice.message.role!r}")
    require(choice.message.content, "no content")
    require(choice.finish_reason in ("stop", "length"), f"finish_reason {choice.finish_reason!r}")
    return f"finish_reason {choice.finish_reason}"


@check("chat", "usage adds up")
async def usage(server: Server) -> str:
    """An unstreamed answer says how many tokens were read and written, and their sum.

    Products bill and cut off by these figures.
    Documented: API reference, Chat Completions, the chat completion object.
    """
    answer = await offered(
        server.client.chat.completions.create(
            model=server.model, messages=_MESSAGES, max_completion_tokens=BRIEF
        )
    )
    used = answer.usage
    if used is None:
        raise Failed("no usage")
    require(used.prompt_tokens > 0 and used.completion_tokens > 0, f"{used.to_dict()}")
    total = used.prompt_tokens + used.completion_tokens
    require(used.total_tokens == total, f"total_tokens {used.total_tokens}, sum {total}")
    return f"{used.prompt_tokens} + {used.completion_tokens}"


@check("chat", "stream of chunks")
async def streamed(server: Server) -> str:
    """Chunks carry one id, the role comes first, and one finish_reason comes last.

    Clients key the growing answer by the id and close the bubble at finish_reason.
    Documented: API reference, Chat Completions, the chat completion chunk object.
    """
    chunks = await _chunks(server)
    require(chunks, "no chunk")
    require(len({chunk.id for chunk in chunks}) == 1, "the id changes midway")
    wrong = {chunk.object for chunk in chunks} - {"chat.completion.chunk"}
    require(not wrong, f"object is {wrong}")
    choices = [choice for chunk in chunks for choice in chunk.choices]
    require(choices and choices[0].delta.role == "assistant", "the first delta has no role")
    require("".join(choice.delta.content or "" for choice in choices), "no content")
    reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
    require(len(reasons) == 1, f"{len(reasons)} finish reasons")
    require(choices[-1].finish_reason, "something follows the finish_reason")
    return f"{len(chunks)} chunks, {reasons[0]}"


@check("chat", "stream ends with [DONE]")
async def done(server: Server) -> str:
    """The raw stream is `data:` events and its last one is `[DONE]`.

    Without it a client cannot tell an end from a cut connection.
    Documented: API reference, Chat Completions, Create, stream.
    """
    create = server.client.chat.completions.with_streaming_response.create
    async with create(
        model=server.model, messages=_MESSAGES, max_completion_tokens=BRIEF, stream=True
    ) as answer:
        kind = answer.headers.get("content-type", "")
        lines = [line async for line in answer.iter_lines()]
    require(kind.startswith("text/event-stream"), f"content-type is {kind!r}")
    said = [line for line in lines if line.strip()]
    require(said and said[-1] == "data: [DONE]", f"the last line is {said[-1:]}")
    require(len(said) > 1, "nothing comes before [DONE]")
    require(said.count("data: [DONE]") == 1, "[DONE] comes more than once")
    return f"{len(said)} lines"


@check("chat", "usage in a stream when asked")
async def stream_usage(server: Server) -> str:
    """With include_usage the last chunk has the usage and no choice; without it nobody has one.

    Documented: API reference, Chat Completions, Create, stream_options.
    """
    asked = await _chunks(server, stream_options={"include_usage": True})
    last = asked[-1]
    require(last.usage is not None, "the last chunk has no usage")
    assert last.usage is not None
    require(last.choices == [], "the chunk with the usage has choices")
    require(last.usage.total_tokens > 0, f"total_tokens {last.usage.total_tokens}")
    early = [chunk for chunk in asked[:-1] if chunk.usage is not None]
    require(not early, f"{len(early)} earlier chunks have a usage")
    unasked = [chunk for chunk in await _chunks(server) if chunk.usage is not None]
    require(not unasked, "a usage nobody asked for")
    return f"{last.usage.total_tokens} tokens"


@check("chat", "n choices")
async def several_choices(server: Server) -> str:
    """`n=2` brings two choices with the indexes 0 and 1, streamed or not.

    Needs an engine that can; "regenerate" and preference pairs are built on it.
    Documented: API reference, Chat Completions, Create, n.
    """
    answer = await offered(
        server.client.chat.completions.create(
            model=server.model, messages=_MESSAGES, max_completion_tokens=BRIEF, n=2
        )
    )
    found = sorted(choice.index for choice in answer.choices)
    require(found == [0, 1], f"indexes {found}")
    chunks = await _chunks(server, n=2)
    streamed_indexes = {choice.index for chunk in chunks for choice in chunk.choices}
    require(streamed_indexes == {0, 1}, f"streamed indexes {sorted(streamed_indexes)}")
    return "indexes 0 and 1, streamed too"


@check("chat", "structured output")
async def structured(server: Server) -> str:
    """A json_schema response_format brings a document of that schema.

    Documented: guides, Structured outputs.
    """
    answer = await offered(
        server.client.chat.completions.create(
            model=server.model,
            messages=_MESSAGES,
            max_completion_tokens=BRIEF,
            response_format=_SCHEMA,
        )
    )
    content = answer.choices[0].message.content or ""
    try:
        document = json.loads(content)
    except ValueError:
        raise Failed(f"not JSON: {content[:40]!r}") from None
    require(isinstance(document, dict) and set(document) == {"word"}, f"{content[:60]}")
    return "a document of the schema"


@check("chat", "mistakes are 400 in OpenAI's shape")
async def mistakes(server: Server) -> str:
    """No messages, messages of a wrong type, no model, and no JSON are each 400 with an error.

    A developer finds the mistake from the message; a 500 says "our fault" and is retried.
    Documented: guides, Error codes.
    """
    bodies = {
        "no messages": json.dumps({"model": server.model}).encode(),
        "a text as messages": json.dumps({"model": server.model, "messages": "hello"}).encode(),
        "no model": json.dumps({"messages": _MESSAGES}).encode(),
        "broken JSON": b'{"model": "x", "messages": [',
    }
    headers = {"content-type": "application/json"}
    for what, body in bodies.items():
        call = server.client.post(
            "/chat/completions", cast_to=object, content=body, options={"headers": headers}
        )
        await refusal(call, 400, what=what)
    return f"{len(bodies)} mistakes, 400 each"


@check("chat", "an unknown field breaks nothing")
async def unknown_field(server: Server) -> str:
    """A field the server does not know is passed over or refused with 400, never a 5xx.

    SDKs are newer than servers; OpenAI itself refuses unknown fields, engines pass them over.
    Documented: guides, Error codes (400 Unrecognized request argument).
    """
    more = {"conformance_unknown_field": {"nested": [1, 2]}}
    try:
        answer = await server.client.chat.completions.create(
            model=server.model, messages=_MESSAGES, max_completion_tokens=BRIEF, extra_body=more
        )
    except BadRequestError:
        return "refused with 400"
    require(answer.choices[0].message.content, "no content")
    return "passed over"


@check("chat", "every answer has a request id")
async def request_id(server: Server) -> str:
    """`x-request-id` stands on answers and on errors, and differs from call to call.

    It is what a user sends to support.
    Documented: API reference, Debugging requests.
    """
    seen = []
    for _ in range(2):
        answer = await server.client.chat.completions.with_raw_response.create(
            model=server.model, messages=_MESSAGES, max_completion_tokens=BRIEF
        )
        seen.append(answer.headers.get("x-request-id"))
    nothing: Any = []
    call = server.client.chat.completions.create(model=server.model, messages=nothing)
    error = await refusal(call, 400)
    seen.append(error.response.headers.get("x-request-id"))
    require(all(seen), f"missing on {seen.count(None)} of 3")
    require(len(set(seen)) == 3, "the same twice")
    return f"{str(seen[0])[:12]}..."
