"""Cuts a byte stream at the ends of server-sent events.

An event ends at a blank line (https://html.spec.whatwg.org/multipage/server-sent-events.html);
a line ends in LF, CRLF or CR, so the ends of events are LF LF, CRLF CRLF and CR CR.
"""

from axon.base import MIB
from axon.inference.errors import AnswerTooLarge

EVENT_BYTES_MAX = 4 * MIB
"""An event of a chat stream is some hundred bytes; one with a whole tool argument or log
probabilities is some ten thousand. More than this held back means that no event will end."""

_REACH = 3
"""Bytes of an end (CR LF CR LF) that may have arrived before its last one."""


class EventSplitter:
    """Holds back the event that has not yet ended, and passes everything before it on."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        """Start at the beginning of a stream."""
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Return all events complete by now, unchanged and in one piece; empty when there is none.

        Raises AnswerTooLarge when an unfinished event passes EVENT_BYTES_MAX.
        """
        held = self._held
        if not held and data.endswith(b"\n\n"):
            return data  # nearly every read ends like this
        reach = bytes(held[-_REACH:])
        end = _last_end(reach + data) - len(reach)
        events = b""
        if end > 0:
            held += data[:end]
            events = bytes(held)
            held.clear()
            data = data[end:]
        held += data
        if len(held) > EVENT_BYTES_MAX:
            raise AnswerTooLarge(f"an event of more than {EVENT_BYTES_MAX} bytes")
        return events

    def finish(self) -> bytes:
        """Return what was held when the answer ended well, as a complete event, or empty.

        Some servers leave out the last blank line.
        """
        held = bytes(self._held).strip(b"\r\n")
        self._held.clear()
        return held + b"\n\n" if held else b""


def _last_end(data: bytes) -> int:
    """Return the place after the last blank line, 0 when there is none."""
    end = 0
    for blank in (b"\n\n", b"\r\n\r\n", b"\r\r"):
        place = data.rfind(blank, max(0, end - len(blank)))
        if place >= 0:
            end = max(end, place + len(blank))
    return end
