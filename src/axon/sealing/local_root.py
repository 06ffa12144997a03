"""The keyring as the root: the default, with no other machine to ask."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from axon.base import Randomness
from axon.sealing.errors import KeyRefused
from axon.sealing.keyring import Keyring
from axon.sealing.root import KeyContext, RootWrapped

NAME = "local"
_NONCE_BYTES = 12


class LocalRoot:
    """Wraps with the keyring's newest key, AES-256-GCM."""

    remote = False

    def __init__(self, keyring: Keyring, randomness: Randomness) -> None:
        """A version is the id of a key in the keyring's file."""
        self._keyring = keyring
        self._randomness = randomness

    @property
    def name(self) -> str:
        """Return `local`."""
        return NAME

    def opens(self, root: str) -> bool:
        """Return whether the keyring wrapped it."""
        return root == NAME

    def knows(self, version: str) -> bool:
        """Return whether the keyring's file holds the key, which another node may have added."""
        return self._keyring.holds(version)

    async def wrap(self, secret: bytes, context: KeyContext) -> RootWrapped:
        """Return the key wrapped by the keyring's newest key."""
        version = self._keyring.current_kek
        nonce = self._randomness.bytes(_NONCE_BYTES)
        sealed = self._cipher(version).encrypt(nonce, secret, context.encoded())
        return RootWrapped(NAME, version, nonce + sealed)

    async def unwrap(self, wrapped: RootWrapped, context: KeyContext) -> bytes:
        """Return the key; raises KeyringRefused when another keyring wrapped it, KeyRefused."""
        return self.opened(wrapped, context)

    def opened(self, wrapped: RootWrapped, context: KeyContext) -> bytes:
        """Return what `unwrap` does."""
        nonce, sealed = wrapped.data[:_NONCE_BYTES], wrapped.data[_NONCE_BYTES:]
        try:
            return self._cipher(wrapped.version).decrypt(nonce, sealed, context.encoded())
        except (InvalidTag, ValueError) as error:  # of something too short
            raise KeyRefused(context.kek_id) from error

    async def rewrap(self, wrapped: RootWrapped, context: KeyContext) -> RootWrapped:
        """Return the same key wrapped by the keyring's newest key."""
        return await self.wrap(await self.unwrap(wrapped, context), context)

    async def rotate(self) -> None:
        """Add a new key to the keyring's file. Blocks for two flushes of the disk."""
        self._keyring.rotate(self._randomness)

    async def version(self) -> str:
        """Return the id of the newest key."""
        return self._keyring.current_kek

    def _cipher(self, version: str) -> AESGCM:
        return AESGCM(self._keyring.root_secret(version))
