"""The wrapped data keys of this node, and the tombstones of those it had."""

from collections.abc import Sequence
from typing import NamedTuple

from axon.sealing.key_file import KeyFile, failing

_CURRENT = """
SELECT key_id, org_id, user, kek_id, wrapped, created_us FROM data_keys
WHERE org_id = ? AND user = ? AND current
"""
_BY_ID = """
SELECT key_id, org_id, user, kek_id, wrapped, created_us FROM data_keys WHERE key_id = ?
"""
_TO_UPLOAD = """
SELECT key_id, org_id, user, kek_id, wrapped, created_us FROM data_keys WHERE NOT uploaded LIMIT ?
"""
_ERASED = """
SELECT max(erased_us) FROM (
    SELECT erased_us FROM erasures WHERE org_id = ? AND user = ?
    UNION ALL SELECT erased_us FROM org_erasures WHERE org_id = ?
)
"""
# Keys that an older key of their organization wraps, or the keyring itself.
_LAGGING = """
FROM data_keys AS d LEFT JOIN keks AS own ON own.kek_id = d.kek_id
WHERE d.key_id > ?1 AND coalesce(own.region, ?2) = ?2 AND d.kek_id <> (
    SELECT k.kek_id FROM keks AS k WHERE k.org_id = d.org_id AND k.region = ?2
    ORDER BY k.created_us DESC, k.kek_id DESC LIMIT 1
)
"""
_SOME_LAGGING = (
    f"SELECT d.key_id, d.org_id, d.user, d.kek_id, d.wrapped, d.created_us {_LAGGING}"
    " ORDER BY d.key_id LIMIT ?3"
)


class WrappedKey(NamedTuple):
    """A data key as it is stored."""

    key_id: bytes
    org_id: str
    user: int
    kek_id: str
    wrapped: bytes
    created_us: int

    @property
    def bound_to(self) -> bytes:
        """Return what it is bound to, beside the region and organization of what wraps it."""
        return b"%b%d" % (self.key_id, self.user)


class Erasure(NamedTuple):
    """A tombstone: no key of this person made at or before this instant may come back."""

    org_id: str
    user: int
    erased_us: int


