"""Reading the members of a request body: typed, bounded, and refused in OpenAI's words."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from axon.gateway.problem import RequestRefused, refuse
from axon.turns import Fields

T = TypeVar("T")

METADATA_PAIRS_MAX = 16
METADATA_KEY_CHARS_MAX = 64
METADATA_VALUE_CHARS_MAX = 512
"""OpenAI's bounds of `metadata`."""

Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Text = Annotated[str, Meta(max_length=512)]


class ChatPart(msgspec.Struct):
    """What every part of a message's content must have."""

    type: str


class ChatMessage(msgspec.Struct):
    """What every chat message must have; the engine reads the rest."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ChatPart] | None = None


class StreamOptions(msgspec.Struct):
    """Options of a streamed chat completion."""

    include_usage: bool | None = None


class ConversationName(msgspec.Struct):
    """A conversation given as an object."""

    id: str


class ContextManagement(msgspec.Struct):
    """What to do with a history that grows too long."""

    type: str
    compact_threshold: Annotated[int, Meta(ge=1000)] | None = None


CHAT_TYPES: dict[str, Any] = {
    "messages": Annotated[list[ChatMessage], Meta(min_length=1)],
    "n": Annotated[int, Meta(ge=1, le=128)],
    "max_tokens": Count,
    "max_completion_tokens": Count,
    "temperature": Temperature,
    "top_p": Share,
    "presence_penalty": Penalty,
    "frequency_penalty": Penalty,
    "tools": list[dict[str, msgspec.Raw]],
    "stop": str | list[str],
    "seed": Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)],
    "user": Text,
    "logprobs": bool,
    "top_logprobs": Annotated[int, Meta(ge=0, le=20)],
    "parallel_tool_calls": bool,
    "response_format": dict[str, msgspec.Raw],
    "store": bool,
}

COMPLETIONS_TYPES: dict[str, Any] = {
    "n": Annotated[int, Meta(ge=1, le=128)],
    "best_of": Annotated[int, Meta(ge=1, le=128)],
    "max_tokens": Annotated[int, Meta(ge=0, le=2**31 - 1)],
    "temperature": Temperature,
    "top_p": Share,
    "presence_penalty": Penalty,
    "frequency_penalty": Penalty,
    "stop": str | list[str],
    "seed": Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)],
    "user": Text,
    "echo": bool,
    "logprobs": Annotated[int, Meta(ge=0, le=20)],
    "suffix": str,
}

EMBEDDINGS_TYPES: dict[str, Any] = {
    "dimensions": Count,
    "encoding_format": Literal["float", "base64"],
    "user": Text,
}

RESPONSES_TYPES: dict[str, Any] = {
    "temperature": Temperature,
    "top_p": Share,
    "presence_penalty": Penalty,
    "frequency_penalty": Penalty,
    "tools": list[dict[str, msgspec.Raw]],
    "parallel_tool_calls": bool,
    "max_tool_calls": Count,
    "max_output_tokens": Count,
    "text": dict[str, msgspec.Raw],
    "reasoning": dict[str, msgspec.Raw],
    "top_logprobs": Annotated[int, Meta(ge=0, le=20)],
    "prompt_cache_key": str,
    "include": list[str],
    "user": Text,
}
Decoder = msgspec.json.Decoder[Any]


def _decoders(members: dict[str, Any]) -> dict[str, Decoder]:
    return {name: msgspec.json.Decoder(wanted | None) for name, wanted in members.items()}


CHAT_MEMBERS = _decoders(CHAT_TYPES)
RESPONSES_MEMBERS = _decoders(RESPONSES_TYPES)
COMPLETIONS_MEMBERS = _decoders(COMPLETIONS_TYPES)
EMBEDDINGS_MEMBERS = _decoders(EMBEDDINGS_TYPES)
"""The members checked for their type; what is not listed passes on untouched."""


@cache
def _decoder(wanted: Any) -> Decoder:
    return msgspec.json.Decoder(wanted | None)


def member(fields: Fields, name: str, wanted: type[T]) -> T | None:
    """Return a member, None when absent or null; refuse one of another type."""
    raw = fields.get(name)
    if raw is None:
        return None
    kind: Any = wanted
    try:
        value: T | None = _decoder(kind).decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _wrong(name, str(error)) from error
    return value


def required(fields: Fields, name: str, wanted: type[T]) -> T:
    """Return a member that must be there."""
    value = member(fields, name, wanted)
    if value is None:
        message = f"Missing required parameter: '{name}'."
        raise refuse(message, param=name, code="missing_required_parameter")
    return value


def check(fields: Fields, members: Mapping[str, Decoder]) -> None:
    """Refuse the request when one of these members is of a wrong type or out of range."""
    for name, raw in fields.items():
        decoder = members.get(name)
        if decoder is not None:
            try:
                decoder.decode(raw)
            except (msgspec.DecodeError, RecursionError) as error:
                raise _wrong(name, str(error)) from error


def metadata(fields: Fields) -> dict[str, str] | None:
    """Return the metadata, within OpenAI's bounds."""
    pairs = member(fields, "metadata", dict[str, str])
    return None if pairs is None else bounded_metadata(pairs)


def bounded_metadata(pairs: dict[str, str]) -> dict[str, str]:
    """Return the pairs; refuse them beyond OpenAI's bounds."""
    if len(pairs) > METADATA_PAIRS_MAX:
        message = f"Invalid 'metadata': too many properties (at most {METADATA_PAIRS_MAX})."
        raise refuse(message, param="metadata", code="object_above_max_properties")
    for key, value in pairs.items():
        if "\0" in key or "\0" in value:
            message = "Invalid 'metadata': the character U+0000 cannot be stored."
            raise refuse(message, param="metadata", code="invalid_value")
        if len(key) > METADATA_KEY_CHARS_MAX or len(value) > METADATA_VALUE_CHARS_MAX:
            message = (
                f"Invalid 'metadata': keys have at most {METADATA_KEY_CHARS_MAX} and values at "
                f"most {METADATA_VALUE_CHARS_MAX} characters."
            )
            raise refuse(message, param="metadata", code="string_above_max_length")
    return pairs


_PATH = re.compile(r" - at `\$(?P<path>.*)`$")


def _wrong(name: str, detail: str) -> RequestRefused:
    """Return the refusal for msgspec's complaint, its JSON path turned into OpenAI's `param`."""
    found = _PATH.search(detail)
    param = name + (found.group("path") if found else "")
    reason = _PATH.sub("", detail).replace("`", "'")
    kind = "invalid_type" if ", got " in reason else "invalid_value"
    return refuse(f"Invalid value for '{param}': {reason}.", param=param, code=kind)
