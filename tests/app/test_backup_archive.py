"""A backup is whole or refused: damaged, cut short, newer, foreign, or no backup at all."""

import io
import subprocess
from pathlib import Path

import msgspec
import pytest
import zstandard

from axon.app.backup.archive import (
    HEADER_MEMBER,
    MANIFEST_MEMBER,
    MANIFEST_SUM_MEMBER,
    MEMBER_BYTES_MAX,
    ArchiveWriter,
    read_members,
)
from axon.app.backup.errors import BackupDamaged, BackupError, BackupNewer, NoBackup
from axon.app.backup.manifest import CONTENT, Header, Manifest, TableCopy
from axon.app.backup.verifying import verify_backup
from tests.app.backup_scene import quiet

ROWS = [b"the first piece " * 400, bytes(range(256)) * 8]
HEADER = Header(kind=CONTENT, axon_version="0.0", created_us=1_760_000_000_000_000, keyring="k")


def sha256(data: bytes) -> str:
    done = subprocess.run(["sha256sum"], input=data, capture_output=True, timeout=10, check=True)
    return done.stdout.split()[0].decode()


def manifest(**changed: object) -> Manifest:
    table = TableCopy(
        schema="a", name="b", columns=["c"], rows=2, bytes=sum(map(len, ROWS)),
        sha256=sha256(b"".join(ROWS)),
    )  # fmt: skip
    whole = Manifest(tables=[table], migrations={}, cursors={"j": 7}, sequences={})
    return msgspec.structs.replace(whole, **changed)


def write(path: Path, told: Manifest, header: bytes = b"") -> Path:
    with path.open("wb") as file:
        archive = ArchiveWriter(file, HEADER.created_us)
        archive.add(HEADER_MEMBER, header or msgspec.json.encode(HEADER))
        for number, piece in enumerate(ROWS):
            archive.add(f"a.b/{number:06d}", piece)
        encoded = msgspec.json.encode(told)
        archive.add(MANIFEST_MEMBER, encoded)
        archive.add(MANIFEST_SUM_MEMBER, sha256(encoded).encode())
        archive.finish()
    return path


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return write(tmp_path / "backup", manifest())


def test_a_whole_one_says_what_it_is(backup: Path) -> None:
    found = verify_backup(backup, quiet)
    assert found.header == HEADER
    assert found.manifest == manifest()


def test_common_tools_can_list_it(backup: Path) -> None:
    with zstandard.ZstdDecompressor().stream_reader(backup.open("rb"), closefd=True) as frame:
        done = subprocess.run(["tar", "-t"], input=frame.read(), capture_output=True, check=True)
    assert done.stdout.decode().split() == [
        HEADER_MEMBER, "a.b/000000", "a.b/000001", MANIFEST_MEMBER, MANIFEST_SUM_MEMBER
    ]  # fmt: skip


def test_cut_anywhere_it_is_refused(backup: Path) -> None:
    whole = backup.read_bytes()
    # Behind the manifest's own checksum come only tar's closing zeros and zstd's checksum.
    for length in range(0, len(whole) - 40, 7):
        backup.write_bytes(whole[:length])
        with pytest.raises((NoBackup, BackupDamaged)):
            verify_backup(backup, quiet)


def test_every_flipped_bit_is_seen_or_harmless(backup: Path) -> None:
    whole = backup.read_bytes()
    refused = 0
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        backup.write_bytes(damaged)
        try:
            found = verify_backup(backup, quiet)
        except BackupError:
            refused += 1
        else:
            assert (found.header, found.manifest) == (HEADER, manifest())
    assert refused > len(whole) / 3 * 0.9


def test_one_that_cannot_be_unpacked_is_damaged_and_not_something_else(backup: Path) -> None:
    head, data = zstandard.FRAME_HEADER, backup.read_bytes()
    backup.write_bytes(head + data[len(head) : 20] + b"\xff" * 20 + data[40:])
    with pytest.raises(BackupDamaged):
        verify_backup(backup, quiet)


@pytest.mark.parametrize("content", [b"", b"no backup", zstandard.compress(b"nor is this one")])
def test_what_is_none_is_named_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(NoBackup):
        verify_backup(path, quiet)


def test_a_newer_format_names_the_version_that_wrote_it(tmp_path: Path) -> None:
    newer = write(tmp_path / "newer", manifest(), b'{"format":2,"axon_version":"9.9","new":1}')
    with pytest.raises(BackupNewer, match=r"9\.9"):
        verify_backup(newer, quiet)


def test_rows_that_are_not_the_manifests_are_refused(tmp_path: Path) -> None:
    table = msgspec.structs.replace(manifest().tables[0], sha256="0" * 64)
    with pytest.raises(BackupDamaged, match=r"a\.b"):
        verify_backup(write(tmp_path / "other", manifest(tables=[table])), quiet)
    with pytest.raises(BackupDamaged, match="other tables"):
        verify_backup(write(tmp_path / "none", manifest(tables=[])), quiet)


def test_a_member_beyond_the_bound_is_refused() -> None:
    file = io.BytesIO()
    archive = ArchiveWriter(file, 0)
    archive.add("a.b/000000", bytes(MEMBER_BYTES_MAX + 1))
    archive.finish()
    file.seek(0)
    with pytest.raises(BackupDamaged, match=r"a\.b/000000"):
        list(read_members(file))
