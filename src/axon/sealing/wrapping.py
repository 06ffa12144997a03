"""Data keys under the keys of organizations: wrapped, opened, and wrapped anew."""

from cryptography.exceptions import InvalidTag

from axon.base import Randomness
from axon.sealing.errors import KeyRefused, KeyRootUnavailable, SealingError
from axon.sealing.keks import PREFIX, Keks
from axon.sealing.key_table import WrappedKey
from axon.sealing.keyring import Keyring, WrappedBytes
from axon.sealing.open_keks import OpenKek
from axon.sealing.seal import KEY_ID_BYTES
from axon.telemetry import log

_DATA_KEY_BYTES = 32
_NONCE_BYTES = 12


class Wrapping:
    """Knows which key opens which; data keys of older versions are opened by the keyring itself."""

    def __init__(self, keyring: Keyring, keks: Keks, randomness: Randomness) -> None:
        """Nothing is opened before it is asked for."""
        self._keyring = keyring
        self._keks = keks
        self._randomness = randomness

    def fresh(self, org_id: str, user: int, kek: OpenKek, now_us: int) -> WrappedKey:
        """Return a new data key of a person, wrapped."""
        key_id = self._randomness.bytes(KEY_ID_BYTES)
        key = WrappedKey(key_id, org_id, user, "", b"", now_us)
        return self._wrapped(kek, key, self._randomness.bytes(_DATA_KEY_BYTES))

    async def secret_of(self, key: WrappedKey) -> bytes:
        """Return the data key; raises KeyringRefused, KeyRefused, KeyRootUnavailable."""
        if not key.kek_id.startswith(PREFIX):
            return self._keyring.unwrap(WrappedBytes(key.kek_id, key.wrapped))
        kek = self._keks.opened(key.kek_id) or await self._keks.by_id(key.kek_id)
        try:
            return kek.unwrap(key.wrapped, key.bound_to)
        except (InvalidTag, ValueError) as error:
            raise KeyRefused(f"{key.kek_id} did not wrap {key.key_id.hex()}") from error

    def must_ask(self, key: WrappedKey) -> bool:
        """Return whether what opens the key is not in memory: opening it may take a while."""
        return key.kek_id.startswith(PREFIX) and self._keks.opened(key.kek_id) is None

    async def anew(self, key: WrappedKey) -> WrappedKey:
        """Return the data key wrapped by its organization's newest key.

        One that cannot be opened stays as it is. Raises KeyRootUnavailable.
        """
        kek = self._keks.at_hand(key.org_id) or await self._keks.for_new(key.org_id)
        try:
            return self._wrapped(kek, key, await self.secret_of(key))
        except SealingError as error:
            if isinstance(error, KeyRootUnavailable):
                raise
            log.error("keys.not-rewrapped", "A data key cannot be opened.",
                      error__message=str(error), axon__key=key.key_id.hex())  # fmt: skip
            return key

    def _wrapped(self, kek: OpenKek, key: WrappedKey, secret: bytes) -> WrappedKey:
        nonce = self._randomness.bytes(_NONCE_BYTES)
        return key._replace(kek_id=kek.kek_id, wrapped=kek.wrap(nonce, secret, key.bound_to))
