"""One output item of a response while it is being said, and the events that tell of it."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from axon.turns.said import SaidCall, Token

_encode = msgspec.json.encode

Event = tuple[str, bytes]
"""An event's type and its JSON members, without braces, type and sequence number."""


class _Kind(NamedTuple):
    """How an item of one kind is named in ids and events."""

    prefix: str
    part: str
    delta: str
    member: str


KINDS = {
    "text": _Kind("msg", "output_text", "response.output_text", "text"),
    "refusal": _Kind("msg", "refusal", "response.refusal", "refusal"),
    "reasoning": _Kind("rs", "reasoning_text", "response.reasoning_text", "text"),
    "function_call": _Kind("fc", "", "response.function_call_arguments", "arguments"),
    "custom_tool_call": _Kind("ctc", "", "response.custom_tool_call_input", "input"),
}
CALLS = frozenset({"function_call", "custom_tool_call"})


class _Custom(msgspec.Struct):
    """The arguments of a custom tool's call: engines know it as a function of one text."""

    input: str


def _custom_input(arguments: str) -> str:
    """Return the text a custom tool is called with; what is no such call is passed on whole."""
    try:
        return msgspec.json.decode(arguments, type=_Custom).input
    except (msgspec.DecodeError, RecursionError):
        return arguments


class Given:
    """An item that is whole from the start: a summary made for the turn."""

    __slots__ = ("_content", "_place", "finished", "fresh", "item_id", "kind")

    def __init__(self, kind: str, item_id: str, place: int, content: bytes) -> None:
        """`content` is the item's JSON without its id."""
        self.kind = kind
        self.item_id = item_id
        self.finished = True
        self.fresh: list[str] = []
        self._content = content
        self._place = place

    def begin(self) -> Iterator[Event]:
        """Yield the events that tell of the item."""
        members = b'"output_index":%d,"item":%b' % (self._place, self.item(""))
        yield "response.output_item.added", members
        yield "response.output_item.done", members

    def tell(self) -> Iterator[Event]:
        """Yield nothing: it does not grow."""
        yield from ()

    def finish(self, status: str) -> Iterator[Event]:
        """Yield nothing: it was finished when it began."""
        yield from ()

    def item(self, status: str, *, started_only: bool = False) -> bytes:
        """Return the item's JSON as the API shows it."""
        return b'{"id":%b,%b' % (_encode(self.item_id), self._content[1:])


class Spoken:
    """An item growing: `pieces` is all of it, `fresh` what no event has told yet."""

    __slots__ = (
        "_kind",
        "_place",
        "_told_probable",
        "_where",
        "call",
        "finished",
        "fresh",
        "item_id",
        "kind",
        "pieces",
        "probable",
    )

    def __init__(self, kind: str, item_id: str, place: int, call: SaidCall | None) -> None:
        """`place` is the item's output_index."""
        self.kind = kind
        self.item_id = item_id
        self.call = call
        self.pieces: list[str] = []
        self.fresh: list[str] = []
        self.probable: list[Token] = []
        """Log probabilities of a text's tokens, when they were asked for."""
        self._told_probable = 0
        self.finished = False
        self._kind = KINDS[kind]
        content = b"" if kind in CALLS else b',"content_index":0'
        self._where = b'"item_id":%b,"output_index":%d%b' % (_encode(item_id), place, content)
        self._place = place

    def add(self, text: str) -> None:
        """Take in the next piece."""
        self.pieces.append(text)
        self.fresh.append(text)

    def begin(self) -> Iterator[Event]:
        """Yield the events that introduce the item."""
        item = self.item("in_progress", started_only=True)
        yield "response.output_item.added", b'"output_index":%d,"item":%b' % (self._place, item)
        if self._kind.part:
            yield "response.content_part.added", self._where + b',"part":' + self._part("")

    def tell(self) -> Iterator[Event]:
        """Yield one delta event for everything fresh."""
        if self.fresh and self.kind != "custom_tool_call":
            yield self._delta("".join(self.fresh))

    def _delta(self, text: str) -> Event:
        self.fresh.clear()
        tail = b""
        if self.kind == "text":
            tail = b',"logprobs":' + _encode(self.probable[self._told_probable :])
            self._told_probable = len(self.probable)
        return self._kind.delta + ".delta", b'%b,"delta":%b%b' % (self._where, _encode(text), tail)

    @property
    def text(self) -> str:
        """Return all that was said, as the item shows it."""
        said = "".join(self.pieces)
        return _custom_input(said) if self.kind == "custom_tool_call" else said

    def finish(self, status: str) -> Iterator[Event]:
        """Yield the rest of the item's events."""
        yield from self.tell()
        text = self.text
        if self.fresh:  # of a custom tool's call: its text is known once it is whole
            yield self._delta(text)
        members = b'%b,"%b":%b' % (self._where, self._kind.member.encode(), _encode(text))
        if self.kind == "text":
            members += b',"logprobs":' + _encode(self.probable)
        elif self.kind == "function_call" and self.call is not None:
            members += b',"name":' + _encode(self.call.name)
        yield self._kind.delta + ".done", members
        if self._kind.part:
            part = self._part(text)
            yield "response.content_part.done", self._where + b',"part":' + part
        item = self.item(status)
        yield "response.output_item.done", b'"output_index":%d,"item":%b' % (self._place, item)

    def _part(self, text: str) -> bytes:
        if self.kind == "text":
            return b'{"type":"output_text","text":%b,"annotations":[],"logprobs":%b}' % (
                _encode(text),
                _encode(self.probable),
            )
        member = self._kind.member.encode()
        return b'{"type":"%b","%b":%b}' % (self._kind.part.encode(), member, _encode(text))

    def item(self, status: str, *, started_only: bool = False) -> bytes:
        """Return the item's JSON as the API shows it."""
        identity = b'{"id":%b,' % _encode(self.item_id)
        ending = b',"status":%b}' % _encode(status)
        text = "" if started_only else self.text
        if self.call is not None:
            return b'%b"type":"%b","call_id":%b,"name":%b,"%b":%b%b' % (
                identity,
                self.kind.encode(),
                _encode(self.call.call_id),
                _encode(self.call.name),
                self._kind.member.encode(),
                _encode(text),
                ending,
            )
        content = b"" if started_only else self._part(text)
        if self.kind == "reasoning":
            return b'%b"type":"reasoning","summary":[],"content":[%b]%b' % (
                identity,
                content,
                ending,
            )
        return b'%b"type":"message","role":"assistant","content":[%b]%b' % (
            identity,
            content,
            ending,
        )
