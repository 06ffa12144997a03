"""Responses: what a request brings, and the object that comes back."""

import json
from typing import Any, cast

from openai.types.responses import Response
from pydantic import ValidationError

from conformance.events import first_mistake
from conformance.registry import check
from conformance.server import BRIEF, SHORT, Server, input_tokens, text_of
from conformance.verdicts import Failed, offered, refusal, require

PRESENT = (
    "id", "object", "created_at", "completed_at", "status", "model", "output",
    "parallel_tool_calls", "tool_choice", "tools", "usage", "presence_penalty",
    "frequency_penalty", "top_logprobs", "reasoning", "max_output_tokens", "max_tool_calls",
    "service_tier", "safety_identifier", "prompt_cache_key", "instructions",
    "previous_response_id", "conversation", "text", "truncation", "metadata", "error",
    "incomplete_details", "store", "background", "temperature", "top_p",
)  # fmt: skip
"""Members that stand in every response, null where there is nothing to say."""

NO_SUCH_ID = "resp_00000000000000000000000000000000000000000000000000"


@check("responses", "every field is present")
async def fields(server: Server) -> str:
    """All documented members stand in a response, null where there is nothing to say.

    Typed clients in strict languages refuse an object that lacks one.
    Documented: API reference, Responses, the response object.
    """
    create = server.client.responses.with_raw_response.create
    answer = await offered(create(model=server.model, input=SHORT, max_output_tokens=BRIEF))
    body: dict[str, Any] = json.loads(answer.text)
    missing = [name for name in PRESENT if name not in body]
    require(not missing, f"missing: {', '.join(missing)}")
    require(body["object"] == "response", f"object is {body['object']!r}")
    return f"{len(PRESENT)} fields"


@check("responses", "the SDK's type takes it")
async def typed(server: Server) -> str:
    """A response satisfies the SDK's own type, checked strictly.

    The SDK itself does not check: a wrong type surfaces later, in the product.
    Documented: API reference, Responses, the response object.
    """
    response = await offered(server.respond())
    try:
        Response.model_validate(response.to_dict(mode="json"))
    except ValidationError as error:
        raise Failed(first_mistake(error)) from None
    require(response.output, "no output item")
    require(all(getattr(item, "id", "") for item in response.output), "an item has no id")
    return f"status {response.status}"


@check("responses", "usage adds up")
async def usage(server: Server) -> str:
    """Usage has input, output and total tokens, and the details of cached and reasoning ones.

    Documented: API reference, Responses, the response object, usage.
    """
    used = (await offered(server.respond())).usage
    if used is None:
        raise Failed("no usage")
    require(used.input_tokens > 0 and used.output_tokens > 0, f"{used.to_dict()}")
    total = used.input_tokens + used.output_tokens
    require(used.total_tokens == total, f"total_tokens {used.total_tokens}, sum {total}")
    body = used.to_dict()
    details = cast(dict[str, Any], body.get("input_tokens_details") or {})
    require("cached_tokens" in details, "no input_tokens_details.cached_tokens")
    details = cast(dict[str, Any], body.get("output_tokens_details") or {})
    require("reasoning_tokens" in details, "no output_tokens_details.reasoning_tokens")
    return f"{used.input_tokens} + {used.output_tokens}"


@check("responses", "metadata and request fields come back")
async def echoes(server: Server) -> str:
    """What a request set stands in the response: metadata, temperature, instructions and more.

    Products find their own ids again in stored responses.
    Documented: API reference, Responses, the response object.
    """
    asked: dict[str, Any] = {
        "metadata": {"order": "17"},
        "temperature": 0.5,
        "top_p": 0.9,
        "instructions": "Be brief.",
        "max_output_tokens": 64,
        "truncation": "disabled",
        "parallel_tool_calls": False,
    }
    made = (await offered(server.respond(**asked))).to_dict(mode="json")
    wrong = [name for name, value in asked.items() if made.get(name) != value]
    require(not wrong, f"lost or changed: {', '.join(wrong)}")
    return f"{len(asked)} fields"


@check("responses", "metadata has bounds")
async def metadata_bounds(server: Server) -> str:
    """More than 16 pairs, a key over 64 or a value over 512 characters is 400.

    Documented: API reference, Responses, Create, metadata.
    """
    await offered(server.respond(metadata={"k" * 64: "v" * 512}))
    wrong = {
        "17 pairs": {f"k{number}": "v" for number in range(17)},
        "a key of 65": {"k" * 65: "v"},
        "a value of 513": {"k": "v" * 513},
    }
    for what, metadata in wrong.items():
        await refusal(server.respond(metadata=metadata), 400, what=what)
    return "3 violations, 400 each"


@check("responses", "the forms of input")
async def input_forms(server: Server) -> str:
    """A string, short messages, and items with typed parts are the same input.

    The same question costs the same tokens in each form.
    Documented: API reference, Responses, Create, input.
    """
    forms: tuple[Any, ...] = (
        SHORT,
        [{"role": "user", "content": SHORT}],
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": SHORT}]}],
    )
    counted = [input_tokens(await offered(server.respond(form))) for form in forms]
    require(len(set(counted)) == 1, f"input tokens {counted}")
    return f"3 forms, {counted[0]} tokens each"


@check("responses", "max_output_tokens ends as incomplete")
async def output_bound(server: Server) -> str:
    """An answer cut by max_output_tokens is `incomplete` and says why; its text is kept.

    A product shows "continue" there, and must tell it from a finished answer.
    Documented: API reference, Responses, the response object, incomplete_details.
    """
    made = await offered(server.respond(server.target.long_text, max_output_tokens=16))
    require(made.status == "incomplete", f"status is {made.status}")
    details = made.incomplete_details
    reason = details.reason if details else None
    require(reason == "max_output_tokens", f"the reason is {reason!r}")
    require(text_of(made), "the partial text is gone")
    return "incomplete, max_output_tokens"


@check("responses", "structured output")
async def structured(server: Server) -> str:
    """A json_schema text format brings a document of that schema.

    Documented: guides, Structured outputs.
    """
    schema = {
        "type": "object",
        "properties": {"word": {"type": "string", "enum": ["hello", "welcome"]}},
        "required": ["word"],
        "additionalProperties": False,
    }
    wanted = {"format": {"type": "json_schema", "name": "greeting", "schema": schema}}
    text = text_of(await offered(server.respond(text=wanted)))
    try:
        document = json.loads(text)
    except ValueError:
        raise Failed(f"not JSON: {text[:40]!r}") from None
    require(isinstance(document, dict) and set(document) == {"word"}, f"{text[:60]}")
    return "a document of the schema"


@check("responses", "mistakes are 400 in OpenAI's shape")
async def mistakes(server: Server) -> str:
    """Input of a wrong type, a wrong temperature and broken JSON are 400, streamed or not.

    A streamed request is refused with the status too, before any event.
    Documented: guides, Error codes.
    """
    await offered(server.respond())
    bodies = {
        "a number as input": json.dumps({"model": server.model, "input": 17}).encode(),
        "the same streamed": json.dumps(
            {"model": server.model, "input": 17, "stream": True}
        ).encode(),
        "a word as temperature": json.dumps(
            {"model": server.model, "input": SHORT, "temperature": "hot"}
        ).encode(),
        "broken JSON": b'{"model": "x", "input": ',
    }
    headers = {"content-type": "application/json"}
    for what, body in bodies.items():
        call = server.client.post(
            "/responses", cast_to=object, content=body, options={"headers": headers}
        )
        await refusal(call, 400, what=what)
    return f"{len(bodies)} mistakes, 400 each"
