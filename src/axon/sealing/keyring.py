"""The installation's own secrets: its identity, and the keys that wrap everybody's data keys."""

from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from axon.base import IDENTITY_BYTES, Randomness
from axon.sealing.errors import KeyringRefused
from axon.sealing.private_file import create_private, locked, read_private, replace_private

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

    def __init__(self, path: Path, content: _KeyringFile) -> None:
        self._path = path
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
        return cls(path, _decoded(path, content))

    @property
    def identity(self) -> bytes:
        """Return the secret under which ids are tagged and people numbered (base.IdMint)."""
        return self._content.identity

    def derive(self, purpose: str) -> bytes:
        """Return 32 secret bytes for one purpose, always the same (HKDF-SHA256, RFC 5869)."""
        info = b"axon " + purpose.encode()
        return HKDF(SHA256(), _DERIVED_BYTES, salt=None, info=info).derive(self.identity)

    @property
    def current_kek(self) -> str:
        """Return the id of the key that wraps."""
        return self._content.current_kek

    @property
    def kek_ids(self) -> list[str]:
        """Return the ids of all its keys, those that only unwrap too."""
        return list(self._content.keks)

    def holds(self, kek_id: str) -> bool:
        """Return whether it has this key, after a look at the file for one it does not know."""
        if kek_id not in self._content.keks:
            self.read_again()
        return kek_id in self._content.keks

    def root_secret(self, kek_id: str) -> bytes:
        """Return what its key wraps organizations' keys with: apart from what `wrap` uses.

        Raises KeyringRefused when it does not hold the key.
        """
        if not self.holds(kek_id):
            raise KeyringRefused(f"it does not hold {kek_id}")
        secret = self._content.keks[kek_id]
        return HKDF(SHA256(), _DERIVED_BYTES, salt=None, info=b"axon root").derive(secret)

    def read_again(self) -> None:
        """Take over keys that were added to the file since; blocks. One that is gone stays known.

        A file that cannot be read, or is another installation's, changes nothing.
        """
        try:
            content = _decoded(self._path, read_private(self._path))
        except (OSError, KeyringRefused):
            return
        if content.identity == self.identity:
            keks = {**self._content.keks, **content.keks}
            self._content = msgspec.structs.replace(content, keks=keks)

    def rotate(self, randomness: Randomness) -> str:
        """Add a new key to the file, which wraps from now on, and return its id; blocks.

        The older keys stay, to unwrap. Durable on return; of two who do it at once both keys
        stay. Raises KeyringRefused or OSError, and then the file is as it was.
        """
        with locked(self._path.parent):
            there = _decoded(self._path, read_private(self._path))
            if there.identity != self.identity:
                raise KeyringRefused(f"{self._path} is another installation's now")
            kek_id = f"kek_{randomness.bytes(8).hex()}"
            keks = {**there.keks, kek_id: randomness.bytes(_KEK_BYTES)}
            fresh = msgspec.structs.replace(there, keks=keks, current_kek=kek_id)
            replace_private(self._path, msgspec.json.encode(fresh) + b"\n", randomness)
            self._content = fresh
        return kek_id

    def wrap(self, key: bytes) -> WrappedBytes:
        """Return `key` (16 to 64 bytes, a multiple of 8) wrapped by the current KEK."""
        kek_id = self._content.current_kek
        return WrappedBytes(kek_id, aes_key_wrap(self._content.keks[kek_id], key))

    def unwrap(self, wrapped: WrappedBytes) -> bytes:
        """Return the key; raise KeyringRefused when another keyring wrapped it or it is damaged."""
        if not self.holds(wrapped.kek_id):
            raise KeyringRefused(f"it does not hold {wrapped.kek_id}")
        try:
            return aes_key_unwrap(self._content.keks[wrapped.kek_id], wrapped.data)
        except InvalidUnwrap as error:
            raise KeyringRefused(f"a key was not wrapped by {wrapped.kek_id}") from error


def _decoded(path: Path, content: bytes) -> _KeyringFile:
    try:
        return msgspec.json.decode(content, type=_KeyringFile)
    except (ValueError, RecursionError) as error:  # damage is not always a DecodeError
        raise KeyringRefused(f"{path}: {error}") from error
