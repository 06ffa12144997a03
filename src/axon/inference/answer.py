"""Collects one upstream's answer: a stream cut into events, a whole body, or an error."""

from typing import Protocol

from axon.base import KIB, MIB
from axon.inference.errors import AnswerBroken, AnswerTooLarge
from axon.inference.sse import EventSplitter

WHOLE_BYTES_MAX = 16 * MIB
"""An unstreamed answer; a record of the journal holds no more either."""

STREAM_BYTES_MAX = 256 * MIB
"""A streamed answer: a quarter of a kilobyte for each of a million model tokens."""

ERROR_BYTES_MAX = 64 * KIB
"""What is kept of an error's body; the rest is not read."""


class Answer(Protocol):
    """How a body is read, depending on what was asked for."""

    def feed(self, data: bytes) -> bytes:
        """Take what one read brought; return events to show now, else nothing.

        Raises AnswerTooLarge or AnswerBroken.
        """
        ...

    def finish(self, certain: bool) -> bytes:
        """Return what is to be shown at the end; raise AnswerBroken when it is not the end.

        `certain` is False when only the closed connection marks it.
        """
        ...


class StreamedAnswer:
    """Events, shown as they come."""

    __slots__ = ("_last", "_size", "_splitter")

    def __init__(self) -> None:
        """Start before the first byte."""
        self._splitter = EventSplitter()
        self._size = 0
        self._last = b""

    def feed(self, data: bytes) -> bytes:
        """Return the events complete by now."""
        self._size += len(data)
        if self._size > STREAM_BYTES_MAX:
            raise AnswerTooLarge(f"a stream of more than {STREAM_BYTES_MAX} bytes")
        events = self._splitter.feed(data)
        if events:
            self._last = events
        return events

    def finish(self, certain: bool) -> bytes:
        """Return an event that lacked only its blank line."""
        rest = self._splitter.finish()
        if not certain and not (rest or self._last).rstrip().endswith(b"data: [DONE]"):
            raise AnswerBroken("the connection was closed before the stream ended")
        return rest


class WholeAnswer:
    """A JSON body, shown at the end."""

    __slots__ = ("_chunks", "_size")

    def __init__(self) -> None:
        """Start before the first byte."""
        self._chunks: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """Keep the bytes; show nothing yet."""
        self._size += len(data)
        if self._size > WHOLE_BYTES_MAX:
            raise AnswerTooLarge(f"a body of more than {WHOLE_BYTES_MAX} bytes")
        self._chunks.append(data)
        return b""

    def finish(self, certain: bool) -> bytes:
        """Return the body; a closed connection alone does not prove that it is whole."""
        if not certain:
            raise AnswerBroken("the connection was closed, and the body had no length")
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
