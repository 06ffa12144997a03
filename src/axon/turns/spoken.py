"""One output item of a response while it is being said, and the events that tell of it."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from axon.turns.said import SaidCall

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
}


class Spoken:
    """An item growing: `pieces` is all of it, `fresh` what no event has told yet."""

    __slots__ = (
        "_kind",
        "_place",
        "_where",
        "call",
        "finished",
        "fresh",
        "item_id",
        "kind",
        "pieces",
    )

    def __init__(self, kind: str, item_id: str, place: int, call: SaidCall | None) -> None:
        """`place` is the item's output_index."""
        self.kind = kind
        self.item_id = item_id
        self.call = call
        self.pieces: list[str] = []
        self.fresh: list[str] = []
        self.finished = False
        self._kind = KINDS[kind]
        content = b"" if kind == "function_call" else b',"content_index":0'
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
        if self.fresh:
            delta = _encode("".join(self.fresh))
            self.fresh.clear()
            tail = b',"logprobs":[]' if self.kind == "text" else b""
            yield self._kind.delta + ".delta", b'%b,"delta":%b%b' % (self._where, delta, tail)

    def finish(self, status: str) -> Iterator[Event]:
        """Yield the rest of the item's events."""
        yield from self.tell()
        self.finished = True
        text = _encode("".join(self.pieces))
        members = b'%b,"%b":%b' % (self._where, self._kind.member.encode(), text)
        if self.kind == "text":
            members += b',"logprobs":[]'
        elif self.call is not None:
            members += b',"name":' + _encode(self.call.name)
        yield self._kind.delta + ".done", members
        if self._kind.part:
            part = self._part("".join(self.pieces))
            yield "response.content_part.done", self._where + b',"part":' + part
        item = self.item(status)
        yield "response.output_item.done", b'"output_index":%d,"item":%b' % (self._place, item)

    def _part(self, text: str) -> bytes:
        if self.kind == "text":
            return b'{"type":"output_text","text":%b,"annotations":[],"logprobs":[]}' % _encode(
                text
            )
        member = self._kind.member.encode()
        return b'{"type":"%b","%b":%b}' % (self._kind.part.encode(), member, _encode(text))

    def item(self, status: str, *, started_only: bool = False) -> bytes:
        """Return the item's JSON as the API shows it."""
        identity = b'{"id":%b,' % _encode(self.item_id)
        ending = b',"status":%b}' % _encode(status)
        text = "" if started_only else "".join(self.pieces)
        if self.call is not None:
            return b'%b"type":"function_call","call_id":%b,"name":%b,"arguments":%b%b' % (
                identity,
                _encode(self.call.call_id),
                _encode(self.call.name),
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
