"""The messages of flagd.sync.v1, in Protocol Buffers' wire format.

They are two strings in a request and one in an answer, which needs no generated code. Source:
flagd's flagd/sync/v1/sync.proto, and the encoding guide of Protocol Buffers.
"""

from axon.base import KIB, AxonError

SERVICE = "flagd.sync.v1.FlagSyncService"
STREAM, FETCH = "SyncFlags", "FetchAllFlags"

REQUEST_BYTES_MAX = 4 * KIB
"""A provider's name and a selector; more is none of theirs."""

_SELECTOR = 2
_LENGTH_DELIMITED, _VARINT, _FIXED64, _FIXED32 = 2, 0, 1, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BYTES_MAX = 10


class RequestInvalid(AxonError):
    """The message is not a request of flagd.sync.v1."""


def selector_of(request: bytes) -> str:
    """Return what a SyncFlagsRequest or FetchAllFlagsRequest selects, usually ""."""
    selector, place = b"", 0
    if len(request) > REQUEST_BYTES_MAX:
        raise RequestInvalid
    while place < len(request):
        tag, place = _varint(request, place)
        kind = tag & 7
        if kind == _VARINT:
            _, place = _varint(request, place)
            continue
        if kind == _LENGTH_DELIMITED:
            size, place = _varint(request, place)
        elif kind in _FIXED_BYTES:
            size = _FIXED_BYTES[kind]
        else:
            raise RequestInvalid
        value, place = request[place : place + size], place + size
        if place > len(request):
            raise RequestInvalid
        if tag >> 3 == _SELECTOR and kind == _LENGTH_DELIMITED:
            selector = value
    try:
        return selector.decode()
    except UnicodeDecodeError as error:
        raise RequestInvalid from error


def answer_of(document: bytes) -> bytes:
    """Return the SyncFlagsResponse or FetchAllFlagsResponse that says a document of flags."""
    size, head = len(document), bytearray([1 << 3 | _LENGTH_DELIMITED])
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + document


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Return the number at a place, and the place behind it."""
    value = 0
    for shift, byte in enumerate(content[place : place + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, place + shift + 1
    raise RequestInvalid
