"""The ids of traces: read from a client's `traceparent`, told to an engine, made where none came.

W3C Trace Context. Which traces are kept is decided by their id alone, so that every process, and
whoever else samples in this way, decides the same.
"""

import hashlib
import re
import zlib

TRACE_BYTES = 16
_WITH_PARENT_BYTES = 25
"""Trace, span and flags."""

_FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_FROM_CLIENT_CHARS_MAX = 256
_ALL = 1 << 32


def read_traceparent(header: bytes | None) -> bytes:
    """Return the trace's id, the client's span and its flags, 25 bytes; none if the header is not
    as W3C wants it, as if there were no header."""
    if header is None or len(header) > _FROM_CLIENT_CHARS_MAX:
        return b""
    found = _FORM.fullmatch(header)
    if found is None or found[1] == b"ff" or (found[1] == b"00" and found[5]):
        return b""
    trace = bytes.fromhex((found[2] + found[3] + found[4]).decode())
    if not any(trace[:TRACE_BYTES]) or not any(trace[TRACE_BYTES:-1]):
        return b""
    return trace


def trace_id(trace: bytes) -> str:
    """Return the id as log lines and traces have it, in hexadecimal."""
    return trace[:TRACE_BYTES].hex()


def parent_span(trace: bytes) -> str:
    """Return the client's span in hexadecimal; empty where the trace began here."""
    return trace[TRACE_BYTES:-1].hex() if len(trace) == _WITH_PARENT_BYTES else ""


def span_id(of: str, name: str) -> bytes:
    """Return the id of a span: always the same for one step of one turn."""
    return hashlib.blake2b(of.encode(), digest_size=8, person=name.encode()).digest()


def is_sampled(trace: bytes, ratio: float) -> bool:
    """Return whether the trace is among the `ratio` of all that are kept whatever happens."""
    return zlib.crc32(trace[:TRACE_BYTES]) < ratio * _ALL


def traceparent(trace: bytes, span: bytes, ratio: float | None) -> bytes:
    """Return the header for an engine that is asked within `span`.

    Without a ratio nobody makes spans here, and what the client said is passed on, if it did.
    """
    if ratio is not None:
        flags = is_sampled(trace, ratio)
        return b"00-%b-%b-%02x" % (trace[:TRACE_BYTES].hex().encode(), span.hex().encode(), flags)
    if len(trace) < _WITH_PARENT_BYTES:
        return b""
    whole = trace.hex()
    return f"00-{whole[:32]}-{whole[32:48]}-{whole[48:]}".encode()
