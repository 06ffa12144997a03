"""Signed heads of the journals' chains: who changes what was written has to forge these too."""

import hashlib
from collections.abc import Collection, Sequence
from itertools import pairwise

import asyncpg
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from axon.journal import ChainPoint
from axon.sealing import Keyring

_MEANING = "axon checkpoint 1"
"""Part of what is signed, so that no signature ever stands for something else."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Through an entry, a journal was this and no other."""

    instance: str
    number: int
    """Dense from 1 in each journal, so that none can be taken away between others."""
    sequence: int
    hash: bytes
    segment: int
    segment_offset: int
    segment_us: int
    at_us: int
    signature: bytes

    @property
    def point(self) -> ChainPoint:
        """Return where in the journal that is."""
        return ChainPoint(
            self.sequence, self.hash, self.segment, self.segment_offset, self.segment_us
        )


class Signer:
    """Signs with a key of the installation's own, derived from its keyring (Ed25519)."""

    def __init__(self, keyring: Keyring) -> None:
        """The same keyring always gives the same key."""
        self._key = Ed25519PrivateKey.from_private_bytes(keyring.derive("audit checkpoints"))

    @property
    def public_key(self) -> bytes:
        """Return the 32 bytes by which anybody can check a signature."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        return self._key.sign(message)

    def checkpoint(self, instance: str, number: int, point: ChainPoint, at_us: int) -> Checkpoint:
        """Return the signed checkpoint of a place in a journal."""
        unsigned = Checkpoint(
            instance=instance,
            number=number,
            sequence=point.sequence,
            hash=point.hash,
            segment=point.segment,
            segment_offset=point.offset,
            segment_us=point.segment_us,
            at_us=at_us,
            signature=b"",
        )
        return msgspec.structs.replace(unsigned, signature=self.sign(_message(unsigned)))


def is_signed(checkpoint: Checkpoint, public_key: bytes) -> bool:
    """Return whether the checkpoint is one that the key's owner signed."""
    return is_signature(public_key, checkpoint.signature, _message(checkpoint))


def is_signature(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether the key's owner signed the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def fingerprint(public_key: bytes) -> str:
    """Return what a person compares: the beginning of the key's SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def wrong_among(checkpoints: Sequence[Checkpoint], signed: Collection[int]) -> list[str]:
    """Return what is wrong with a journal's checkpoints by themselves, given by number.

    `signed` are the numbers of those whose signature is right.
    """
    wrong = [
        f"checkpoint {one.number} is not signed by this installation"
        for one in checkpoints
        if one.number not in signed
    ]
    if checkpoints and checkpoints[0].number != 1:
        wrong.append(f"the checkpoints before {checkpoints[0].number} are gone")
    for before, after in pairwise(checkpoints):
        if after.number != before.number + 1:
            wrong.append(f"checkpoint {after.number} follows {before.number}")
        if after.sequence <= before.sequence:
            wrong.append(f"checkpoint {after.number} is not behind the one before")
    return wrong


async def write_checkpoints(
    connection: asyncpg.Connection, checkpoints: Sequence[Checkpoint]
) -> None:
    """Keep checkpoints; those that are there stay as they are."""
    await connection.executemany(
        "INSERT INTO audit.checkpoints (instance, number, sequence, hash, segment, segment_offset,"
        " segment_us, at_us, signature) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        " ON CONFLICT DO NOTHING",
        [msgspec.structs.astuple(one) for one in checkpoints],
    )


async def read_checkpoints(connection: asyncpg.Connection, instance: str) -> list[Checkpoint]:
    """Return all checkpoints of a journal, the oldest first."""
    rows = await connection.fetch(
        "SELECT * FROM audit.checkpoints WHERE instance = $1 ORDER BY number", instance
    )
    return [Checkpoint(**row) for row in rows]


async def last_checkpoint(connection: asyncpg.Connection, instance: str) -> Checkpoint | None:
    """Return the newest checkpoint of a journal, None when it has none."""
    row = await connection.fetchrow(
        "SELECT * FROM audit.checkpoints WHERE instance = $1 ORDER BY number DESC LIMIT 1", instance
    )
    return None if row is None else Checkpoint(**row)


def _message(checkpoint: Checkpoint) -> bytes:
    fields = msgspec.structs.astuple(checkpoint)[:-1]
    return msgspec.msgpack.encode((_MEANING, *fields))
