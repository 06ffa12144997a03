"""Everything that could grow without end has a bound, and says so when it is reached."""

import json
from pathlib import Path

import pytest

from axon.flags import Asked, ChangeWrong, TooManyListeners
from axon.flags.folder import FILE_BYTES_MAX, FILES_MAX, FolderUnusable, read_folder
from axon.flags.listening import LISTENERS_MAX, Listeners
from axon.flags.snapshot import SNAPSHOT_BYTES_MAX, read_snapshot
from axon.flags.store import SCHEDULES_MAX
from tests.flags.flags_scene import ADA, KeepingFlags, document, flag


async def test_only_so_many_listen_and_one_who_leaves_makes_room() -> None:
    listeners = Listeners(lambda: 0)
    listening = [listeners.listen() for _ in range(LISTENERS_MAX)]
    with pytest.raises(TooManyListeners):
        listeners.listen()
    listening[7].close()
    listening[7].close()  # once more makes no more room
    listeners.listen()
    with pytest.raises(TooManyListeners):
        listeners.listen()
    listeners.close()
    late = listeners.listen()
    assert [number async for number in late.numbers(60)] == []


async def test_only_so_many_changes_wait_for_their_time(process: KeepingFlags) -> None:
    await process.change(tone=flag("on"))
    later_us = process.node.clock.now_us() + 3_600_000_000
    async with process.postgres.connection(30) as connection:
        await connection.execute(
            "INSERT INTO flags.schedules (schedule_id, number, due_us, wanted)"
            " SELECT 'fls_' || n, 1, $1, '{}' FROM generate_series(1, $2) AS n",
            later_us,
            SCHEDULES_MAX - 1,
        )
    asked = Asked(author=ADA, wanted={"tone": flag("off")}, due_us=later_us)
    await process.flags.changes.make(asked)
    with pytest.raises(ChangeWrong, match="wait for their time"):
        await process.flags.changes.make(asked)
    await process.change(tone=flag("off"))  # what is for now has nothing to do with it


def test_a_folder_of_too_many_files_or_too_large_ones_is_not_read(tmp_path: Path) -> None:
    for number in range(FILES_MAX):
        (tmp_path / f"{number}.json").write_bytes(document(**{f"f{number}": flag()}))
    assert len(read_folder(tmp_path).definitions) == FILES_MAX
    (tmp_path / "more.json").write_bytes(b"{}")
    with pytest.raises(FolderUnusable, match="files"):
        read_folder(tmp_path)
    (tmp_path / "more.json").write_bytes(b" " * (FILE_BYTES_MAX + 1))
    with pytest.raises(FolderUnusable, match="bytes"):
        read_folder(tmp_path / "more.json")


def test_a_snapshot_that_is_not_ours_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    assert read_snapshot(path) is None
    path.write_text(json.dumps({"format": 1, "number": 3}))
    found = read_snapshot(path)
    assert found is not None and found.number == 3
    with path.open("r+b") as file:
        file.truncate(SNAPSHOT_BYTES_MAX + 1)
    with pytest.raises(ValueError, match="larger"):
        read_snapshot(path)
