"""What an older version wrote is read, and added to; what a newer one wrote is refused, unhurt."""

import shutil
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import pytest

from axon.base import SystemClock
from axon.journal import (
    JournalNewer,
    JournalReader,
    SystemDisk,
    inspect,
    salvage,
    verify,
)
from axon.journal.format import (
    SEGMENT_HEADER,
    SEGMENT_HEADER_BYTES,
    VERSION,
)
from axon.records import decode
from tests.journal.golden_journal import OPTIONS, expected_entries, golden_journals
from tests.journal.journals import Opened, read_all

VERSION_OFFSET = 8
"""In a segment header of every version, behind the magic."""


def test_the_present_format_has_a_golden_journal() -> None:
    assert golden_journals()[-1].name == str(VERSION)


@pytest.fixture(params=golden_journals(), ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """The golden folder, and a copy that may be written."""
    shutil.copytree(request.param, tmp_path / "journal")
    return request.param, tmp_path / "journal"


async def test_a_journal_of_any_version_is_read_and_added_to(golden: tuple[Path, Path]) -> None:
    source, copy = golden
    wanted = [(one.sequence, one.kind, one.payload) for one in expected_entries(source)]
    assert len(inspect(copy).segments) > 1
    assert verify(copy, lambda done, total: None) == []
    journal = Opened().open(copy, OPTIONS)
    assert journal.recovery.last_sequence == len(wanted)
    assert [(one.sequence, one.kind, one.payload) for one in journal.read(0)] == wanted
    await journal.append(1, b"one more")
    await journal.close()
    assert [(one.sequence, one.kind, one.payload) for one in read_all(copy)][:-1] == wanted
    assert verify(copy, lambda done, total: None) == []


def test_every_record_of_it_can_be_read(golden: tuple[Path, Path]) -> None:
    for entry in expected_entries(golden[0]):
        decode(entry.kind, entry.payload)


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def make_newer(path: Path) -> None:
    """Give a segment the header of the next format version, whole and checksummed."""
    data = bytearray(path.read_bytes())
    data[VERSION_OFFSET : VERSION_OFFSET + 4] = (VERSION + 1).to_bytes(4, "little")
    checksum = google_crc32c.value(bytes(data[: SEGMENT_HEADER.size]))
    data[SEGMENT_HEADER.size : SEGMENT_HEADER_BYTES] = checksum.to_bytes(4, "little")
    path.write_bytes(data)


DOORS: dict[str, Callable[[Path], object]] = {
    "open": lambda path: Opened().open(path, OPTIONS),
    "read": lambda path: JournalReader(path).read(0, 1000, 1 << 20),
    "inspect": inspect,
    "verify": lambda path: verify(path, lambda done, total: None),
    "salvage": lambda path: salvage(path, 2048, SystemDisk(), SystemClock()),
}


@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("door", DOORS)
def test_a_newer_format_is_refused_and_nothing_is_changed(
    tmp_path: Path, door: str, which: int
) -> None:
    """Also when only its last segment is newer: a newer version went on with an older journal."""
    directory = tmp_path / "journal"
    shutil.copytree(golden_journals()[-1], directory)
    (directory / "lock").touch()
    (directory / "00000000000000000099.new").write_bytes(b"what its version was about to make")
    make_newer(sorted(directory.glob("*.segment"))[which])
    before = content(directory)
    with pytest.raises(JournalNewer, match=f"format {VERSION + 1}.* knows {VERSION}"):
        DOORS[door](directory)
    assert content(directory) == before
