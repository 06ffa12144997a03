"""Ids of our own: sorted by time, carrying their user and a keyed tag of their organization.

An id is `<prefix>_` and 25 bytes in lower-case hex (which sorts like the bytes): 6 bytes of
milliseconds, 3 of a counter, 4 of the process, 8 of the user's number, 4 of tag. The process is 2
bytes of mark, which name the serving process that owns what the id names, and 2 random ones. The
tag is a keyed BLAKE2s over the organization and everything before it, so an id of another
organization, or a guessed one, is refused without a look-up, and a table distributed by user can
be addressed by an id alone.
"""

import hashlib
from typing import NamedTuple

from axon.base.clock import Clock
from axon.base.errors import AxonError
from axon.base.randomness import Randomness

IDENTITY_BYTES = 32
"""Length of the installation's secret under which ids are tagged and users are numbered."""

MARK_BYTES = 2
"""Of the names of 16 processes, no two share a mark; who gives the names looks."""

_BODY_BYTES = 21
_MARK = slice(9, 9 + MARK_BYTES)
_TAG_BYTES = 4
_TEXT_LENGTH = 50
_MARK_DIGITS = slice(2 * _MARK.start - _TEXT_LENGTH, 2 * _MARK.stop - _TEXT_LENGTH)
"""Where the mark stands in an id's text, counted from the end."""

_COUNTER_LIMIT = 1 << 24


class UnknownId(AxonError):
    """No such object."""


class MintedId(NamedTuple):
    """What an id says about itself."""

    prefix: str
    created_ms: int
    user: int
    mark: bytes
    """The mark of the process that made it, MARK_BYTES bytes."""


def instance_mark(name: str) -> bytes:
    """Return the mark of the process called `name`: the same in every process and at every start.

    Two names may share a mark; whoever gives names looks.
    """
    return hashlib.blake2s(name.encode(), digest_size=MARK_BYTES, person=b"instance").digest()


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

    def __init__(
        self, identity: bytes, clock: Clock, randomness: Randomness, mark: bytes = b""
    ) -> None:
        """`identity` is the installation's secret of IDENTITY_BYTES bytes; `mark` the process's.

        Without a mark, for what no serving process owns, those bytes are random.
        """
        if len(identity) != IDENTITY_BYTES:
            raise ValueError(f"the identity secret must have {IDENTITY_BYTES} bytes")
        if len(mark) not in (0, MARK_BYTES):
            raise ValueError(f"a mark has {MARK_BYTES} bytes")
        self._keyed = hashlib.blake2s(key=identity, digest_size=_TAG_BYTES, person=b"id")
        self._clock = clock
        self._process = mark + randomness.bytes(4)[len(mark) :]
        self._counter = int.from_bytes(randomness.bytes(2), "big")
        self._last_ms = 0

    def mint(self, prefix: str, org_id: str, user: int, beside: str = "") -> str:
        """Return a new id; within a process a later one sorts after an earlier one.

        The process that owns `beside`, an id that was read before, is to own the new one too.
        """
        now_ms = self._clock.now_us() // 1000
        if now_ms > self._last_ms:
            self._last_ms = now_ms
        self._counter += 1
        if self._counter >= _COUNTER_LIMIT:
            self._counter = 0
            self._last_ms += 1
        process = self._process
        if beside:
            process = bytes.fromhex(beside[_MARK_DIGITS]) + process[MARK_BYTES:]
        body = (
            self._last_ms.to_bytes(6, "big")
            + self._counter.to_bytes(3, "big")
            + process
            + user.to_bytes(8, "big")
        )
        return f"{prefix}_{body.hex()}{self._tag(prefix, org_id, body).hex()}"

    def derive(self, prefix: str, org_id: str, origin: str, number: int) -> str:
        """Return the id of part `number` of what `origin`, one of our ids, names.

        It is the same whenever and wherever it is asked for: a turn that is told again after a
        crash tells the same ids.
        """
        body = bytes.fromhex(origin[-_TEXT_LENGTH:])[:_BODY_BYTES]
        seed = hashlib.blake2s(body, digest_size=3, person=b"part").digest()
        counter = (int.from_bytes(seed, "big") + number) % _COUNTER_LIMIT
        body = body[:6] + counter.to_bytes(3, "big") + body[9:]
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
        created_ms, user = int.from_bytes(body[:6], "big"), int.from_bytes(body[13:], "big")
        return MintedId(prefix, created_ms, user, body[_MARK])

    def _tag(self, prefix: str, org_id: str, body: bytes) -> bytes:
        message = b"%b\0%b\0%b" % (prefix.encode(), org_id.encode(), body)
        tag = self._keyed.copy()
        tag.update(message)
        return tag.digest()
