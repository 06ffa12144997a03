"""What the audit keeps of a turn's records: the sealed parts, and what their seals are bound to."""

import msgspec

from axon.records import (
    SealedItem,
    TurnAccepted,
    TurnCompleted,
    TurnInterrupted,
)


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """What was asked, as it was accepted."""

    conversation_id: str
    """Part of what the seals are bound to, and of this record: the end may name another."""
    request: bytes
    steering: bytes


class Said(msgspec.Struct, frozen=True, array_like=True):
    """What was said, as the turn ended."""

    conversation_id: str
    input: list[SealedItem]
    output: list[SealedItem]
    answer: bytes


_encoder = msgspec.msgpack.Encoder()
_asked = msgspec.msgpack.Decoder(Asked)
_said = msgspec.msgpack.Decoder(Said)


def asked_of(record: TurnAccepted) -> bytes:
    """Return what is kept of an acceptance."""
    return _encoder.encode(Asked(record.head.conversation_id, record.request, record.steering))


def said_of(record: TurnCompleted | TurnInterrupted) -> bytes:
    """Return what is kept of an end; the input of a chat completion is its request."""
    given = [] if record.head.surface == "chat" else record.input
    return _encoder.encode(Said(record.head.conversation_id, given, record.output, record.answer))


def read_asked(kept: bytes) -> Asked:
    """Return what was asked, sealed."""
    return _asked.decode(kept)


def read_said(kept: bytes) -> Said:
    """Return what was said, sealed."""
    return _said.decode(kept)


def variants_of(record: TurnAccepted | TurnCompleted | TurnInterrupted) -> list[str]:
    """Return which variants the turn had, as flag:variant."""
    return [f"{one.flag}:{one.variant}" for one in record.assignments if one.variant]
