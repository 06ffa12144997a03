"""The credentials this process knows, and for a moment those it knows not to exist."""

from axon.accounts.credential import Credential

REFUSED_S = 2.0
"""How long an unknown key stays refused without asking again. A key that is created meanwhile
arrives with the next poll and counts at once."""

REFUSED_MAX = 10_000
"""How many unknown keys are remembered: about 2 MB of somebody's guesses."""


class HeldCredentials:
    """Credentials by HMAC and by id, the newest version of each, at most `entries_max`.

    Revoked ones are kept as well, so that they are refused without asking, also in an outage.
    """

    def __init__(self, entries_max: int) -> None:
        """Beyond `entries_max` the credential that came first goes."""
        self._entries_max = entries_max
        self._by_mac: dict[bytes, Credential] = {}
        self._by_id: dict[str, Credential] = {}

    def __len__(self) -> int:
        """Return how many credentials are held."""
        return len(self._by_id)

    def find(self, key: bytes | str) -> Credential | None:
        """Return the credential with this HMAC (bytes) or this id (str)."""
        return self._by_id.get(key) if isinstance(key, str) else self._by_mac.get(key)

    def put(self, credential: Credential) -> Credential:
        """Hold `credential` unless a newer version is held; return the one that is held now."""
        held = self._by_id.get(credential.credential_id)
        if held is not None:
            if held.version >= credential.version:
                return held
            del self._by_mac[held.mac]
        elif len(self._by_id) >= self._entries_max:
            oldest = self._by_id.pop(next(iter(self._by_id)))
            del self._by_mac[oldest.mac]
        self._by_id[credential.credential_id] = credential
        self._by_mac[credential.mac] = credential
        return credential

    def all(self) -> tuple[Credential, ...]:
        """Return a copy of what is held, in the order in which it came."""
        return tuple(self._by_id.values())

    def clear(self) -> None:
        """Forget everything."""
        self._by_mac.clear()
        self._by_id.clear()


class RefusedKeys:
    """Keys that PostgreSQL did not know a moment ago; at most REFUSED_MAX, for REFUSED_S each."""

    def __init__(self) -> None:
        """Nothing is refused at first."""
        self._until: dict[bytes | str, float] = {}

    def __len__(self) -> int:
        """Return how many keys are remembered, the outlived ones included."""
        return len(self._until)

    def add(self, key: bytes | str, now: float) -> None:
        """Remember that `key` did not exist at the monotonic instant `now`."""
        self._until.pop(key, None)
        if len(self._until) >= REFUSED_MAX:
            del self._until[next(iter(self._until))]
        self._until[key] = now + REFUSED_S

    def holds(self, key: bytes | str, now: float) -> bool:
        """Return whether `key` is still refused at the monotonic instant `now`."""
        return self._until.get(key, 0.0) > now
