"""The wrapped keys of organizations on this node, and the tombstones of those it had."""

from collections.abc import Sequence
from typing import NamedTuple

from axon.sealing.key_file import KeyFile, failing
from axon.sealing.root import KeyContext, RootWrapped

_COLUMNS = "kek_id, region, org_id, root, root_version, wrapped, bound, created_us, wrapped_us"

_OF_ORG = f"""
SELECT {_COLUMNS} FROM keks WHERE org_id = ? AND region = ?
ORDER BY created_us DESC, kek_id DESC
"""  # noqa: S608 - ours

# A wrapping that is newer takes the place of an older one, whoever sends which first.
_KEEP = f"""
INSERT INTO keks ({_COLUMNS}, uploaded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kek_id) DO UPDATE SET root = excluded.root, root_version = excluded.root_version,
    wrapped = excluded.wrapped, bound = excluded.bound, wrapped_us = excluded.wrapped_us,
    uploaded = excluded.uploaded
WHERE excluded.wrapped_us > keks.wrapped_us
"""  # noqa: S608 - ours


class WrappedKek(NamedTuple):
    """A key of an organization as it is stored: what wraps the data keys of its people."""

    kek_id: str
    region: str
    org_id: str
    root: str
    root_version: str
    wrapped: bytes
    bound: bool
    """Whether the root has bound it to its organization; one of the stock is not, at first."""
    created_us: int
    wrapped_us: int

    @property
    def by_root(self) -> RootWrapped:
        """Return what the root is shown."""
        return RootWrapped(self.root, self.root_version, self.wrapped)

    @property
    def context(self) -> KeyContext:
        """Return what the root has bound it to."""
        return KeyContext(self.region, self.org_id if self.bound else "", self.kek_id)

    def rewrapped(self, by_root: RootWrapped, now_us: int) -> "WrappedKek":
        """Return it as the root has wrapped it now, bound to its organization."""
        return self._replace(
            root=by_root.root,
            root_version=by_root.version,
            wrapped=by_root.data,
            bound=True,
            # Later than the wrapping it takes the place of, whatever the clock says.
            wrapped_us=max(now_us, self.wrapped_us + 1),
        )


class OrgErasure(NamedTuple):
    """A tombstone: no key of this organization made at or before this instant may come back."""

    org_id: str
    erased_us: int


