"""Backups of the data keys: apart from the content, short-lived, and no way back for the erased."""

from dataclasses import replace
from pathlib import Path

import pytest

from axon.app.backup import Allowed, restore_keys
from axon.app.backup.errors import (
    KeyBackupExpired,
)
from tests.app.backup_scene import (
    FarClock,
    Scene,
    quiet,
)

REPLACE = Allowed(replace=True, accept_loss=False)


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    return Scene.at(tmp_path, database)


async def test_the_content_holds_no_key_and_the_keys_no_content(scene: Scene) -> None:
    await scene.with_keys(lambda keys: keys.current("org_1", 1))
    content = await scene.verify(await scene.back_up())
    keys = await scene.verify(await scene.back_up("keys", "keys"))
    assert "sealing.data_keys" not in {table.place for table in content.manifest.tables}
    held = {table.place: table.rows for table in keys.manifest.tables}
    assert held == {
        "sealing.erasures": 0,
        "sealing.org_erasures": 0,
        "sealing.keks": 1,
        "sealing.data_keys": 1,
    }
    assert "sealing.keks" not in {table.place for table in content.manifest.tables}


async def test_lost_keys_come_back_but_not_those_of_the_erased(scene: Scene) -> None:
    for user in (1, 2):
        await scene.with_keys(lambda keys, user=user: keys.current("org_1", user))  # type: ignore[misc]
    backup = await scene.back_up("keys", "keys")
    await scene.with_keys(lambda keys: keys.erase("org_1", 2))
    # The disk is lost but for the tombstone, which another node or a later backup had.
    await scene.query("DELETE FROM sealing.data_keys")
    tombstones = await scene.query("SELECT * FROM sealing.erasures")
    assert tombstones == []
    restored = await restore_keys(scene.place, await scene.verify(backup), quiet)
    assert restored.buried == 1
    assert await scene.query("SELECT user_id FROM sealing.data_keys") == [(1,)]
    again = await restore_keys(scene.place, await scene.verify(backup), quiet)
    assert again.keys == 0


async def test_a_node_that_lost_its_keys_finds_them_again(scene: Scene) -> None:
    await scene.with_keys(lambda keys: keys.current("org_1", 1))
    backup = await scene.back_up("keys", "keys")
    ((key_id,),) = await scene.query("SELECT key_id FROM sealing.data_keys")
    for path in scene.place.folder.root.glob("keys.sqlite*"):
        path.unlink()
    await scene.query("DELETE FROM sealing.data_keys")
    restored = await restore_keys(scene.place, await scene.verify(backup), quiet)
    assert restored == (1, 0)
    deeds = await scene.query("SELECT action, object FROM deeds.deeds")
    assert ("keys.restored", backup.name) in deeds
    keys = scene.place.key_store()
    async with scene.place.connection() as connection:
        assert isinstance(key_id, bytes)
        await keys.fetch(connection, key_id)
    assert (await keys.by_id(key_id)).key_id == key_id
    await keys.close()


async def test_a_database_that_lost_the_keys_gets_them_from_the_node(scene: Scene) -> None:
    await scene.with_keys(lambda keys: keys.current("org_1", 1))
    backup = await scene.back_up()
    async with scene.place.connection() as connection:
        keys = scene.place.key_store()
        await keys.upload_rest(connection)
        await keys.close()
    await scene.query("DELETE FROM sealing.data_keys")
    await scene.restore(backup, REPLACE)
    assert await scene.query("SELECT user_id FROM sealing.data_keys") == [(1,)]


async def test_a_backup_of_keys_ends(scene: Scene) -> None:
    await scene.with_keys(lambda keys: keys.current("org_1", 1))
    found = await scene.verify(await scene.back_up("keys", "keys"))
    late = replace(scene.place, clock=FarClock(30.01))
    with pytest.raises(KeyBackupExpired):
        await restore_keys(late, found, quiet)
    await restore_keys(replace(scene.place, clock=FarClock(29.9)), found, quiet)