class KeyTable:
    """The table; every method blocks, and one thread at a time may use it."""

    def __init__(self, file: KeyFile) -> None:
        """The file is opened and closed by its owner."""
        self._file = file
        self._sqlite = file.sqlite

    def current(self, fresh: list[WrappedKey]) -> list[WrappedKey]:
        """Return the current key of each person named by `fresh`: the stored one, else this one."""
        with self._file.transaction():
            return [self._current(key) for key in fresh]

    def _current(self, fresh: WrappedKey) -> WrappedKey:
        person = (fresh.org_id, fresh.user)
        found = self._sqlite.execute(_CURRENT, person).fetchone()
        if found is not None:
            return WrappedKey(*found)
        key = fresh._replace(created_us=max(fresh.created_us, self._erased_us(*person) + 1))
        self._sqlite.execute("INSERT INTO data_keys VALUES (?, ?, ?, ?, ?, ?, 1, 0)", key)
        return key

    def found(self, org_id: str, user: int) -> WrappedKey | None:
        """Return the person's current key, or None at their first visit."""
        with failing():
            found = self._sqlite.execute(_CURRENT, (org_id, user)).fetchone()
        return None if found is None else WrappedKey(*found)

    def by_id(self, key_id: bytes) -> WrappedKey | None:
        """Return the key, or None when it is not here."""
        with failing():
            found = self._sqlite.execute(_BY_ID, (key_id,)).fetchone()
        return None if found is None else WrappedKey(*found)

    def keep(self, key: WrappedKey) -> bool:
        """Keep a key that comes from elsewhere; return False when its person was erased since."""
        with self._file.transaction():
            if key.created_us <= self._erased_us(key.org_id, key.user):
                return False
            self._sqlite.execute(
                "INSERT OR IGNORE INTO data_keys VALUES (?, ?, ?, ?, ?, ?, 0, 1)", key
            )
            return True

    def erase(self, org_id: str, user: int, now_us: int) -> int:
        """Destroy all keys of a person and leave a tombstone; return how many there were."""
        person = (org_id, user)
        with self._file.transaction():
            newest = self._sqlite.execute(
                "SELECT max(created_us) FROM data_keys WHERE org_id = ? AND user = ?", person
            ).fetchone()[0]
            # The clock may have been set back: the tombstone is never older than what it buries.
            erased_us = max(now_us, newest or 0, self._erased_us(*person))
            self._sqlite.execute(
                "INSERT OR REPLACE INTO erasures VALUES (?, ?, ?, 0)", (*person, erased_us)
            )
            erased = self._sqlite.execute(
                "DELETE FROM data_keys WHERE org_id = ? AND user = ?", person
            ).rowcount
        self._file.change_mark()
        return erased

    def bury(self, erasures: Sequence[Erasure]) -> int:
        """Destroy what other nodes erased; return how many keys there were.

        Keys made since stay: whoever comes back begins anew.
        """
        erased = 0
        fresh = [one for one in erasures if self.erased_us(one.org_id, one.user) < one.erased_us]
        if not fresh:
            return 0
        with self._file.transaction():
            for one in fresh:
                self._sqlite.execute("INSERT OR REPLACE INTO erasures VALUES (?, ?, ?, 1)", one)
                erased += self._sqlite.execute(
                    "DELETE FROM data_keys WHERE org_id = ? AND user = ? AND created_us <= ?", one
                ).rowcount
        self._file.change_mark()
        return erased

    def erased_us(self, org_id: str, user: int) -> int:
        """Return when this person was last erased; 0 for never."""
        with failing():
            return self._erased_us(org_id, user)

    def renew(self, org_id: str, user: int | None, until_us: int) -> int:
        """Have keys made until then seal nothing new, of a person or (None) all; return how many.

        They still open what they have sealed.
        """
        sql = "UPDATE data_keys SET current = 0 WHERE current AND org_id = ? AND created_us <= ?"
        with self._file.transaction():
            if user is None:
                renewed = self._sqlite.execute(sql, (org_id, until_us)).rowcount
            else:
                one = (org_id, until_us, user)
                renewed = self._sqlite.execute(f"{sql} AND user = ?", one).rowcount
        if renewed:
            self._file.change_mark()
        return renewed

    def lagging(self, after: bytes, region: str, count_max: int) -> list[WrappedKey]:
        """Return keys behind `after` that are not wrapped by their organization's newest key.

        `region` is that of keys which the keyring itself has wrapped.
        """
        with failing():
            rows = self._sqlite.execute(_SOME_LAGGING, (after, region, count_max))
            return [WrappedKey(*row) for row in rows]

    def count_lagging(self, region: str) -> int:
        """Return how many keys `lagging` would return in all."""
        with failing():
            query = f"SELECT count(*) {_LAGGING}"
            return int(self._sqlite.execute(query, (b"", region)).fetchone()[0])

    def rewrapped(self, before: Sequence[WrappedKey], after: Sequence[WrappedKey]) -> None:
        """Put `after` in the place of `before`; a key that is gone meanwhile stays gone."""
        with self._file.transaction():
            self._sqlite.executemany(
                "UPDATE data_keys SET kek_id = ?, wrapped = ? WHERE key_id = ? AND kek_id = ?",
                [
                    (new.kek_id, new.wrapped, old.key_id, old.kek_id)
                    for old, new in zip(before, after, strict=True)
                ],
            )

    def counts(self) -> dict[str, int]:
        """Return how many keys each key of organizations, or of the keyring, has wrapped."""
        with failing():
            return dict(
                self._sqlite.execute("SELECT kek_id, count(*) FROM data_keys GROUP BY kek_id")
            )

    def keys_to_upload(self, count_max: int) -> list[WrappedKey]:
        """Return keys that PostgreSQL is not known to have."""
        with failing():
            return [WrappedKey(*row) for row in self._sqlite.execute(_TO_UPLOAD, (count_max,))]

    def erasures_to_upload(self, count_max: int) -> list[Erasure]:
        """Return tombstones that PostgreSQL is not known to have."""
        query = "SELECT org_id, user, erased_us FROM erasures WHERE NOT uploaded LIMIT ?"
        with failing():
            return [Erasure(*row) for row in self._sqlite.execute(query, (count_max,))]

    def uploaded(self, key_ids: list[bytes], erasures: list[Erasure]) -> None:
        """Note that PostgreSQL has these."""
        with self._file.transaction():
            self._sqlite.executemany(
                "UPDATE data_keys SET uploaded = 1 WHERE key_id = ?",
                [(key_id,) for key_id in key_ids],
            )
            self._sqlite.executemany(
                "UPDATE erasures SET uploaded = 1 WHERE org_id = ? AND user = ? AND erased_us = ?",
                erasures,
            )

    def has_to_upload(self) -> bool:
        """Return whether there is anything that PostgreSQL is not known to have."""
        return bool(self.keys_to_upload(1) or self.erasures_to_upload(1))

    def forget_uploads(self) -> None:
        """Note that PostgreSQL is not known to have anything: it may be another one."""
        with self._file.transaction():
            self._sqlite.execute("UPDATE data_keys SET uploaded = 0 WHERE uploaded")
            self._sqlite.execute("UPDATE erasures SET uploaded = 0 WHERE uploaded")

    def _erased_us(self, org_id: str, user: int) -> int:
        """Return when the person was last erased, or all of the organization."""
        found = self._sqlite.execute(_ERASED, (org_id, user, org_id)).fetchone()[0]
        return int(found or 0)
