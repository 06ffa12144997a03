"""The file of wrapped keys, in SQLite: durable on return, shared by the processes of a node."""

import mmap
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
CREATE TABLE IF NOT EXISTS keks (
    kek_id TEXT PRIMARY KEY,
    region TEXT NOT NULL,
    org_id TEXT NOT NULL,
    root TEXT NOT NULL,
    root_version TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    bound INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    wrapped_us INTEGER NOT NULL,
    uploaded INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS kek_of_org ON keks (org_id, region, created_us, kek_id);
CREATE INDEX IF NOT EXISTS kek_to_upload ON keks (kek_id) WHERE NOT uploaded;
CREATE TABLE IF NOT EXISTS org_erasures (
    org_id TEXT PRIMARY KEY,
    erased_us INTEGER NOT NULL,
    uploaded INTEGER NOT NULL
) WITHOUT ROWID;
"""


class KeyFile:
    """The open file; every method but `mark` blocks, and one thread at a time may use it.

    Next to it lies a small shared file, the mark: it changes whenever keys were destroyed or are
    not to be used any more, so that every process notices at the price of reading memory.
    """

    def __init__(self, path: Path, randomness: Randomness) -> None:
        """Open or create the file (0600); raises KeyringRefused or KeyStoreFailed."""
        self._randomness = randomness
        _create(path)
        mark = path.with_name(path.name + ".mark")
        _create(mark)
        with mark.open("r+b") as file:
            os.truncate(file.fileno(), _MARK_BYTES)
            self._mark = mmap.mmap(file.fileno(), _MARK_BYTES)
        with failing():
            self.sqlite = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            # With TRUNCATE and FULL the end of the rollback journal is fsynced too: a commit that
            # returned cannot be undone by a power loss. secure_delete overwrites erased keys.
            self.sqlite.execute("PRAGMA journal_mode = TRUNCATE")
            self.sqlite.execute("PRAGMA synchronous = FULL")
            self.sqlite.execute("PRAGMA secure_delete = ON")
            self.sqlite.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        self.change_mark()  # a process may have died between erasing and saying so

    def close(self) -> None:
        """Close the files."""
        self.sqlite.close()
        self._mark.close()

    def mark(self) -> bytes:
        """Return the mark; never blocks, any thread may ask."""
        return self._mark[:]

    def change_mark(self) -> None:
        """Have all processes of this node forget the keys they have in memory."""
        self._mark[:] = self._randomness.bytes(_MARK_BYTES)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the block one transaction, durable at its end; raises KeyStoreFailed."""
        with failing():
            self.sqlite.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.sqlite.execute("COMMIT")
            except BaseException:
                if self.sqlite.in_transaction:
                    self.sqlite.execute("ROLLBACK")
                raise


@contextmanager
def failing() -> Iterator[None]:
    """Raise KeyStoreFailed for what SQLite raises."""
    try:
        yield
    except sqlite3.Error as error:
        raise KeyStoreFailed(str(error)) from error


def _create(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        check_private(descriptor, path)
    finally:
        os.close(descriptor)
    fsync_directory(path.parent)
