"""A folder, or one file, of flag definitions that others keep: read whole, or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from axon.base import MIB, AxonError
from axon.flags.documents import RULE_MARK, path_of, same, split_document
from axon.flags.errors import DefinitionInvalid

FILES_MAX = 1000
FILE_BYTES_MAX = 4 * MIB
"""As much as a document may have."""

Signature = tuple[tuple[str, int, int, int], ...]
"""Of each file its name, when it was changed, its length and its number on the disk."""


class FolderUnusable(AxonError):
    """The flags of a folder cannot be used as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRead:
    """What a folder held when it was read."""

    signature: Signature
    definitions: Mapping[str, bytes]
    """By name, of all of its files."""
    whence: Mapping[str, str]
    """The file of each."""


def folder_signature(folder: Path) -> Signature:
    """Return what tells that a file came, went or changed; blocks; raises FolderUnusable."""
    try:
        return tuple(
            (path.name, status.st_mtime_ns, status.st_size, status.st_ino)
            for path in _files(folder)
            for status in [path.stat()]
        )
    except OSError as error:
        raise FolderUnusable(f"{error.filename or folder}: {error.strerror}") from error


def read_folder(folder: Path) -> FolderRead:
    """Return what the `.json` files of a folder, or one file, define; blocks.

    Raises FolderUnusable, which names the file and the place in it. A file that was renamed into
    place is never seen half; one that changes while it is read makes the whole unusable for now.
    Whether the definitions mean anything is not looked at.
    """
    before = folder_signature(folder)
    contents = {path.name: _content(path) for path in _files(folder)}
    if folder_signature(folder) != before:
        raise FolderUnusable("it is being changed")
    definitions: dict[str, bytes] = {}
    whence: dict[str, str] = {}
    for file, content in contents.items():
        try:
            own = split_document(content)
        except DefinitionInvalid as error:
            raise FolderUnusable(f"{file}: {error.detail}") from error
        for name, definition in own.items():
            if name in definitions and not _shared(name, definition, definitions[name]):
                raise FolderUnusable(f"{file}: {name} is in {whence[name]} already")
            definitions[name] = definition
            whence.setdefault(name, file)
    return FolderRead(signature=before, definitions=definitions, whence=whence)


def blamed(found: FolderRead, error: DefinitionInvalid) -> str:
    """Return what is wrong with the definitions, and in which file, for a person."""
    mistake = error.errors[0]
    for name, file in found.whence.items():
        if _is_below(mistake.path, path_of(name)):
            return f"{file}: {error.detail}"
    return error.detail


def _is_below(path: str, above: str) -> bool:
    return path.startswith(above) and path[len(above) : len(above) + 1] in ("", ".", "[")


def _shared(name: str, one: bytes, other: bytes) -> bool:
    """Return whether two files may both say this: the same rule, for flags of each."""
    return name.startswith(RULE_MARK) and same(one, other)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return [folder]
    # A hidden file is another program's draft, or how Kubernetes keeps what its links point at.
    found = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    if len(found) > FILES_MAX:
        raise FolderUnusable(f"more than {FILES_MAX} files")
    return found


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise FolderUnusable(f"{path.name}: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAX:
        raise FolderUnusable(f"{path.name}: more than {FILE_BYTES_MAX} bytes")
    return content
