"""Function calls: the model asks, the client answers, the history keeps the pair."""

import json
from typing import Any, cast

from conformance.events import last_response, raw
from conformance.registry import check
from conformance.server import BRIEF, Server, input_tokens
from conformance.verdicts import Failed, offered, require

_QUESTION = "What is the weather in Paris? Use the tool."
_PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Returns the weather of a city.",
    "parameters": _PARAMETERS,
    "strict": False,
}
_CHAT_TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": _PARAMETERS},
}
_CHAT_CHOICE: Any = {"type": "function", "function": {"name": "get_weather"}}
_FORCED: Any = {"tools": [_TOOL], "tool_choice": {"type": "function", "name": "get_weather"}}


def _arguments(text: str) -> None:
    try:
        found = json.loads(text)
    except ValueError:
        raise Failed(f"the arguments are not JSON: {text[:60]!r}") from None
    require(isinstance(found, dict), f"the arguments are {text[:60]!r}")


@check("function calls", "chat: there and back")
async def chat(server: Server) -> str:
    """A forced tool is called with an id and JSON arguments, and its result is taken back.

    Documented: guides, Function calling (Chat Completions).
    """
    messages: list[Any] = [{"role": "user", "content": _QUESTION}]
    asked = await offered(
        server.client.chat.completions.create(
            model=server.model,
            messages=messages,
            tools=[_CHAT_TOOL],
            tool_choice=_CHAT_CHOICE,
            max_completion_tokens=BRIEF,
        )
    )
    message = asked.choices[0].message
    calls: Any = message.tool_calls or []
    require(len(calls) == 1, f"{len(calls)} tool calls")
    require(calls[0].id and calls[0].function.name == "get_weather", f"{calls[0]}")
    _arguments(calls[0].function.arguments)
    result = {"role": "tool", "tool_call_id": calls[0].id, "content": "sunny"}
    messages += [message.to_dict(mode="json"), result]
    answered = await server.client.chat.completions.create(
        model=server.model,
        messages=messages,
        tools=[_CHAT_TOOL],
        max_completion_tokens=BRIEF,
    )
    require(answered.choices, "no answer to the tool's result")
    return f"finish_reason {asked.choices[0].finish_reason}"


@check("function calls", "chat: streamed")
async def chat_streamed(server: Server) -> str:
    """The pieces of a streamed call add up: id and name once, the arguments in order.

    Documented: guides, Function calling, Streaming (Chat Completions).
    """
    messages: Any = [{"role": "user", "content": _QUESTION}]
    stream = await offered(
        server.client.chat.completions.create(
            model=server.model, messages=messages, stream=True,
            tools=[_CHAT_TOOL], tool_choice=_CHAT_CHOICE,
        )
    )  # fmt: skip
    async with stream:
        pieces = [
            call
            async for chunk in stream
            for choice in chunk.choices
            for call in choice.delta.tool_calls or []
        ]
    ids = [piece.id for piece in pieces if piece.id]
    names = [piece.function.name for piece in pieces if piece.function and piece.function.name]
    require(len(set(ids)) == 1 and names == ["get_weather"], f"ids {ids}, names {names}")
    _arguments("".join((piece.function and piece.function.arguments) or "" for piece in pieces))
    return f"{len(pieces)} pieces"


@check("function calls", "responses: there and back")
async def responses(server: Server) -> str:
    """A call is an output item; its result, sent by call_id, continues the response.

    Documented: guides, Function calling.
    """
    asked = await offered(server.respond(_QUESTION, **_FORCED))
    calls = [item for item in asked.output if item.type == "function_call"]
    require(len(calls) == 1, f"{len(calls)} function calls")
    require(calls[0].name == "get_weather" and calls[0].call_id, f"{calls[0].to_dict()}")
    _arguments(calls[0].arguments)
    result = [{"type": "function_call_output", "call_id": calls[0].call_id, "output": "sunny"}]
    answered = await server.respond(result, previous_response_id=asked.id, tools=[_TOOL])
    require(input_tokens(answered) > input_tokens(asked), "the call is not in the history")
    return "called and answered"


@check("function calls", "responses: events")
async def responses_streamed(server: Server) -> str:
    """The argument deltas add up to the done event and to the item.

    Documented: API reference, Responses, Streaming events, function_call_arguments.
    """
    events = await offered(server.stream(_QUESTION, **_FORCED))
    told = [raw(event) for event in events]
    name = "response.function_call_arguments."
    deltas = "".join(event["delta"] for event in told if event["type"] == name + "delta")
    dones = [event["arguments"] for event in told if event["type"] == name + "done"]
    require(len(dones) == 1, f"{len(dones)} done events")
    require(dones == [deltas], "the deltas are not the done event's arguments")
    items = [item for item in last_response(events).output if item.type == "function_call"]
    require(len(items) == 1 and items[0].arguments == deltas, "the item's arguments differ")
    _arguments(deltas)
    return f"{len(deltas)} characters"


@check("function calls", "in a conversation")
async def in_conversation(server: Server) -> str:
    """Question, call, result and answer stand in the conversation in this order.

    A call without its result makes every later turn fail in most engines.
    Documented: guides, Conversation state; guides, Function calling.
    """
    conversation = (await server.conversation()).id
    asked = await offered(server.respond(_QUESTION, conversation=conversation, **_FORCED))
    call = next((item for item in asked.output if item.type == "function_call"), None)
    if call is None:
        raise Failed("no function call")
    result = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    await server.respond(result, conversation=conversation, tools=[_TOOL])
    items = await server.items(conversation)
    kinds = [cast(str, item.type) for item in items if item.type != "reasoning"]
    wanted = ["message", "function_call", "function_call_output", "message"]
    require(kinds == wanted, f"{kinds}")
    return "4 items in order"
