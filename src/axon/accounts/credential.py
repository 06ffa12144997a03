"""An API key as we keep it: never the key itself, only its HMAC and what it grants."""

import hmac

import msgspec

from axon.accounts.errors import InvalidCredential
from axon.accounts.principal import Principal
from axon.sealing import Keyring

KEY_PREFIX = b"sk-axon-"
PASS_PREFIX = b"up-axon-"

AUTHORIZATION_BYTES_MAX = 512
"""Longest Authorization header we hash: twice our longest pass. Longer ones are not ours."""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """One API key's row, and the line that stands for it in the snapshot."""

    credential_id: str
    mac: bytes
    """HMAC-SHA-256 of the key under a key of the keyring: cannot be turned back or guessed."""
    org_id: str
    user: int
    acts_for_users: bool
    permissions: tuple[str, ...]
    tier: str
    region: str
    expires_us: int
    """0 when it never ends."""
    revoked_us: int
    """0 while it is not revoked."""
    version: int
    """Number of the change that wrote this row; of two rows the higher is the true one."""

    def is_live(self, now_us: int) -> bool:
        """Return whether the key is neither revoked nor expired at this instant."""
        return self.revoked_us == 0 and not 0 < self.expires_us <= now_us

    def principal(self) -> Principal:
        """Return whom the key stands for."""
        return Principal(
            org_id=self.org_id,
            credential_id=self.credential_id,
            user=self.user,
            acts_for_users=self.acts_for_users,
            permissions=frozenset(self.permissions),
            tier=self.tier,
            region=self.region,
        )


class CredentialMac:
    """Turns a key's text into the HMAC it is known by.

    The HMAC is also the index under which a key is found. Finding it takes a time that depends on
    HMACs alone, which nobody without the keyring can choose, so no comparison leaks a key.
    """

    def __init__(self, keyring: Keyring) -> None:
        """The HMAC key is derived from the keyring, so a stolen table alone verifies nothing."""
        self._key = keyring.derive("accounts.credentials")

    def of(self, secret: bytes) -> bytes:
        """Return the 32 bytes under which this key is kept."""
        return hmac.digest(self._key, secret, "sha256")


def secret_of(authorization: bytes) -> bytes:
    """Return the key or pass in an Authorization header; raise InvalidCredential for no such."""
    scheme, _, secret = authorization.partition(b" ")
    if len(authorization) > AUTHORIZATION_BYTES_MAX or scheme.lower() != b"bearer":
        raise InvalidCredential
    secret = secret.strip(b" ")
    if not secret.startswith((KEY_PREFIX, PASS_PREFIX)):
        raise InvalidCredential
    return secret
