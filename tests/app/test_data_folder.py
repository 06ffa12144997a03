"""What lies in the data folder: one axon up at a time, journals' names, bounded logs."""

import shutil
from pathlib import Path

import pytest

from axon.app.folders import DataFolder, JournalAmbiguous
from axon.app.settings import Settings
from axon.app.up import AlreadyRunning, FolderLock, Running, read_running
from axon.app.up.logs import trim_logs
from axon.app.up.running import write_running
from axon.base import SystemRandomness


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder.of(Settings(data=str(tmp_path / "data")))


def test_the_folder_is_private(folder: DataFolder) -> None:
    assert folder.root.stat().st_mode & 0o777 == 0o700


def open_journal(folder: DataFolder, process: str) -> Path:
    """Make the journal a process of this name would open, with something in it."""
    name = folder.journal_instance(Settings(instance=process), SystemRandomness())
    journal = folder.journals / name
    journal.mkdir(parents=True, exist_ok=True)
    (journal / "lock").touch()
    return journal


def test_a_journal_keeps_its_name_and_each_process_has_one_of_its_own(folder: DataFolder) -> None:
    one, two = open_journal(folder, "one"), open_journal(folder, "two")
    assert one != two
    assert open_journal(DataFolder(folder.root), "one") == one
    assert open_journal(folder, "other-one") != one


def test_a_wiped_journal_comes_back_under_another_name(folder: DataFolder) -> None:
    before = open_journal(folder, "serving")
    shutil.rmtree(before)
    assert open_journal(folder, "serving").name != before.name


def test_an_emptied_journal_comes_back_under_another_name(folder: DataFolder) -> None:
    before = open_journal(folder, "serving")
    (before / "lock").unlink()
    assert open_journal(folder, "serving").name != before.name
    assert not before.exists()


def test_of_two_journals_none_is_guessed_to_be_ours(folder: DataFolder) -> None:
    ours = open_journal(folder, "serving")
    shutil.copytree(ours, ours.with_name("0123456789ab-serving"))
    with pytest.raises(JournalAmbiguous, match=ours.name):
        open_journal(folder, "serving")


def test_a_second_axon_up_is_told_who_runs(folder: DataFolder) -> None:
    running = Running(pid=4711, base_url="http://127.0.0.1:8080/v1", pids={})
    with FolderLock(folder):
        with pytest.raises(AlreadyRunning, match="still starting"), FolderLock(folder):
            pass
        write_running(folder, running)
        with pytest.raises(AlreadyRunning, match="process 4711"), FolderLock(folder):
            pass
    with FolderLock(folder):
        assert read_running(folder) == running


def test_what_runs_is_told_in_a_private_file(folder: DataFolder) -> None:
    assert read_running(folder) is None
    write_running(folder, Running(pid=1, base_url="x", pids={"serving": [2]}))
    assert folder.running.stat().st_mode & 0o777 == 0o600


def test_a_log_over_its_bound_is_moved_aside_while_it_is_written(tmp_path: Path) -> None:
    small, large = tmp_path / "small.log", tmp_path / "large.log"
    small.write_text("x")
    with large.open("a") as writer:
        writer.write("y" * 101)
        writer.flush()
        assert trim_logs(tmp_path, bytes_max=100) == [large]
        writer.write("z")
    assert large.read_text() == "z"
    assert (tmp_path / "large.log.1").read_text() == "y" * 101
    assert small.read_text() == "x"
