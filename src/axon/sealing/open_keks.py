"""The keys of organizations, unwrapped in memory: what an outage of their root is survived with."""

from collections import OrderedDict
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from axon.sealing.kek_table import WrappedKek

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenKek:
    """A key of an organization that can wrap and unwrap the keys of its people."""

    wrapped: WrappedKek
    cipher: AESGCM
    opened_s: float
    """Monotonic time at which the root last said what it is."""

    @property
    def kek_id(self) -> str:
        """Return its id."""
        return self.wrapped.kek_id

    def wrap(self, nonce: bytes, secret: bytes, bound_to: bytes) -> bytes:
        """Return a data key wrapped for its person, in its region and organization."""
        return nonce + self.cipher.encrypt(nonce, secret, self._bound(bound_to))

    def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        """Return the data key; raises InvalidTag or ValueError."""
        nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        return self.cipher.decrypt(nonce, sealed, self._bound(bound_to))

    def _bound(self, bound_to: bytes) -> bytes:
        region, org_id = self.wrapped.region.encode(), self.wrapped.org_id.encode()
        return b"%d:%b%d:%b%b" % (len(region), region, len(org_id), org_id, bound_to)


class OpenKeks:
    """A bounded LRU of them, found by id or as the one that wraps for its organization."""

    def __init__(self, keks_max: int) -> None:
        self._keks_max = keks_max
        self._by_id: OrderedDict[str, OpenKek] = OrderedDict()
        self._of_org: dict[str, OpenKek] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def all(self) -> list[OpenKek]:
        """Return every key that is here."""
        return list(self._by_id.values())

    def by_id(self, kek_id: str) -> OpenKek | None:
        """Return the key, if it is here."""
        kek = self._by_id.get(kek_id)
        if kek is not None:
            self._by_id.move_to_end(kek_id)
        return kek

    def of_org(self, org_id: str) -> OpenKek | None:
        """Return the key that wraps for this organization, if it is known."""
        return self._of_org.get(org_id)

    def add(self, kek: OpenKek) -> OpenKek:
        """Remember a key, in its own place if it is here, and return it.

        The one not used for longest leaves when there are too many.
        """
        self._by_id[kek.kek_id] = kek
        self._by_id.move_to_end(kek.kek_id)
        chosen = self._of_org.get(kek.wrapped.org_id)
        if chosen is not None and chosen.kek_id == kek.kek_id:
            self.choose(kek)
        while len(self._by_id) > self._keks_max:
            self.drop(next(iter(self._by_id)))
        return kek

    def choose(self, kek: OpenKek) -> None:
        """Remember that this key, one of those here, wraps for its organization."""
        self._of_org[kek.wrapped.org_id] = kek

    def unchoose(self, org_id: str) -> None:
        """Forget which key wraps for the organization; the keys stay."""
        self._of_org.pop(org_id, None)

    def drop(self, kek_id: str) -> None:
        """Forget a key."""
        kek = self._by_id.pop(kek_id, None)
        if kek is None:
            return
        chosen = self._of_org.get(kek.wrapped.org_id)
        if chosen is not None and chosen.kek_id == kek_id:
            self.unchoose(kek.wrapped.org_id)
