"""Ids of our own: sorted by time, carrying their user and a keyed tag of their organization.

An id is `<prefix>_` and 25 bytes in lower-case hex (which sorts like the bytes): 6 bytes of
milliseconds, 3 of a counter, 4 of the process, 8 of the user's number, 4 of tag. The tag is a
keyed BLAKE2s over the organization and everything before it, so an id of another organization,
or a guessed one, is refused without a look-up, and a table distributed by user can be addressed
by an id alone.
"""

import hashlib
from typing import NamedTuple

from axon.base.clock import Clock
from axon.base.errors import AxonError
from axon.base.randomness import Randomness

IDENTITY_BYTES = 32
"""Length of the installation's secret under which ids are tagged and users are numbered."""

_BODY_BYTES = 21
_TAG_BYTES = 4
_TEXT_LENGTH = 50
_COUNTER_LIMIT = 1 << 24


class UnknownId(AxonError):
    """No such object."""


class MintedId(NamedTuple):
    """What an id says about itself."""

    prefix: str
    created_ms: int
    user: int


def user_number(identity: bytes, org_id: str, external_id: str) -> int:
    """Return the 63-bit number of a person: a keyed hash of the organization and its name for them.

    Deterministic, so no look-up stands between a request and its subject, and one-way, so the
    name an organization uses for a person (often an e-mail address) is stored nowhere.
    """
    message = org_id.encode() + b"\0" + external_id.encode()
    digest = hashlib.blake2s(message, key=identity, digest_size=8, person=b"user").digest()
    return int.from_bytes(digest, "big") >> 1


class IdMint:
    """Makes ids and reads them back; one per process."""

    def __init__(self, identity: bytes, clock: Clock, randomness: Randomness) -> None:
        """`identity` is the installation's secret of IDENTITY_BYTES bytes."""
        if len(identity) != IDENTITY_BYTES:
            raise ValueError(f"the identity secret must have {IDENTITY_BYTES} bytes")
        self._identity = identity
        self._clock = clock
        self._process = randomness.bytes(4)
        self._counter = int.from_bytes(randomness.bytes(2), "big")
        self._last_ms = 0

    def mint(self, prefix: str, org_id: str, user: int) -> str:
        """Return a new id; within a process a later one sorts after an earlier one."""
        now_ms = self._clock.now_us() // 1000
        if now_ms > self._last_ms:
            self._last_ms = now_ms
        self._counter += 1
        if self._counter >= _COUNTER_LIMIT:
            self._counter = 0
            self._last_ms += 1
        body = (
            self._last_ms.to_bytes(6, "big")
            + self._counter.to_bytes(3, "big")
            + self._process
            + user.to_bytes(8, "big")
        )
        return f"{prefix}_{body.hex()}{self._tag(prefix, org_id, body).hex()}"

    def read(self, text: str, prefix: str, org_id: str) -> MintedId:
        """Return what the id says; raise UnknownId unless it is one of ours, of this organization.

        The answer for another organization's id is the same as for one that never existed.
        """
        head, _, tail = text.rpartition("_")
        if head != prefix or len(tail) != _TEXT_LENGTH:
            raise UnknownId
        try:
            raw = bytes.fromhex(tail)
        except ValueError:
            raise UnknownId from None
        if raw.hex() != tail:
            raise UnknownId  # upper case or inner spaces: readable, but not an id we wrote
        body = raw[:_BODY_BYTES]
        if raw[_BODY_BYTES:] != self._tag(prefix, org_id, body):
            raise UnknownId
        return MintedId(prefix, int.from_bytes(body[:6], "big"), int.from_bytes(body[13:], "big"))

    def _tag(self, prefix: str, org_id: str, body: bytes) -> bytes:
        message = b"%b\0%b\0%b" % (prefix.encode(), org_id.encode(), body)
        key = self._identity
        return hashlib.blake2s(message, key=key, digest_size=_TAG_BYTES, person=b"id").digest()
