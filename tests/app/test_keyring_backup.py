"""A backup of the keyring is exact, private, never overwrites, and is remembered."""

from pathlib import Path

import pytest

from axon.app.folders import DataFolder
from axon.app.keyring_backup import BackupExists, NoKeyring, back_up, last_backup
from axon.base import SystemClock, SystemRandomness
from axon.sealing import Keyring


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    found = DataFolder(tmp_path / "data")
    found.root.mkdir(mode=0o700)
    Keyring.open(found.keyring, SystemRandomness())
    return found


def test_the_copy_is_exact_and_private(folder: DataFolder, tmp_path: Path) -> None:
    copy = back_up(folder, tmp_path / "copy.json", SystemClock())
    assert copy.read_bytes() == folder.keyring.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert last_backup(folder) is not None


def test_a_folder_gets_a_file_of_the_same_name(folder: DataFolder, tmp_path: Path) -> None:
    assert back_up(folder, tmp_path, SystemClock()) == tmp_path / folder.keyring.name


def test_another_file_is_never_overwritten(folder: DataFolder, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("something else")
    with pytest.raises(BackupExists):
        back_up(folder, target, SystemClock())
    assert target.read_text() == "something else"
    assert last_backup(folder) is None


def test_a_keyring_that_changed_since_is_not_backed_up(folder: DataFolder, tmp_path: Path) -> None:
    back_up(folder, tmp_path / "copy.json", SystemClock())
    folder.keyring.unlink()
    Keyring.open(folder.keyring, SystemRandomness())
    assert last_backup(folder) is None


def test_without_a_keyring_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(NoKeyring):
        back_up(DataFolder(tmp_path), tmp_path / "copy", SystemClock())
