"""Seals what passes through Valkey: prompts and answers are nobody's to read there."""

import hashlib

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from axon.base import Randomness
from axon.sealing import DataKey, open_sealed, seal

_PURPOSE = b"axon bus"
_KEY_ID = bytes(16)
"""No key has to be found again by its id: both ends make it from the attempt's."""


class Seals:
    """Makes the seal of each attempt; gateways and workers need the same secret."""

    def __init__(self, secret: bytes, randomness: Randomness) -> None:
        """`secret` is 32 bytes made from the installation's keyring."""
        self._secret = secret
        self._randomness = randomness

    def of(self, attempt_id: str) -> "AttemptSeal":
        """Return the seal of an attempt: each has a key of its own, for a key is good for 2^32."""
        digest = hashlib.blake2b(
            attempt_id.encode(), key=self._secret, person=_PURPOSE, digest_size=32
        )
        key = DataKey(key_id=_KEY_ID, org_id="", user=0, cipher=AESGCM(digest.digest()))
        return AttemptSeal(key, self._randomness)


class AttemptSeal:
    """Seals and opens what is said about one attempt."""

    __slots__ = ("_key", "_randomness")

    def __init__(self, key: DataKey, randomness: Randomness) -> None:
        """Use the attempt's key."""
        self._key = key
        self._randomness = randomness

    def seal(self, place: bytes, content: bytes) -> bytes:
        """Return the content sealed for a place: its kind, and its number."""
        return seal(self._key, place, content, self._randomness)

    def open(self, place: bytes, blob: bytes) -> bytes:
        """Return the content; raise SealBroken for another attempt's, place's or keyring's."""
        return open_sealed(self._key, place, blob)
