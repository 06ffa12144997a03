"""User passes: short-lived, signed, and good for one person's own turns.

A pass is `up-axon-<claims>.<signature>`: the claims as MessagePack in unpadded URL-safe base64,
and the HMAC-SHA-256 of that text, written the same way. In a cell the claims have its region and a
dot before them, which are signed with them. Nothing is stored.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

import msgspec

from axon.accounts.credential import PASS_PREFIX, Credential
from axon.accounts.errors import InvalidCredential
from axon.accounts.principal import Principal
from axon.sealing import Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPass:
    """A pass to hand to a person's device, which uses it like an API key."""

    text: str
    expires_us: int


class PassClaims(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a pass says."""

    org_id: str
    credential_id: str
    """The key it was minted with: the pass dies with it."""
    user: int
    expires_us: int

    def principal(self, parent: Credential) -> Principal:
        """Return whom the pass stands for; raise InvalidCredential unless `parent` may grant it.

        A pass is for a person's own turns: it has none of the key's permissions.
        """
        if parent.org_id != self.org_id or not parent.acts_for_users:
            raise InvalidCredential
        return Principal(
            org_id=self.org_id,
            credential_id=self.credential_id,
            user=self.user,
            acts_for_users=False,
            permissions=frozenset(),
            tier=parent.tier,
            region=parent.region,
            pass_expires_us=self.expires_us,
        )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(PassClaims)


class PassSigner:
    """Writes passes and reads back only those it wrote."""

    def __init__(self, keyring: Keyring, region: str = "") -> None:
        """Every process with the same keyring reads the same passes.

        Those it writes say `region`, unless it is empty: another cell sends them back unread.
        """
        self._key = keyring.derive("accounts.passes")
        self._mark = f"{region}.".encode() if region else b""

    def sign(self, claims: PassClaims) -> UserPass:
        """Return the pass that says `claims`."""
        body = self._mark + urlsafe_b64encode(_encoder.encode(claims)).rstrip(b"=")
        text = PASS_PREFIX + body + b"." + self._signature(body)
        return UserPass(text=text.decode(), expires_us=claims.expires_us)

    def read(self, text: bytes) -> PassClaims:
        """Return what a pass says; raise InvalidCredential unless we signed exactly this text.

        Whether it has expired, and whether its key still lives, is for the caller to check.
        """
        body, _, signature = text[len(PASS_PREFIX) :].rpartition(b".")
        if not hmac.compare_digest(signature, self._signature(body)):
            raise InvalidCredential
        claims = body.rpartition(b".")[2]
        return _decoder.decode(urlsafe_b64decode(claims + b"=" * (-len(claims) % 4)))

    def _signature(self, body: bytes) -> bytes:
        return urlsafe_b64encode(hmac.digest(self._key, body, "sha256")).rstrip(b"=")
