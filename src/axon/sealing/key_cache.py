"""The keys of the people who were here last, unwrapped in memory."""

from collections import OrderedDict

from axon.sealing.seal import DataKey


class KeyCache:
    """A bounded LRU of data keys, found by id or as the current key of a person."""

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._by_id: OrderedDict[bytes, DataKey] = OrderedDict()
        self._current: dict[tuple[str, int], DataKey] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def current(self, person: tuple[str, int]) -> DataKey | None:
        """Return the current key of (organization, user), if it is here."""
        key = self._current.get(person)
        if key is not None:
            self._by_id.move_to_end(key.key_id)
        return key

    def by_id(self, key_id: bytes) -> DataKey | None:
        """Return the key, if it is here."""
        key = self._by_id.get(key_id)
        if key is not None:
            self._by_id.move_to_end(key_id)
        return key

    def add(self, key: DataKey, current: bool) -> None:
        """Remember a key; the one not used for longest leaves when there are too many."""
        self._by_id[key.key_id] = key
        self._by_id.move_to_end(key.key_id)
        if current:
            self._current[key.org_id, key.user] = key
        while len(self._by_id) > self._keys_max:
            _, oldest = self._by_id.popitem(last=False)
            person = (oldest.org_id, oldest.user)
            if self._current.get(person) is oldest:
                del self._current[person]

    def clear(self) -> None:
        """Forget all keys."""
        self._by_id.clear()
        self._current.clear()