class KekTable:
    """The table; every method blocks, and one thread at a time may use it."""

    def __init__(self, file: KeyFile) -> None:
        """The file is opened and closed by its owner."""
        self._file = file
        self._sqlite = file.sqlite

    def of(self, org_id: str, region: str) -> list[WrappedKek]:
        """Return the keys of an organization, the newest first: that one wraps."""
        with failing():
            return [_kek(row) for row in self._sqlite.execute(_OF_ORG, (org_id, region))]

    def by_id(self, kek_id: str) -> WrappedKek | None:
        """Return the key, or None when it is not here."""
        query = f"SELECT {_COLUMNS} FROM keks WHERE kek_id = ?"  # noqa: S608 - ours
        with failing():
            found = self._sqlite.execute(query, (kek_id,)).fetchone()
        return None if found is None else _kek(found)

    def some(self, after: str, count_max: int) -> list[WrappedKek]:
        """Return keys behind `after`, in the order of their ids."""
        query = f"SELECT {_COLUMNS} FROM keks WHERE kek_id > ? ORDER BY kek_id LIMIT ?"  # noqa: S608 - ours
        with failing():
            return [_kek(row) for row in self._sqlite.execute(query, (after, count_max))]

    def newest(self, region: str) -> dict[str, str]:
        """Return the id of the key that wraps, of each organization."""
        query = "SELECT org_id, kek_id FROM keks WHERE region = ? ORDER BY created_us, kek_id"
        with failing():
            return dict(self._sqlite.execute(query, (region,)).fetchall())

    def ids(self) -> set[str]:
        """Return the ids of all."""
        with failing():
            return {row[0] for row in self._sqlite.execute("SELECT kek_id FROM keks")}

    def count(self) -> int:
        """Return how many there are."""
        with failing():
            return int(self._sqlite.execute("SELECT count(*) FROM keks").fetchone()[0])

    def version(self) -> int:
        """Return a number that another one's change of the file changes."""
        with failing():
            return int(self._sqlite.execute("PRAGMA data_version").fetchone()[0])

    def add(self, kek: WrappedKek, only_first: bool = False) -> WrappedKek:
        """Add the newest key of its organization and return it as it is stored.

        `only_first`: unless it has one by now, which is returned instead.
        """
        with self._file.transaction():
            there = self._sqlite.execute(_OF_ORG, (kek.org_id, kek.region)).fetchone()
            if there is not None and only_first:
                return _kek(there)
            # The clock may have been set back: the newest is always the latest, and behind the
            # organization's tombstone.
            newest = 0 if there is None else _kek(there).created_us
            created_us = max(kek.created_us, newest + 1, self._erased_us(kek.org_id) + 1)
            kek = kek._replace(created_us=created_us)
            self._sqlite.execute(_KEEP, (*kek, False))
        return kek

    def keep(self, keks: Sequence[WrappedKek], uploaded: bool) -> int:
        """Keep keys that come from elsewhere, or were wrapped anew; return how many are news.

        Those of an organization that was erased since are not kept.
        """
        kept = 0
        with self._file.transaction():
            for kek in keks:
                if kek.created_us > self._erased_us(kek.org_id):
                    kept += self._sqlite.execute(_KEEP, (*kek, uploaded)).rowcount
        return kept

    def destroy(self, org_id: str, now_us: int) -> int:
        """Destroy all keys of an organization and of its people; return how many of these."""
        with self._file.transaction():
            newest = self._sqlite.execute(
                "SELECT max(created_us) FROM (SELECT created_us FROM keks WHERE org_id = ?"
                " UNION ALL SELECT created_us FROM data_keys WHERE org_id = ?)",
                (org_id, org_id),
            ).fetchone()[0]
            erased_us = max(now_us, newest or 0, self._erased_us(org_id))
            destroyed = self._bury(OrgErasure(org_id, erased_us), False)
        self._file.change_mark()
        return destroyed

    def bury(self, erasures: Sequence[OrgErasure]) -> int:
        """Destroy what other nodes have destroyed; return how many data keys there were."""
        fresh = [one for one in erasures if self.erased_us(one.org_id) < one.erased_us]
        if not fresh:
            return 0
        with self._file.transaction():
            destroyed = sum(self._bury(one, True) for one in fresh)
        self._file.change_mark()
        return destroyed

    def erased_us(self, org_id: str) -> int:
        """Return when this organization's keys were last destroyed; 0 for never."""
        with failing():
            return self._erased_us(org_id)

    def to_upload(self, count_max: int) -> list[WrappedKek]:
        """Return keys that PostgreSQL is not known to have as they are."""
        query = f"SELECT {_COLUMNS} FROM keks WHERE NOT uploaded LIMIT ?"  # noqa: S608 - ours
        with failing():
            return [_kek(row) for row in self._sqlite.execute(query, (count_max,))]

    def erasures_to_upload(self, count_max: int) -> list[OrgErasure]:
        """Return tombstones that PostgreSQL is not known to have."""
        query = "SELECT org_id, erased_us FROM org_erasures WHERE NOT uploaded LIMIT ?"
        with failing():
            return [OrgErasure(*row) for row in self._sqlite.execute(query, (count_max,))]

    def uploaded(self, keks: Sequence[WrappedKek], erasures: Sequence[OrgErasure]) -> None:
        """Note that PostgreSQL has these."""
        with self._file.transaction():
            self._sqlite.executemany(
                "UPDATE keks SET uploaded = 1 WHERE kek_id = ? AND wrapped_us = ?",
                [(kek.kek_id, kek.wrapped_us) for kek in keks],
            )
            self._sqlite.executemany(
                "UPDATE org_erasures SET uploaded = 1 WHERE org_id = ? AND erased_us = ?", erasures
            )

    def forget_uploads(self) -> None:
        """Note that PostgreSQL is not known to have anything: it may be another one."""
        with self._file.transaction():
            self._sqlite.execute("UPDATE keks SET uploaded = 0 WHERE uploaded")
            self._sqlite.execute("UPDATE org_erasures SET uploaded = 0 WHERE uploaded")

    def _bury(self, erasure: OrgErasure, uploaded: bool) -> int:
        org_id, erased_us = erasure
        self._sqlite.execute(
            "INSERT OR REPLACE INTO org_erasures VALUES (?, ?, ?)", (org_id, erased_us, uploaded)
        )
        for table in ("keks", "data_keys"):
            destroyed = self._sqlite.execute(
                f"DELETE FROM {table} WHERE org_id = ? AND created_us <= ?",  # noqa: S608 - ours
                (org_id, erased_us),
            ).rowcount
        return destroyed

    def _erased_us(self, org_id: str) -> int:
        found = self._sqlite.execute(
            "SELECT erased_us FROM org_erasures WHERE org_id = ?", (org_id,)
        ).fetchone()
        return 0 if found is None else int(found[0])


def _kek(row: Sequence[object]) -> WrappedKek:
    return WrappedKek(*row)._replace(bound=bool(row[6]))  # type: ignore[arg-type]
