"""A folder of training examples: numbered shards, what is known of an export that goes on, and the
manifest of one that has ended."""

import fcntl
import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from axon import __version__
from axon.base import MIB, AxonError
from axon.journal import SystemDisk

SHARD_BYTES = 64 * MIB
"""A shard ends behind the example with which it has as much."""

MANIFEST = "manifest.json"
_UNFINISHED = "unfinished.json"
_SPACES = b" \t\r\n"
_DIGEST_BYTES = 16


class FolderUnusable(AxonError):
    """This folder cannot take this export."""


class ExportDamaged(AxonError):
    """These training data are not as they were exported."""


class Shard(msgspec.Struct, kw_only=True):
    """One file of examples, a JSON object a line."""

    name: str
    examples: int
    bytes: int
    sha256: str = ""


class Progress(msgspec.Struct, kw_only=True):
    """What an export has done; of one that has ended, with its shards."""

    format: str
    asked: dict[str, Any]
    """What was asked for, as it was asked: 90d may stand in it."""
    filters: dict[str, Any]
    """What that meant when the export was begun, as Axon is asked for it."""
    last_id: str = ""
    """The last turn that was looked at."""
    total: int = 0
    turns: int = 0
    examples: int = 0
    duplicates: int = 0
    bases: dict[str, int] = {}
    """Why the examples may be used: people `opted_in`, or the `organization` allows it."""
    dropped: dict[str, int] = {}
    """Turns of which nothing was made, by why."""
    hidden: dict[str, int] = {}
    """Values that were hidden, by kind."""
    redactors: list[str] = []
    shards: list[Shard] = []


class Manifest(Progress, kw_only=True):
    """What is in the folder of an export that has ended, and where it came from."""

    finished_us: int
    made_by: dict[str, Any]
    """Whose account on which host."""
    reason: str
    axon_version: str


class Page(msgspec.Struct, kw_only=True):
    """What Axon answers (`training.page`)."""

    data: list[msgspec.Raw]
    turns: int
    total: int | None
    bases: dict[str, int]
    dropped: dict[str, int]
    hidden: dict[str, int]
    redactor: str
    last_id: str | None
    has_more: bool


class TrainingFolder:
    """Takes pages; each is in it whole or not at all, whenever its process is killed."""

    def __init__(self, path: Path, progress: Progress, shard_bytes: int = SHARD_BYTES) -> None:
        """See `opened`."""
        self.path = path
        self.progress = progress
        self._shard_bytes = shard_bytes
        self._disk = SystemDisk()
        self._seen = _Seen(self._lines())

    def take(self, page: Page) -> None:
        """Write the page's examples, but for those that are there, and that it was taken."""
        done = msgspec.json.decode(msgspec.json.encode(self.progress), type=Progress)
        for lines in self._shards_of(done, page.data):
            shard = done.shards[-1]
            shard.bytes += self._append(shard.name, lines)
            shard.examples += len(lines)
            done.examples += len(lines)
        done.duplicates += len(page.data) - (done.examples - self.progress.examples)
        done.turns += page.turns
        done.total = page.total if page.total is not None else done.total
        done.last_id = page.last_id or done.last_id
        done.bases = _sum(done.bases, page.bases)
        done.dropped = _sum(done.dropped, page.dropped)
        done.hidden = _sum(done.hidden, page.hidden)
        if page.redactor not in done.redactors:
            done.redactors.append(page.redactor)
        self._keep(_UNFINISHED, done)
        self.progress = done

    def finish(self, now_us: int, made_by: dict[str, Any], reason: str) -> Manifest:
        """Write the manifest, by which the folder is an export that has ended; blocks."""
        known = msgspec.structs.asdict(self.progress)
        for shard in known["shards"]:
            shard.sha256 = _sha256(self.path / shard.name)
        manifest = Manifest(
            **known, finished_us=now_us, made_by=made_by, reason=reason, axon_version=__version__
        )
        self._keep(MANIFEST, manifest)
        (self.path / _UNFINISHED).unlink()
        return manifest

    def _shards_of(self, done: Progress, data: Sequence[msgspec.Raw]) -> Iterator[list[bytes]]:
        """Yield what goes into each shard, which then is the last of `done`."""
        lines: list[bytes] = []
        size = done.shards[-1].bytes if done.shards else self._shard_bytes
        for one in data:
            line = bytes(one).strip(_SPACES) + b"\n"
            if not self._seen.new(line):
                continue
            if size >= self._shard_bytes:
                if lines:
                    yield lines
                    lines = []
                name = f"part-{len(done.shards) + 1:05d}.jsonl"
                done.shards.append(Shard(name=name, examples=0, bytes=0))
                size = 0
            lines.append(line)
            size += len(line)
        if lines:
            yield lines

    def _append(self, name: str, lines: Sequence[bytes]) -> int:
        data = b"".join(lines)
        with (self.path / name).open("ab") as file:
            file.write(data)
            file.flush()
            self._disk.sync(file.fileno())
        return len(data)

    def _keep(self, name: str, value: Progress) -> None:
        """Put a file in the place of what it was, whole."""
        draft = self.path / f"{name}.new"
        with draft.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
            file.flush()
            self._disk.sync(file.fileno())
        draft.replace(self.path / name)
        self._disk.sync_directory(self.path)

    def _lines(self) -> Iterator[bytes]:
        for shard in self.progress.shards:
            with (self.path / shard.name).open("rb") as file:
                yield from file


