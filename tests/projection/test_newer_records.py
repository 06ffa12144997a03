"""A downgrade: records, and a schema, that only a newer version of Axon knows."""

import asyncio

import asyncpg
import pytest

from axon.journal import read_cursor
from axon.projection import read_status
from axon.records import KINDS, encode
from axon.stores import Postgres
from tests.projection.scene import LedgerRoom, Scene, change, eventually

NEWER = max(KINDS) + 1


def journal_error(scene: Scene, instance: str) -> str:
    status = read_status(scene.root)
    if status is None:
        return ""
    return "".join(one.error for one in status.journals if one.instance == instance)


async def test_a_record_of_a_newer_kind_stops_its_journal_and_is_not_parked(
    scene: Scene, ledger: LedgerRoom
) -> None:
    """The version that knows it finds everything behind it, in order; other journals go on."""
    journal = scene.open_journal("node-1")
    await journal.append(*encode(change("before")))
    await journal.append(NEWER, b"from the future")
    await journal.append(*encode(change("behind")))
    await journal.close()
    other = await scene.write("node-2", [change("elsewhere")])
    async with scene.projecting():
        await scene.projected("node-2", other)
        await eventually(lambda: f"node-1:2 is of kind {NEWER}" in journal_error(scene, "node-1"))
    assert "NewerRecord" in journal_error(scene, "node-1")
    assert f"knows {min(KINDS)} to {max(KINDS)}" in journal_error(scene, "node-1")
    assert sorted(await ledger.changes(scene.database)) == ["before", "elsewhere"]
    assert await scene.parked() == []
    assert read_cursor(scene.root / "node-1") == 1


@pytest.mark.parametrize(
    "damage",
    [
        "ALTER TABLE ledger RENAME TO ledgers",
        "ALTER TABLE ledger RENAME COLUMN change TO changed",
    ],
)
async def test_a_schema_that_is_not_this_versions_parks_nothing(
    scene: Scene, ledger: LedgerRoom, damage: str
) -> None:
    """It is no record's fault; the process ends and says why, and nothing is passed over."""
    end = await scene.write("node-1", [change("a"), change("b")])
    connection = await asyncpg.connect(scene.database)
    await connection.execute(damage)
    await connection.close()
    postgres = Postgres(scene.database)
    await postgres.start()
    with pytest.raises((asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)):
        await asyncio.wait_for(scene.projection(postgres).run(asyncio.Event()), 20)
    await postgres.stop()
    assert await scene.parked() == []
    assert read_cursor(scene.root / "node-1") < end
