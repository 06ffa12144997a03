"""The wrapped data keys of this node, in SQLite: durable on return, shared by its processes."""

import mmap
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from axon.base import Randomness
from axon.sealing.errors import KeyStoreFailed
from axon.sealing.private_file import check_private, fsync_directory

BUSY_TIMEOUT_S = 5.0
"""How long to wait for another process of this node that is writing; each writes for an fsync."""

_MARK_BYTES = 8

_SCHEMA = """
CREATE TABLE IF NOT EXISTS data_keys (
    key_id BLOB PRIMARY KEY,
    org_id TEXT NOT NULL,
    user INTEGER NOT NULL,
    kek_id TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    current INTEGER NOT NULL,
    uploaded INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS current_key ON data_keys (org_id, user) WHERE current;
CREATE INDEX IF NOT EXISTS key_of_person ON data_keys (org_id, user);
CREATE INDEX IF NOT EXISTS key_to_upload ON data_keys (key_id) WHERE NOT uploaded;
CREATE TABLE IF NOT EXISTS erasures (
    org_id TEXT NOT NULL,
    user INTEGER NOT NULL,
    erased_us INTEGER NOT NULL,
    uploaded INTEGER NOT NULL,
    PRIMARY KEY (org_id, user)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS erasure_to_upload ON erasures (org_id) WHERE NOT uploaded;
"""

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


class WrappedKey(NamedTuple):
    """A data key as it is stored."""

    key_id: bytes
    org_id: str
    user: int
    kek_id: str
    wrapped: bytes
    created_us: int


class Erasure(NamedTuple):
    """A tombstone: no key of this person made at or before this instant may come back."""

    org_id: str
    user: int
    erased_us: int


class KeyTable:
    """The table; every method blocks, and one thread at a time may use it.

    Next to it lies a small shared file, the mark: it changes whenever keys were erased, so that
    every process notices at the price of reading memory.
    """

    def __init__(self, path: Path, randomness: Randomness) -> None:
        """Open or create the table (0600); raises KeyringRefused or KeyStoreFailed."""
        self._randomness = randomness
        _create(path)
        mark = path.with_name(path.name + ".mark")
        _create(mark)
        with mark.open("r+b") as file:
            os.truncate(file.fileno(), _MARK_BYTES)
            self._mark = mmap.mmap(file.fileno(), _MARK_BYTES)
        with _failing():
            self._sqlite = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            # With TRUNCATE and FULL the end of the rollback journal is fsynced too: a commit that
            # returned cannot be undone by a power loss. secure_delete overwrites erased keys.
            self._sqlite.execute("PRAGMA journal_mode = TRUNCATE")
            self._sqlite.execute("PRAGMA synchronous = FULL")
            self._sqlite.execute("PRAGMA secure_delete = ON")
            self._sqlite.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        self._change_mark()  # a process may have died between erasing and saying so

    def close(self) -> None:
        """Close the files."""
        self._sqlite.close()
        self._mark.close()

    def mark(self) -> bytes:
        """Return the mark; never blocks, any thread may ask."""
        return self._mark[:]

    def current(self, fresh: list[WrappedKey]) -> list[WrappedKey]:
        """Return the current key of each person named by `fresh`: the stored one, else this one."""
        with self._transaction():
            return [self._current(key) for key in fresh]

    def _current(self, fresh: WrappedKey) -> WrappedKey:
        person = (fresh.org_id, fresh.user)
        found = self._sqlite.execute(_CURRENT, person).fetchone()
        if found is not None:
            return WrappedKey(*found)
        key = fresh._replace(created_us=max(fresh.created_us, self._erased_us(*person) + 1))
        self._sqlite.execute("INSERT INTO data_keys VALUES (?, ?, ?, ?, ?, ?, 1, 0)", key)
        return key

    def by_id(self, key_id: bytes) -> WrappedKey | None:
        """Return the key, or None when it is not here."""
        with _failing():
            found = self._sqlite.execute(_BY_ID, (key_id,)).fetchone()
        return None if found is None else WrappedKey(*found)

    def keep(self, key: WrappedKey) -> bool:
        """Keep a key that comes from elsewhere; return False when its person was erased since."""
        with self._transaction():
            if key.created_us <= self._erased_us(key.org_id, key.user):
                return False
            self._sqlite.execute(
                "INSERT OR IGNORE INTO data_keys VALUES (?, ?, ?, ?, ?, ?, 0, 1)", key
            )
            return True

    def erase(self, org_id: str, user: int, now_us: int) -> int:
        """Destroy all keys of a person and leave a tombstone; return how many there were."""
        person = (org_id, user)
        with self._transaction():
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
        self._change_mark()
        return erased

    def bury(self, erasures: Sequence[Erasure]) -> int:
        """Destroy what other nodes erased; return how many keys there were.

        Keys made since stay: whoever comes back begins anew.
        """
        erased = 0
        fresh = [one for one in erasures if self.erased_us(one.org_id, one.user) < one.erased_us]
        if not fresh:
            return 0
        with self._transaction():
            for one in fresh:
                self._sqlite.execute("INSERT OR REPLACE INTO erasures VALUES (?, ?, ?, 1)", one)
                erased += self._sqlite.execute(
                    "DELETE FROM data_keys WHERE org_id = ? AND user = ? AND created_us <= ?", one
                ).rowcount
        self._change_mark()
        return erased

    def erased_us(self, org_id: str, user: int) -> int:
        """Return when this person was last erased; 0 for never."""
        with _failing():
            return self._erased_us(org_id, user)

    def keys_to_upload(self, count_max: int) -> list[WrappedKey]:
        """Return keys that PostgreSQL is not known to have."""
        with _failing():
            return [WrappedKey(*row) for row in self._sqlite.execute(_TO_UPLOAD, (count_max,))]

    def erasures_to_upload(self, count_max: int) -> list[Erasure]:
        """Return tombstones that PostgreSQL is not known to have."""
        query = "SELECT org_id, user, erased_us FROM erasures WHERE NOT uploaded LIMIT ?"
        with _failing():
            return [Erasure(*row) for row in self._sqlite.execute(query, (count_max,))]

    def uploaded(self, key_ids: list[bytes], erasures: list[Erasure]) -> None:
        """Note that PostgreSQL has these."""
        with self._transaction():
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
        with self._transaction():
            self._sqlite.execute("UPDATE data_keys SET uploaded = 0 WHERE uploaded")
            self._sqlite.execute("UPDATE erasures SET uploaded = 0 WHERE uploaded")

    def _erased_us(self, org_id: str, user: int) -> int:
        found = self._sqlite.execute(
            "SELECT erased_us FROM erasures WHERE org_id = ? AND user = ?", (org_id, user)
        ).fetchone()
        return 0 if found is None else int(found[0])

    def _change_mark(self) -> None:
        self._mark[:] = self._randomness.bytes(_MARK_BYTES)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _failing():
            self._sqlite.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._sqlite.execute("COMMIT")
            except BaseException:
                if self._sqlite.in_transaction:
                    self._sqlite.execute("ROLLBACK")
                raise


def _create(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        check_private(descriptor, path)
    finally:
        os.close(descriptor)
    fsync_directory(path.parent)


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise KeyStoreFailed(str(error)) from error
