"""Seals content: compressed, then AES-256-GCM under a person's data key, bound to its place.

A blob is `u8 format | u8 flags | 16 bytes key id | u32 dictionary id | 12 bytes nonce` (big-endian)
and the ciphertext with its 16 bytes of tag. The header is authenticated together with the context,
so a blob opens only where it was sealed for.
"""

import struct
import threading
from dataclasses import dataclass

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from axon.base import MIB, Randomness
from axon.sealing.errors import ContentTooLarge, SealBroken

KEY_ID_BYTES = 16

CONTENT_BYTES_MAX = 32 * MIB
"""More than any journal entry holds; opening never makes more than this of any blob."""

COMPRESS_FROM_BYTES = 2048
"""Below it compression saves a kilobyte at most, and costs 15 microseconds a seal: as much as all
else of it together."""

_COMPRESSION_LEVEL = 1
_FORMAT = 1
_COMPRESSED = 1
_NO_DICTIONARY = 0
_NONCE_BYTES = 12
_HEADER = struct.Struct(f">BB{KEY_ID_BYTES}sI{_NONCE_BYTES}s")
_TAG_BYTES = 16


class _Zstandard(threading.local):
    """zstd contexts are quick when used again and must not be shared between threads."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstandard = _Zstandard()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataKey:
    """A person's key, unwrapped; random nonces allow 2^32 blobs under one (NIST SP 800-38D)."""

    key_id: bytes
    org_id: str
    user: int
    cipher: AESGCM


def item_context(org_id: str, user: int, conversation_id: str, turn_id: str, item_id: str) -> bytes:
    """Return what binds a blob to its place; two places never share one (lengths are inside)."""
    return (
        f"{len(org_id)}:{org_id}{user}:{len(conversation_id)}:{conversation_id}"
        f"{len(turn_id)}:{turn_id}{item_id}"
    ).encode()


def seal(key: DataKey, context: bytes, content: bytes, randomness: Randomness) -> bytes:
    """Return the blob of `content`; raise ContentTooLarge above CONTENT_BYTES_MAX."""
    if len(content) > CONTENT_BYTES_MAX:
        raise ContentTooLarge(f"{len(content)} bytes")
    flags = 0
    if len(content) >= COMPRESS_FROM_BYTES:
        compressed = _zstandard.compress(content)
        if len(compressed) < len(content):
            content, flags = compressed, _COMPRESSED
    nonce = randomness.bytes(_NONCE_BYTES)
    header = _HEADER.pack(_FORMAT, flags, key.key_id, _NO_DICTIONARY, nonce)
    return header + key.cipher.encrypt(nonce, content, header + context)


def open_sealed(key: DataKey, context: bytes, blob: bytes) -> bytes:
    """Return the content of a blob sealed under `key` for `context`; else raise SealBroken."""
    _, flags, key_id, dictionary, nonce = _read_header(blob)
    if key_id != key.key_id:
        raise SealBroken("another key")
    header = blob[: _HEADER.size]
    try:
        content = key.cipher.decrypt(nonce, blob[_HEADER.size :], header + context)
    except InvalidTag:
        raise SealBroken from None
    if flags & ~_COMPRESSED or dictionary != _NO_DICTIONARY:
        raise SealBroken("sealed by a later version of Axon")
    return _decompress(content) if flags else content


def key_id_of(blob: bytes) -> bytes:
    """Return the id of the key `blob` says it was sealed under; raise SealBroken if it is none."""
    return _read_header(blob)[2]


def _read_header(blob: bytes) -> tuple[int, int, bytes, int, bytes]:
    if len(blob) < _HEADER.size + _TAG_BYTES or blob[0] != _FORMAT:
        raise SealBroken("not a blob of a known format")
    fields: tuple[int, int, bytes, int, bytes] = _HEADER.unpack_from(blob)
    return fields


def _decompress(content: bytes) -> bytes:
    try:
        # What the frame says of its size is checked first: zstd allocates as much.
        if zstandard.frame_content_size(content) > CONTENT_BYTES_MAX:
            raise SealBroken("its content is too large")
        return _zstandard.decompress(content, max_output_size=CONTENT_BYTES_MAX)
    except zstandard.ZstdError as error:
        raise SealBroken(str(error)) from error
