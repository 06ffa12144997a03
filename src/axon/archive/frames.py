"""A conversation as bytes: one zstd frame, so that an object of many is read by any zstd, and one
conversation by one ranged read.

What was said is in it as it was sealed, and compressed before that; the frame saves what stands
around it, the ids and the names of columns' values.
"""

import hashlib

import msgspec
import zstandard

from axon.archive.errors import FrameBroken
from axon.base import MIB
from axon.conversations import ColdContent

FORMAT = 1

LEVEL = 3
"""Sealed content does not compress again: higher levels take longer and save nothing."""

CONTENT_BYTES_MAX = 64 * MIB
"""Of one conversation, uncompressed. It is held in memory to be read; what is larger stays in
PostgreSQL."""


class _Frame(msgspec.Struct, frozen=True, array_like=True):
    format: int
    user: int
    conversation_id: str
    content: ColdContent


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Frame).decode


def encode_frame(user: int, conversation_id: str, content: ColdContent) -> bytes:
    """Return the conversation's frame; takes about a millisecond a MiB."""
    plain = _encode(_Frame(FORMAT, user, conversation_id, content))
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(plain)


def decode_frame(frame: bytes, sha256: bytes, place: tuple[int, str]) -> ColdContent:
    """Return the content of the conversation (user, id); raises FrameBroken for anything else."""
    if checksum(frame) != sha256:
        raise FrameBroken("its checksum is another")
    try:
        plain = zstandard.ZstdDecompressor().decompress(
            frame, max_output_size=2 * CONTENT_BYTES_MAX, allow_extra_data=False
        )
        found = _decode(plain)
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise FrameBroken(str(error)) from error
    if found.format != FORMAT or (found.user, found.conversation_id) != place:
        raise FrameBroken("it is another conversation's")
    return found.content


def checksum(frame: bytes) -> bytes:
    """Return the SHA-256 by which a frame is known."""
    return hashlib.sha256(frame).digest()
