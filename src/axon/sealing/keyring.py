"""The installation's own secrets: its identity, and the keys that wrap everybody's data keys."""

from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from axon.base import IDENTITY_BYTES, Randomness
from axon.sealing.errors import KeyringRefused
from axon.sealing.private_file import create_private, read_private

_FORMAT = 1
_KEK_BYTES = 32
_DERIVED_BYTES = 32


class WrappedBytes(msgspec.Struct, frozen=True):
    """A key wrapped by the key-encryption key `kek_id` (RFC 3394)."""

    kek_id: str
    data: bytes


class _KeyringFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keyring as JSON; bytes are base64. Older key-encryption keys stay, to unwrap."""

    format: int
    identity: bytes
    keks: dict[str, bytes]
    current_kek: str

    def __post_init__(self) -> None:
        lengths = {len(kek) for kek in self.keks.values()}
        if self.format != _FORMAT or self.current_kek not in self.keks:
            raise ValueError("not a keyring of this version")
        if len(self.identity) != IDENTITY_BYTES or lengths != {_KEK_BYTES}:
            raise ValueError("its secrets have the wrong length")


class Keyring:
    """The secrets of one installation, shared by all its processes and nodes."""

    def __init__(self, content: _KeyringFile) -> None:
        self._content = content

    @classmethod
    def open(cls, path: Path, randomness: Randomness) -> "Keyring":
        """Read the keyring, creating it (0600) when there is none; blocks.

        Its loss makes all sealed content unreadable: back it up. Raises KeyringRefused when others
        can read it or when it is damaged; it is never replaced.
        """
        try:
            content = read_private(path)
        except FileNotFoundError:
            kek_id = f"kek_{randomness.bytes(8).hex()}"
            fresh = _KeyringFile(
                format=_FORMAT,
                identity=randomness.bytes(IDENTITY_BYTES),
                keks={kek_id: randomness.bytes(_KEK_BYTES)},
                current_kek=kek_id,
            )
            create_private(path, msgspec.json.encode(fresh) + b"\n", randomness)
            content = read_private(path)
        try:
            return cls(msgspec.json.decode(content, type=_KeyringFile))
        except (ValueError, RecursionError) as error:  # damage is not always a DecodeError
            raise KeyringRefused(f"{path}: {error}") from error

    @property
    def identity(self) -> bytes:
        """Return the secret under which ids are tagged and people numbered (base.IdMint)."""
        return self._content.identity

    def derive(self, purpose: str) -> bytes:
        """Return 32 secret bytes for one purpose, always the same (HKDF-SHA256, RFC 5869)."""
        info = b"axon " + purpose.encode()
        return HKDF(SHA256(), _DERIVED_BYTES, salt=None, info=info).derive(self.identity)

    def wrap(self, key: bytes) -> WrappedBytes:
        """Return `key` (16 to 64 bytes, a multiple of 8) wrapped by the current KEK."""
        kek_id = self._content.current_kek
        return WrappedBytes(kek_id, aes_key_wrap(self._content.keks[kek_id], key))

    def unwrap(self, wrapped: WrappedBytes) -> bytes:
        """Return the key; raise KeyringRefused when another keyring wrapped it or it is damaged."""
        kek = self._content.keks.get(wrapped.kek_id)
        if kek is None:
            raise KeyringRefused(f"it does not hold {wrapped.kek_id}")
        try:
            return aes_key_unwrap(kek, wrapped.data)
        except InvalidUnwrap as error:
            raise KeyringRefused(f"a key was not wrapped by {wrapped.kek_id}") from error