class _Seen:
    """Which examples are there; in a database without a name, so that no memory bounds them."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        for line in lines:
            self.new(line)

    def new(self, line: bytes) -> bool:
        """Return whether the example was not there, and note it: white space makes no other."""
        normal = json.dumps(_normal(json.loads(line)), sort_keys=True).encode()
        digest = hashlib.blake2b(normal, digest_size=_DIGEST_BYTES).digest()
        put = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,))
        return put.rowcount == 1


@contextmanager
def opened(
    path: Path, wanted: Progress, shard_bytes: int = SHARD_BYTES
) -> Iterator[TrainingFolder]:
    """Lend the folder, new or where an export of the same things was cut short.

    Raises FolderUnusable for a folder with anything else in it, or that another process fills.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderUnusable(f"another export fills {path} now") from None
        yield TrainingFolder(path, _continued(path, wanted), shard_bytes)
    finally:
        os.close(descriptor)


def verify(path: Path) -> Manifest:
    """Return the manifest of an export that has ended and is as it was; raise ExportDamaged."""
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise ExportDamaged(f"{path} has no {MANIFEST}; was the export cut short?") from None
    except msgspec.DecodeError as error:
        raise ExportDamaged(f"{MANIFEST}: {error}") from error
    for shard in manifest.shards:
        try:
            found = _sha256(path / shard.name)
        except OSError as error:
            raise ExportDamaged(f"{shard.name}: {error.strerror}") from error
        if found != shard.sha256:
            raise ExportDamaged(f"{shard.name} has other bytes than when it was exported")
    known = {shard.name for shard in manifest.shards}
    more = sorted(one.name for one in path.glob("part-*") if one.name not in known)
    if more:
        raise ExportDamaged(f"{more[0]} is not in the manifest")
    return manifest


def _continued(path: Path, wanted: Progress) -> Progress:
    """Return what was done before, with the shards cut to it."""
    unfinished = path / _UNFINISHED
    if not unfinished.exists():
        if any(path.iterdir()):
            raise FolderUnusable(f"there is something in {path} already; name a new folder")
        return wanted
    try:
        done = msgspec.json.decode(unfinished.read_bytes(), type=Progress)
    except msgspec.DecodeError as error:
        raise FolderUnusable(f"{unfinished} cannot be read: {error}") from error
    if (done.format, done.asked) != (wanted.format, wanted.asked):
        raise FolderUnusable(f"an export of other things was begun in {path}")
    known = {shard.name: shard.bytes for shard in done.shards}
    for part in path.glob("part-*.jsonl"):
        if part.name not in known:
            part.unlink()
    for name, size in known.items():
        part = path / name
        if not part.exists() or part.stat().st_size < size:
            raise FolderUnusable(f"{part} lacks what was written to it; begin anew")
        os.truncate(part, size)
    return done


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(one) + Counter(other))


def _normal(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list):
        return [_normal(one) for one in value]
    if isinstance(value, dict):
        return {name: _normal(one) for name, one in value.items()}
    return value


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
