"""What a backup says of itself: a header in front, a manifest behind the rows."""

import hashlib

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.sealing import Keyring

FORMAT = 1

CONTENT = "content"
KEYS = "keys"

KEYS_LIVE_US = 30 * 86_400 * MICROS_PER_SECOND
"""A backup of keys ends after 30 days: what is erased today can be read nowhere after that."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first member: what the rest needs to be understood."""

    format: int = FORMAT
    kind: str
    """CONTENT or KEYS."""
    axon_version: str
    created_us: int
    expires_us: int = 0
    """0 for never."""
    keyring: str
    """Tells the keyring the sealed content belongs to."""


class TableCopy(msgspec.Struct, frozen=True, kw_only=True):
    """One table's rows in the archive, as PostgreSQL's binary COPY writes them."""

    schema: str
    name: str
    columns: list[str]
    rows: int
    bytes: int
    sha256: str
    since_us: int | None = None
    """Of a month of the audit's turns: when it begins. It is made before its rows come."""

    @property
    def place(self) -> str:
        """Return the table's full name."""
        return f"{self.schema}.{self.name}"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The last member but its own checksum; all of one snapshot of the database."""

    tables: list[TableCopy]
    """In an order in which each table comes after those it refers to."""
    migrations: dict[str, dict[str, str]]
    """Checksums of what was applied, by room and number."""
    cursors: dict[str, int]
    """How much of each journal the rows contain."""
    sequences: dict[str, int]
    """The last value of each sequence, by its full name."""


def fingerprint(keyring: Keyring) -> str:
    """Return what tells one keyring from another and says nothing else about it."""
    return hashlib.sha256(keyring.derive("backup")).hexdigest()[:16]
