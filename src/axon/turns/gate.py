"""Between the engine and the answer: values put back, and nothing passed on that safety stops.

An engine's chunks are read, their texts led through filters, one for each choice and kind of text,
and written again. A turn for which nothing was hidden and nothing is checked has no gate.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from axon.turns.chunks import DONE, BrokenUpstream, split_events

_TEXTS = ("reasoning_content", "reasoning", "content", "refusal")
"""Members of a delta or a message that are text, in the order in which an answer takes them."""

_ONE_CHOICE = "text"
"""The member of a legacy completion's choice."""

_LEGACY = "text_completion"

_SAID_BYTES_MAX = 4 * 1024 * 1024
"""Of what is kept to be asked about; an answer that is longer cannot be checked."""

FILTERED = "content_filter"


class Filter(Protocol):
    """Changes one text that comes in pieces."""

    @property
    def blocked(self) -> bool:
        """Return whether the answer ends where it is."""
        ...

    def feed(self, piece: str) -> str:
        """Return what can be shown now."""
        ...

    def finish(self) -> str:
        """Return what was held back."""
        ...


class _Channel(NamedTuple):
    """One text of an answer: of which choice, which member, and of which call."""

    choice: int
    member: str
    call: int = -1


class Gate:
    """Stands between the engine and the answer of one turn."""

    def __init__(self, make: Callable[[bool], Filter], *, asks: bool, holds: bool) -> None:
        """`make(in_json)` makes a filter for one text. `asks`: the text is kept to be asked about
        at the end; `holds`: and nothing is shown before."""
        self._make = make
        self._asks = asks
        self._holds = holds
        self._filters: dict[_Channel, Filter] = {}
        self._like: dict[str, Any] = {}
        self._held: list[bytes] = []
        self._said: dict[_Channel, list[str]] = {}
        self._said_bytes = 0
        self._seen: set[int] = set()
        self._ended: set[int] = set()
        self.closed = False
        """Whether the answer has ended here, whatever else the engine says."""

    @property
    def said(self) -> str | None:
        """Return all that was said, to be asked about; None when it was too much."""
        return (
            None
            if self._said_bytes > _SAID_BYTES_MAX
            else "\n".join("".join(pieces) for pieces in self._said.values())
        )

    def feed(self, data: bytes) -> bytes:
        """Return the engine's events as they may be shown; raise BrokenUpstream."""
        if self.closed:
            return b""
        parts = []
        for event in split_events(data):
            parts.append(self._event(event))
            if self._has_closed():
                break
        shown = b"".join(parts)
        if self._holds:
            self._held.append(shown)
            return b""
        return shown

    def _has_closed(self) -> bool:
        return self.closed

    def release(self) -> bytes:
        """Return what was held."""
        held, self._held, self._holds = b"".join(self._held), [], False
        return held

    def stop(self) -> bytes:
        """Return an end without anything that was held: the answer was stopped."""
        self._held.clear()
        self._holds = False
        return self._ended_here(self._seen)

    def whole(self, data: bytes) -> bytes:
        """Return an unstreamed answer as it may be shown; raise BrokenUpstream."""
        read = _read(data)
        for choice in _choices(read):
            self._pass(choice, choice.get("message"), ends=True)
        return msgspec.json.encode(read)

    def stopped(self, data: bytes) -> bytes:
        """Return an unstreamed answer without what it says."""
        read = _read(data)
        for choice in _choices(read):
            if isinstance(choice.get("message"), dict):
                choice["message"] = {"role": "assistant", "content": None, "refusal": None}
            else:
                choice[_ONE_CHOICE] = ""
            choice["finish_reason"] = FILTERED
            choice.pop("logprobs", None)
        return msgspec.json.encode(read)

    def _event(self, event: bytes) -> bytes:
        if event == DONE:
            rest = self._flushed([*self._filters])
            return rest if self.closed else rest + _sse(DONE)
        read = _read(event)
        self._like = {name: read[name] for name in ("id", "object", "created", "model")
                      if name in read}  # fmt: skip
        before = b""
        for choice in _choices(read):
            index = _number(choice.get("index"))
            self._seen.add(index)
            delta = choice.get("delta")
            present = {channel for channel, _ in _pieces(choice, delta)}
            ends = choice.get("finish_reason") is not None
            if present or ends:
                before += self._flushed(
                    [one for one in self._filters if one.choice == index and one not in present]
                )
            if self.closed:
                return before
            self._pass(choice, delta, ends=ends)
            if ends:
                self._ended.add(index)
        shown = before + _sse(msgspec.json.encode(read))
        if any(one.blocked for one in self._filters.values()):
            return shown + self._ended_here(self._seen - self._ended)
        return shown

    def _pass(self, choice: dict[str, Any], said: Any, *, ends: bool) -> None:
        """Lead every text of a choice through its filter; `ends`: it is the last of it."""
        for channel, place in _pieces(choice, said):
            piece = place[channel.member]
            self._keep(channel, piece)
            one = self._filters.get(channel)
            if one is None:
                one = self._filters[channel] = self._make(channel.call >= 0)
            place[channel.member] = one.feed(piece) + (one.finish() if ends else "")
            if one.blocked and ends:
                choice["finish_reason"] = FILTERED
        if choice.get("logprobs") is not None:
            choice["logprobs"] = None  # they are of what the engine said, not of what is shown

    def _keep(self, channel: _Channel, piece: str) -> None:
        if self._asks:
            self._said_bytes += len(piece)
            if self._said_bytes <= _SAID_BYTES_MAX:
                self._said.setdefault(channel, []).append(piece)

    def _flushed(self, channels: list[_Channel]) -> bytes:
        """Return what filters held, each as a chunk of its own: their texts are over."""
        shown = b""
        for channel in channels:
            one = self._filters.pop(channel)
            text = one.finish()
            if text:
                shown += self._chunk(channel.choice, _delta(channel, text))
            if one.blocked:
                return shown + self._ended_here(self._seen - self._ended)
        return shown

    def _ended_here(self, choices: set[int]) -> bytes:
        """Return the events that end these choices, and the answer."""
        self.closed = True
        said: dict[str, Any] = (
            {"text": ""} if self._like.get("object") == _LEGACY else {"delta": {}}
        )
        ends = [
            self._chunk(index, {**said, "finish_reason": FILTERED}) for index in sorted(choices)
        ]
        return b"".join([*ends, _sse(DONE)])

    def _chunk(self, index: int, members: dict[str, Any]) -> bytes:
        choice = {"index": index, "finish_reason": None, **members}
        return _sse(msgspec.json.encode({**self._like, "choices": [choice]}))


