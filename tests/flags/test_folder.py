"""A folder of definitions: taken over whole or not at all, and nobody else's to change."""

import json
import os
from pathlib import Path

import pytest

from axon.flags import FlagFromFile
from tests.flags.flags_scene import FlagsNode, KeepingFlags, document, flag


@pytest.fixture
def folder(node: FlagsNode, tmp_path: Path) -> Path:
    found = tmp_path / "flag-files"
    found.mkdir()
    node.folder = found
    return found


def put(path: Path, content: bytes) -> None:
    """Replace a file as careful programs do."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(content)
    draft.rename(path)


@pytest.mark.failure("flags-folder", "wiped")
async def test_files_become_changes_like_any_other(node: FlagsNode, folder: Path) -> None:
    put(folder / "a.json", document(tone=flag("on")))
    put(folder / "b.json", document(size=flag("off")))
    (folder / "notes.txt").write_text("not a flag")
    process = await node.process()
    await process.until(lambda: (process.variant(), process.variant("size")) == ("on", "off"))
    (record,) = process.records()
    assert (record.origin, record.credential_id) == ("folder", "")
    assert record.why == "as in a.json, b.json"
    put(folder / "a.json", document(tone=flag("off")))
    await process.until(lambda: process.variant() == "off")
    (folder / "b.json").unlink()
    await process.until(lambda: process.variant("size") is None)
    assert [one.action for one in process.records()[-1].changes] == ["archived"]
    await process.close()


@pytest.mark.failure("flags-folder", "corrupt")
@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", b'{"flags": {', "a.json: $: not JSON"),
        ("a.json", b'{"flags": {"tone": 5}}', "a.json: $.flags"),
        ("a.json", document(tone=b'{"state": "ENABLED"}'), "a.json: $.flags.tone.variants"),
        ("z.json", document(tone=flag("off")), "z.json: tone is in a.json already"),
        ("a.json", document(**{"a/b": flag("on")}), "a.json: $.flags"),
    ],
)
async def test_a_file_that_is_wrong_changes_nothing(
    node: FlagsNode, folder: Path, name: str, content: bytes, told: str
) -> None:
    put(folder / "a.json", document(tone=flag("on")))
    process = await node.process()
    await process.until(lambda: process.variant() == "on")
    put(folder / "b.json", document(size=flag("on")))  # whole, but beside one that is not
    await process.until(lambda: process.variant("size") == "on")
    put(folder / name, content)
    await process.until(lambda: not _up(process))
    health = process.flags.folder_health
    assert health is not None and told in health.reason
    put(folder / "b.json", document(size=flag("off")))
    assert (process.variant(), process.variant("size")) == ("on", "on")
    put(folder / name, document(tone=flag("off")) if name == "a.json" else b'{"flags": {}}')
    await process.until(lambda: process.variant("size") == "off")
    await process.until(lambda: _up(process))
    await process.close()


@pytest.mark.failure("flags-folder", "down")
async def test_a_folder_that_is_not_there_switches_nothing_off(
    node: FlagsNode, folder: Path
) -> None:
    put(folder / "a.json", document(tone=flag("on")))
    process = await node.process()
    await process.until(lambda: process.variant() == "on")
    folder.rename(folder.with_name("elsewhere"))
    await process.until(lambda: not _up(process))
    assert process.variant() == "on"
    folder.with_name("elsewhere").rename(folder)
    await process.until(lambda: _up(process))
    await process.close()


async def test_what_comes_from_a_file_is_changed_there_alone(node: FlagsNode, folder: Path) -> None:
    process = await node.process()
    await process.change(tone=flag("on"), own=flag("on"))
    put(folder / "a.json", document(tone=flag("on")))  # the same: the file takes it over
    await process.until(lambda: len(process.records()) == 2)
    with pytest.raises(FlagFromFile):
        await process.change(tone=flag("off"))
    await process.change(own=flag("off"))
    assert process.variant("own") == "off"
    await process.close()
    node.folder = None  # who has no folder has nobody else to ask
    alone = await node.process()
    await alone.change(tone=flag("off"))
    assert alone.variant() == "off"
    await alone.close()


async def test_one_file_and_links_as_kubernetes_makes_them(
    node: FlagsNode, folder: Path, tmp_path: Path
) -> None:
    node.folder = folder / "flags.json"
    first, second = folder / "..1", folder / "..2"
    for where, variant in ((first, "on"), (second, "off")):
        where.mkdir()
        (where / "flags.json").write_bytes(document(tone=flag(variant)))
    (folder / "..data").symlink_to(first)
    (folder / "flags.json").symlink_to(Path("..data") / "flags.json")
    process = await node.process()
    await process.until(lambda: process.variant() == "on")
    os.symlink(second, folder / "..new")
    (folder / "..new").rename(folder / "..data")
    await process.until(lambda: process.variant() == "off")
    await process.close()


async def test_two_processes_make_one_change_of_one_file(node: FlagsNode, folder: Path) -> None:
    processes = [await node.process(name) for name in ("a", "b")]
    shared = {"$evaluators": {"all": True}}
    content = {**json.loads(document(a=flag("on"), b=flag("on"))), **shared}
    put(folder / "flags.json", json.dumps(content).encode())
    for process in processes:
        await process.until(lambda one=process: one.variant("b") == "on")  # type: ignore[misc]
        await process.until(lambda one=process: _up(one))  # type: ignore[misc]
    made = [
        change.name for one in processes for record in one.records() for change in record.changes
    ]
    assert sorted(made) == ["$all", "a", "b"]
    for process in processes:
        await process.close()


def _up(process: KeepingFlags) -> bool:
    health = process.flags.folder_health
    return health is not None and health.up
