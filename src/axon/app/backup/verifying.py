"""Reading a whole backup before anything is done with it."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import msgspec

from axon.app.backup.archive import (
    HEADER_MEMBER,
    MANIFEST_MEMBER,
    MANIFEST_SUM_MEMBER,
    Member,
    read_members,
)
from axon.app.backup.errors import BackupDamaged, BackupNewer, NoBackup
from axon.app.backup.manifest import FORMAT, Header, Manifest

_Struct = TypeVar("_Struct", bound=msgspec.Struct)

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many bytes of it are done, and of how many; 0 when not known."""


class Verified(NamedTuple):
    """A backup that is whole."""

    path: Path
    header: Header
    manifest: Manifest


class _Sum:
    """The bytes of one table as they come by."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.bytes = 0

    def add(self, data: bytes) -> None:
        self.hash.update(data)
        self.bytes += len(data)


def read_header(path: Path) -> Header:
    """Return what the backup says of itself, and nothing else is read; raises as `verify_backup`.

    Blocks."""
    with path.open("rb") as file:
        return _header(read_members(file))


def verify_backup(path: Path, progress: Progress) -> Verified:
    """Return what the backup says of itself, every byte checked; blocks for as long as that takes.

    Raises NoBackup, BackupDamaged, BackupNewer or OSError.
    """
    size = path.stat().st_size
    sums: dict[str, _Sum] = {}
    with path.open("rb") as file:
        members = read_members(file)
        header = _header(members)
        manifest = b""
        for member in members:
            progress("checking the backup", file.tell(), size)
            if member.name == MANIFEST_MEMBER:
                manifest = member.data
            elif member.name == MANIFEST_SUM_MEMBER:
                if hashlib.sha256(manifest).hexdigest().encode() != member.data:
                    raise BackupDamaged("its manifest is not as it was written")
                found = _decode(manifest, Manifest)
                _compare(found, sums)
                return Verified(path, header, found)
            else:
                sums.setdefault(member.table, _Sum()).add(member.data)
    raise BackupDamaged("its end is missing")


def skip_header(file: IO[bytes]) -> Iterator[Member]:
    """Yield the members of a verified backup behind its header; blocks."""
    members = read_members(file)
    _header(members)
    return members


def _header(members: Iterator[Member]) -> Header:
    first = next(members, None)
    if first is None or first.name != HEADER_MEMBER:
        raise NoBackup("it does not begin like one")
    try:
        told = msgspec.json.decode(first.data, type=dict[str, object])
    except ValueError as error:  # of msgspec, or of bytes that are no text
        raise BackupDamaged(f"header: {error}") from error
    if told.get("format") != FORMAT:
        raise BackupNewer(f"format {told.get('format')}, Axon {told.get('axon_version')}")
    return _decode(first.data, Header)


def _decode(data: bytes, kind: type[_Struct]) -> _Struct:
    try:
        return msgspec.json.decode(data, type=kind)
    except ValueError as error:
        raise BackupDamaged(f"{kind.__name__.lower()}: {error}") from error


def _compare(manifest: Manifest, sums: dict[str, _Sum]) -> None:
    if sums.keys() != {table.place for table in manifest.tables}:
        raise BackupDamaged("other tables than it names are in it")
    for table in manifest.tables:
        found = sums[table.place]
        if (found.bytes, found.hash.hexdigest()) != (table.bytes, table.sha256):
            raise BackupDamaged(f"{table.place} is not as it was written")
