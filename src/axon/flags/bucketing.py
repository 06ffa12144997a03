"""Where a unit falls in a split. Each hashing is for ever: a change would move people."""

import struct
from collections.abc import Callable
from math import isnan
from typing import Final

import mmh3

from axon.flags.coercion import LogicFailed, Work
from axon.flags.values import JsonValue

V2, V3 = "v2", "v3"
BUCKETINGS = (V2, V3)
BUCKETING_DEFAULT: Final = V3
"""Of flags that pin none: the newest of flagd. v2 hashes the key's text, v3 its canonical CBOR; one
50/50 split puts half of all people on the other side when the other one is taken."""

WEIGHTS_MAX = 2**31 - 1
"""The most the weights of one split may add up to (flagd's fractional specification)."""

HASH_BITS: Final = 32
HASHES: Final = 2**HASH_BITS

CBOR_DEPTH_MAX = 32
"""How deep a value may be that is hashed."""

KeyHash = Callable[[JsonValue, Work], int | None]


def hash_v2(key: JsonValue, work: Work) -> int | None:
    """Return murmur3_32 of a text; None for anything else and for no text."""
    return mmh3.mmh3_32_uintdigest(key.encode()) if isinstance(key, str) and key else None


def hash_v3(key: JsonValue, work: Work) -> int | None:
    """Return murmur3_32 of a value's canonical CBOR; None for null and what has none."""
    if key is None:
        return None
    try:
        return mmh3.mmh3_32_uintdigest(canonical_cbor(key, work))
    except UnicodeEncodeError:  # half a surrogate pair
        return None


def share_of(salt: str, name: str, unit_id: str) -> int:
    """Return where a unit stands among all, in 0 to HASHES - 1, for one purpose and name.

    Our own, for layers, holdouts and ramps: murmur3_32, seed 0, of `salt/name/unit_id` in UTF-8.
    The purpose keeps places apart: who is first in a ramp is not therefore in a holdout.
    """
    return mmh3.mmh3_32_uintdigest(f"axon.{salt}/{name}/{unit_id}".encode())


def shorthand_hash(bucketing: str, flag_key: str) -> Callable[[str], int]:
    """Return what hashes a unit's id for a split that names no key: flag key and id together."""
    if bucketing == V2:
        prefix = flag_key.encode()
        return lambda unit_id: mmh3.mmh3_32_uintdigest(prefix + unit_id.encode())
    pair = b"\x82" + _text(flag_key)
    starts = tuple(pair + bytes((0x60 | size,)) for size in range(24))  # nearly all ids

    def hash_pair(unit_id: str) -> int:
        encoded = unit_id.encode()
        size = len(encoded)
        head = starts[size] if size < 24 else pair + _head(3, size)
        return mmh3.mmh3_32_uintdigest(head + encoded)

    return hash_pair


def canonical_cbor(value: JsonValue, work: Work, depth: int = 0) -> bytes:
    """Return the value in CBOR's canonical form (RFC 7049, 3.9), as flagd's v3 hashes it.

    Floats without a fraction are integers while they fit in 64 bits; other floats are as short as
    they can be without a loss; maps are ordered by the length of their encoded names, then by
    their bytes. LogicFailed for what is too deep or too large.
    """
    work.spend(1)
    if depth > CBOR_DEPTH_MAX:
        raise LogicFailed(f"a key of more than {CBOR_DEPTH_MAX} levels")
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, float) and value.is_integer() and -(2**63) <= value <= 2**64 - 1:
        value = int(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, list):
        items = (canonical_cbor(item, work, depth + 1) for item in value)
        return _head(4, len(value)) + b"".join(items)
    pairs = [(_text(name), canonical_cbor(item, work, depth + 1)) for name, item in value.items()]
    pairs.sort(key=lambda pair: (len(pair[0]), pair[0]))
    return _head(5, len(pairs)) + b"".join(name + item for name, item in pairs)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _head(3, len(encoded)) + encoded


def _head(kind: int, count: int) -> bytes:
    kind <<= 5
    if count < 24:
        return bytes((kind | count,))
    if count < 2**8:
        return bytes((kind | 24, count))
    if count < 2**16:
        return struct.pack(">BH", kind | 25, count)
    if count < 2**32:
        return struct.pack(">BL", kind | 26, count)
    return struct.pack(">BQ", kind | 27, count)


def _integer(number: int) -> bytes:
    kind, count = (0, number) if number >= 0 else (1, -1 - number)
    if count < 2**64:
        return _head(kind, count)
    digits = count.to_bytes((count.bit_length() + 7) // 8, "big")  # a bignum: tag 2 or 3
    return bytes((0xC2 + kind,)) + _head(2, len(digits)) + digits


def _float(number: float) -> bytes:
    if isnan(number):
        return b"\xf9\x7e\x00"
    for mark, form in ((b"\xf9", ">e"), (b"\xfa", ">f")):
        try:
            packed = struct.pack(form, number)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == number:
            return mark + packed
    return b"\xfb" + struct.pack(">d", number)
