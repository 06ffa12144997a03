"""The chat-completions wire format as engines send it: one strict reading, many tolerated quirks.

Source: OpenAI's API reference for chat completions and what vLLM, TGI and llama.cpp send.
"""

import re
from typing import Annotated

import msgspec

from axon.records import TokenUsage

ABSENT = msgspec.Raw()
"""Stands for a raw member that is not there: msgspec knows no optional Raw."""


def given(raw: msgspec.Raw) -> bool:
    """Return whether a raw member is there and not null."""
    return bytes(raw) not in (b"", b"null")


class FunctionPart(msgspec.Struct, gc=False):
    """A piece of a function call: its name at first, then its arguments bit by bit."""

    name: str | None = None
    arguments: str | None = None


class ToolCallPart(msgspec.Struct, gc=False):
    """A piece of the tool call number `index`."""

    index: int | None = None
    id: str | None = None
    function: FunctionPart | None = None


class MessagePart(msgspec.Struct, gc=False):
    """A delta of a streamed message, or a whole message of an unstreamed answer."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallPart] | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the `n` answers."""

    index: int = 0
    delta: MessagePart | None = None
    message: MessagePart | None = None
    text: str | None = None
    """What a choice of a legacy completion says."""
    finish_reason: str | None = None
    logprobs: msgspec.Raw = ABSENT


Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""No engine counts further, and PostgreSQL's integer does not either."""


class InputDetails(msgspec.Struct, gc=False):
    """How much of the input the engine had in its cache, and how much it put there."""

    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    cache_creation_tokens: Count | None = None
    """The same, as LiteLLM says it."""


_NO_DETAILS = InputDetails()


class OutputDetails(msgspec.Struct, gc=False):
    """How much of the output was reasoning."""

    reasoning_tokens: Count | None = None


class Usage(msgspec.Struct, gc=False):
    """What the engine counted."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    """Anthropic's names, as proxies relay them; both are part of `prompt_tokens` there."""

    def token_usage(self) -> TokenUsage:
        """Return the same as a record keeps it."""
        details = self.prompt_tokens_details or _NO_DETAILS
        thought = self.completion_tokens_details and self.completion_tokens_details.reasoning_tokens
        return TokenUsage(
            input_tokens=self.prompt_tokens or 0,
            cached_tokens=details.cached_tokens or self.cache_read_input_tokens or 0,
            output_tokens=self.completion_tokens or 0,
            reasoning_tokens=thought or 0,
            cache_write_tokens=details.cache_write_tokens
            or details.cache_creation_tokens
            or self.cache_creation_input_tokens
            or 0,
        )


class Completion(msgspec.Struct, gc=False):
    """A chunk of a stream, or a whole answer."""

    id: str = ""
    model: str = ""
    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: msgspec.Raw = ABSENT


class BrokenUpstream(Exception):
    """The engine sent something that is not a chat completion."""


DONE = b"[DONE]"
_decoder = msgspec.json.Decoder(Completion)


def read_completion(data: bytes) -> Completion:
    """Return the completion or chunk in `data`; raise BrokenUpstream when it is none."""
    try:
        completion = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenUpstream(str(error)) from error
    if given(completion.error):
        raise BrokenUpstream(f"the engine reported: {bytes(completion.error)[:500]!r}")
    return completion


def split_events(data: bytes) -> list[bytes]:
    """Return the `data` field of each event in a run of complete SSE events, comments left out.

    The format is WHATWG's server-sent events; engines send one `data` line an event.
    """
    lines = data.split(b"\n") if b"\r" not in data else data.splitlines()
    return [line[5:].strip() for line in lines if line.startswith(b"data:")]


class Relabel:
    """Puts our id and the client's model name where the engine wrote its own.

    The engine's bytes are relayed as they are but for these two members. In JSON an unescaped
    quote cannot stand inside a string, so the text `"id":"..."` is always a member, never content.
    """

    __slots__ = ("_id", "_model", "_pairs", "_theirs")

    def __init__(self, turn_id: str, model: str) -> None:
        """`turn_id` and `model` are what the client shall read."""
        self._id = msgspec.json.encode(turn_id)
        self._model = msgspec.json.encode(model)
        self._theirs = ("", "")
        self._pairs: list[tuple[bytes, bytes]] = []

    def __call__(self, data: bytes, first: Completion) -> bytes:
        """Return `data` relabelled; `first` is the first completion in it."""
        if (first.id, first.model) != self._theirs:
            self._theirs = (first.id, first.model)
            self._pairs = [
                *_member(data, b"id", first.id, self._id),
                *_member(data, b"model", first.model, self._model),
            ]
        for theirs, ours in self._pairs:
            data = data.replace(theirs, ours)
        return data


def _member(data: bytes, name: bytes, value: str, ours: bytes) -> list[tuple[bytes, bytes]]:
    """Return the member as the engine spells it, white space included, beside our own."""
    encoded = msgspec.json.encode(value)
    for between in (b":", b": "):  # compact JSON, and Python's own spelling
        theirs = b'"%b"%b%b' % (name, between, encoded)
        if value and theirs in data:
            return [(theirs, b'"%b"%b%b' % (name, between, ours))]
    found = re.search(rb'"%b"(\s*:\s*)%b' % (name, re.escape(encoded)), data) if value else None
    return [(found.group(0), b'"%b":%b' % (name, ours))] if found else []
