"""The body an engine gets: chat-completions members built from either surface's request.

`Fields` is a request body split into its members, each still the client's own bytes: what Axon
does not know it passes on untouched.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from axon.turns.chunks import ABSENT, given
from axon.turns.failures import InvalidParameter

_encode = msgspec.json.encode

Fields = dict[str, msgspec.Raw]

_KEPT_HERE = frozenset(
    {
        "model",
        "stream",
        "stream_options",
        "store",
        "metadata",
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "service_tier",
    }
)
"""Members that are Axon's business: routing, storage, and who the person is."""

_RESPONSES_RENAMED = {
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "parallel_tool_calls": "parallel_tool_calls",
    "max_output_tokens": "max_tokens",
    "seed": "seed",
    "stop": "stop",
    "top_k": "top_k",
    "min_p": "min_p",
}

_NULL = b"null"
_STREAM = b'"stream":true,"stream_options":{"include_usage":true}'


def _member(name: str, value: bytes) -> bytes:
    """Return a member as JSON; a name is the client's too, and may hold a quote."""
    return b"%b:%b" % (_encode(name), value)


def is_for_engine(name: str) -> bool:
    """Return whether a member of a relayed request is passed on to the engine."""
    return name not in _KEPT_HERE


def relayed_fields(fields: Fields, streamed: bool) -> bytes:
    """Return the members of a relayed request for the engine, without `model` and braces."""
    members = [
        _member(name, bytes(value)) for name, value in fields.items() if name not in _KEPT_HERE
    ]
    if streamed:
        members.append(_STREAM)
    return b",".join(members)


class _CustomFormat(msgspec.Struct):
    """The grammar a custom tool's input keeps to."""

    syntax: str = ""
    definition: str = ""


class _Tool(msgspec.Struct):
    type: str
    name: str = ""
    description: str | None = None
    parameters: msgspec.Raw = ABSENT
    strict: bool | None = None
    format: msgspec.Raw = ABSENT


class _Format(msgspec.Struct):
    type: str = "text"
    name: str = ""
    schema: msgspec.Raw = ABSENT
    strict: bool | None = None
    description: str | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None
    mode: str = "auto"
    tools: list[_Tool] = []
    """Of the type allowed_tools: the only ones that may be called."""


_LOGPROBS = "message.output_text.logprobs"
"""What `include` says to be shown log probabilities."""


def responses_fields(
    fields: Fields, messages: Sequence[bytes], output_tokens_max: int, streamed: bool
) -> bytes:
    """Return the members of a responses request for an engine that speaks chat completions.

    `output_tokens_max` bounds the answer when the client does not; 0 leaves it to the engine.
    """
    members = [b'"messages":[%b]' % b",".join(messages)]
    for name, chat_name in _RESPONSES_RENAMED.items():
        value = fields.get(name)
        if value is not None and bytes(value) != _NULL:
            members.append(_member(chat_name, bytes(value)))
    if output_tokens_max and "max_output_tokens" not in fields:
        members.append(b'"max_tokens":%d' % output_tokens_max)
    members.extend(_tool_members(fields))
    members.extend(_logprob_members(fields))
    members.extend(_format_members(fields))
    if streamed:
        members.append(_STREAM)
    return b",".join(members)


def prompt_fields(fields: Fields, messages: Sequence[bytes]) -> bytes:
    """Return only those members for the engine that make the prompt; raise InvalidParameter."""
    try:
        return b",".join([b'"messages":[%b]' % b",".join(messages), *_tool_members(fields)])
    except msgspec.ValidationError as error:
        raise InvalidParameter(str(error)) from error


def _tool_members(fields: Fields) -> list[bytes]:
    tools = [tool for tool in _tools(fields) if tool.type in _CALLED]
    if not tools:
        return []
    choice = fields.get("tool_choice")
    told = b""
    if choice is not None and bytes(choice) != _NULL:
        decoded = msgspec.json.decode(choice, type=str | _Choice)
        if isinstance(decoded, str):
            told = bytes(choice)
        elif decoded.type == "allowed_tools":
            allowed = {tool.name for tool in decoded.tools}
            tools = [tool for tool in tools if tool.name in allowed]
            told = _encode(decoded.mode)
        elif decoded.name is None:
            raise InvalidParameter(f"'tool_choice' of type '{decoded.type}' names no tool")
        else:
            told = _encode({"type": "function", "function": {"name": decoded.name}})
    members = [b'"tools":[%b]' % b",".join(map(_chat_tool, tools))] if tools else []
    return [*members, b'"tool_choice":' + told] if tools and told else members


_CALLED = frozenset({"function", "custom"})
"""The types of tools whose calls go back to the client; nobody here runs the others."""