def _read(data: bytes) -> dict[str, Any]:
    try:
        read = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenUpstream(str(error)) from error
    if not isinstance(read, dict):
        raise BrokenUpstream("no object")
    return read


def _choices(read: dict[str, Any]) -> list[dict[str, Any]]:
    choices = read.get("choices")
    return [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []


def _pieces(choice: dict[str, Any], said: Any) -> list[tuple[_Channel, dict[str, Any]]]:
    """Return where texts stand in a choice, in the order in which they are taken."""
    index, found = _number(choice.get("index")), []
    if choice.get(_ONE_CHOICE) and isinstance(choice[_ONE_CHOICE], str):
        found.append((_Channel(index, _ONE_CHOICE), choice))
    if not isinstance(said, dict):
        return found
    found += [
        (_Channel(index, member), said)
        for member in _TEXTS
        if said.get(member) and isinstance(said[member], str)
    ]
    calls = said.get("tool_calls")
    for place, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            number = call.get("index")
            which = place if number is None else _number(number)
            found.append((_Channel(index, "arguments", which), function))
    return found


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _delta(channel: _Channel, text: str) -> dict[str, Any]:
    if channel.member == _ONE_CHOICE:
        return {"text": text}
    if channel.call < 0:
        return {"delta": {channel.member: text}}
    call = {"index": channel.call, "function": {"arguments": text}}
    return {"delta": {"tool_calls": [call]}}


def _sse(data: bytes) -> bytes:
    return b"data: %b\n\n" % data
