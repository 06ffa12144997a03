"""The file of a backup: a tar archive in one zstd frame, with checksums, written and read in order.

`tar --zstd -tf FILE` lists it. Members are `header.json`, then `TABLE/NUMBER` pieces of each
table's COPY in turn, then `manifest.json` and `manifest.sha256`.
"""

import io
import tarfile
from collections.abc import Iterator
from typing import IO, NamedTuple

import zstandard

from axon.app.backup.errors import BackupDamaged, NoBackup
from axon.base import MIB

HEADER_MEMBER = "header.json"
MANIFEST_MEMBER = "manifest.json"
MANIFEST_SUM_MEMBER = "manifest.sha256"

PIECE_BYTES = 4 * MIB
"""How much of a table is one member: what making and restoring hold in memory at a time."""

MEMBER_BYTES_MAX = 64 * MIB
"""A piece ends with a row, and no row is this large; a larger member is none of ours."""

_LEVEL = 3
_DRAIN_BYTES = MIB


class Member(NamedTuple):
    """One piece of an archive."""

    name: str
    data: bytes

    @property
    def table(self) -> str:
        """Return the table it is a piece of; for other members their name."""
        return self.name.rpartition("/")[0] or self.name


class ArchiveWriter:
    """Appends members to an open file; every method blocks and raises OSError."""

    def __init__(self, file: IO[bytes], made_us: int) -> None:
        """`made_us` is the instant every member carries."""
        self._made_s = made_us // 1_000_000
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self._frame = compressor.stream_writer(file, closefd=False)
        self._tar = tarfile.open(fileobj=self._frame, mode="w|", format=tarfile.GNU_FORMAT)  # noqa: SIM115

    def add(self, name: str, data: bytes) -> None:
        """Append a member."""
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = len(data), self._made_s, 0o600
        self._tar.addfile(member, io.BytesIO(data))

    def finish(self) -> None:
        """Write what closes the archive; the file stays open."""
        self._tar.close()
        self._frame.flush(zstandard.FLUSH_FRAME)


def read_members(file: IO[bytes]) -> Iterator[Member]:
    """Yield the members of an archive in order; blocks.

    Raises NoBackup when it is none, BackupDamaged where it cannot be read on, OSError.
    """
    began, head = False, file.read(len(zstandard.FRAME_HEADER))
    file.seek(0)
    try:
        with zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as frame:
            with tarfile.open(fileobj=frame, mode="r|") as tar:
                for found in tar:
                    began = True
                    if found.size > MEMBER_BYTES_MAX or not found.isfile():
                        raise BackupDamaged(f"{found.name} is no member of a backup")
                    content = tar.extractfile(found)
                    assert content is not None
                    yield Member(found.name, content.read())
            while frame.read(_DRAIN_BYTES):
                pass  # the frame's checksum is at its end
    except zstandard.ZstdError as error:
        if head != zstandard.FRAME_HEADER:
            raise NoBackup(str(error)) from error
        raise BackupDamaged(str(error)) from error
    except (tarfile.TarError, EOFError) as error:
        if not began:
            raise NoBackup(str(error)) from error
        raise BackupDamaged(str(error)) from error