def _tools(fields: Fields) -> list[_Tool]:
    raw = fields.get("tools")
    return (msgspec.json.decode(raw, type=list[_Tool] | None) if raw else None) or []


def custom_tools(fields: Fields) -> frozenset[str]:
    """Return the names of the tools that take a text instead of a function's arguments."""
    if b"custom" not in bytes(fields.get("tools") or b""):
        return frozenset()
    return frozenset(tool.name for tool in _tools(fields) if tool.type == "custom")


_ONE_TEXT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
"""How an engine that knows only functions is told of a custom tool."""


def _chat_tool(tool: _Tool) -> bytes:
    inner: dict[str, object] = {"name": tool.name}
    description = tool.description
    if tool.type == "custom":
        inner["parameters"] = _ONE_TEXT
        description = "\n\n".join(filter(None, [description, _grammar(tool)])) or None
    elif given(tool.parameters):
        inner["parameters"] = tool.parameters
    if description is not None:
        inner["description"] = description
    if tool.strict is not None:
        inner["strict"] = tool.strict
    return _encode({"type": "function", "function": inner})


def _grammar(tool: _Tool) -> str:
    """Return what a custom tool says of its input, in words; an engine cannot be held to it."""
    if not given(tool.format):
        return ""
    shape = msgspec.json.decode(tool.format, type=_CustomFormat)
    if not shape.definition:
        return ""
    return f"The input keeps to this {shape.syntax} grammar:\n{shape.definition}"


def _logprob_members(fields: Fields) -> list[bytes]:
    raw = fields.get("include")
    include = msgspec.json.decode(raw, type=list[str] | None) if raw else None
    top = fields.get("top_logprobs")
    count = msgspec.json.decode(top, type=int | None) if top else None
    if _LOGPROBS not in (include or ()) and not count:
        return []
    return [b'"logprobs":true', *([b'"top_logprobs":%d' % count] if count else [])]


def _format_members(fields: Fields) -> list[bytes]:
    members = []
    raw_text = fields.get("text")
    text = msgspec.json.decode(raw_text, type=_Text | None) if raw_text else None
    if text is not None and text.format is not None and text.format.type != "text":
        shape = text.format
        response_format: dict[str, object] = {"type": shape.type}
        if shape.type == "json_schema":
            schema: dict[str, object] = {"name": shape.name}
            if given(shape.schema):
                schema["schema"] = shape.schema
            if shape.strict is not None:
                schema["strict"] = shape.strict
            if shape.description is not None:
                schema["description"] = shape.description
            response_format["json_schema"] = schema
        members.append(b'"response_format":' + _encode(response_format))
    if text is not None and text.verbosity is not None:
        members.append(b'"verbosity":' + _encode(text.verbosity))
    raw_reasoning = fields.get("reasoning")
    if raw_reasoning:
        reasoning = msgspec.json.decode(raw_reasoning, type=_Reasoning | None)
        if reasoning is not None and reasoning.effort is not None:
            members.append(b'"reasoning_effort":' + _encode(reasoning.effort))
    return members


_ECHO_DEFAULTS: dict[str, bytes] = {
    "instructions": _NULL,
    "max_output_tokens": _NULL,
    "max_tool_calls": _NULL,
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "presence_penalty": b"0",
    "frequency_penalty": b"0",
    "previous_response_id": _NULL,
    "prompt_cache_key": _NULL,
    "reasoning": b'{"effort":null,"summary":null}',
    "safety_identifier": _NULL,
    "service_tier": b'"default"',
    "store": b"true",
    "background": b"false",
    "temperature": b"1.0",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_logprobs": b"0",
    "top_p": b"1.0",
    "truncation": b'"disabled"',
    "user": _NULL,
}


def response_echo(fields: Fields, model: str, conversation_id: str | None) -> bytes:
    """Return the parameters a Response repeats: every member OpenAI says must be present."""
    given_members = {name: fields[name] for name in fields if name in _ECHO_DEFAULTS}
    told = tuple(name for name, value in given_members.items() if given(value))
    conversation = {"id": conversation_id} if conversation_id else None
    members = [
        _member("model", _encode(model)),
        *(_member(name, bytes(given_members[name])) for name in told),
        _echo_defaults(told),
        _member("conversation", _encode(conversation)),
    ]
    return b",".join(filter(None, members))


@lru_cache(maxsize=1024)  # clients name the same few parameters every time
def _echo_defaults(told: tuple[str, ...]) -> bytes:
    """Return the members a request did not name."""
    defaults = [_member(name, value) for name, value in _ECHO_DEFAULTS.items() if name not in told]
    return b",".join(defaults)
