import asyncio

import asyncpg
import pytest

from axon.app.embedded import EmbeddedServer
from axon.journal import read_cursor, write_cursor
from axon.journal.segments import segment_path
from axon.projection import read_status
from axon.projection.following import BATCH_ENTRIES_MAX, BATCH_ENTRIES_MIN
from axon.stores import Postgres
from tests.projection.scene import LedgerRoom, Scene, change, eventually


async def test_every_room_gets_every_record_once_and_in_order(
    scene: Scene, ledger: LedgerRoom, other: LedgerRoom
) -> None:
    wanted = [f"change {number}" for number in range(30)]
    end = await scene.write("node-1", [change(text, "conv") for text in wanted])
    await scene.project("node-1", end)
    assert await ledger.changes(scene.database) == wanted
    assert await other.changes(scene.database) == wanted
    assert len(scene.before) == 1  # one transaction, and the keys went first
    await scene.project("node-1", end)
    assert await ledger.changes(scene.database) == wanted


async def test_new_entries_and_new_journals_are_followed(scene: Scene, ledger: LedgerRoom) -> None:
    async with scene.projecting():
        await scene.projected("node-1", await scene.write("node-1", [change("a")]))
        await scene.projected("node-1", await scene.write("node-1", [change("b")]))
        await scene.projected("node-2", await scene.write("node-2", [change("c")]))
    assert await ledger.changes(scene.database) == ["a", "b", "c"]


async def test_a_batch_is_bounded(scene: Scene, ledger: LedgerRoom) -> None:
    count = BATCH_ENTRIES_MAX + 10
    end = await scene.write("node-1", [change(str(number)) for number in range(count)])
    await scene.project("node-1", end)
    assert ledger.batches == [BATCH_ENTRIES_MAX, 10]


@pytest.mark.failure("postgresql", "lying")
async def test_the_cursor_file_is_only_a_hint(scene: Scene, ledger: LedgerRoom) -> None:
    end = await scene.write("node-1", [change("a"), change("b")])
    await scene.project("node-1", end)
    write_cursor(scene.root / "node-1", 0)  # a power loss
    await scene.project("node-1", end)
    assert await ledger.changes(scene.database) == ["a", "b"]


async def test_two_projectors_do_nothing_twice(scene: Scene, ledger: LedgerRoom) -> None:
    wanted = [str(number) for number in range(1500)]
    end = await scene.write("node-1", [change(text) for text in wanted])
    async with scene.projecting(), scene.projecting():
        await scene.projected("node-1", end)
        await asyncio.sleep(0)
    assert await ledger.changes(scene.database) == wanted


async def test_an_outage_is_not_a_try(scene: Scene, ledger: LedgerRoom) -> None:
    ledger.outages = [asyncpg.DeadlockDetectedError("deadlock") for _ in range(5)]
    end = await scene.write("node-1", [change("a")])
    await scene.project("node-1", end)
    assert await ledger.changes(scene.database) == ["a"]
    assert await scene.parked() == []


async def test_a_batch_is_smaller_after_those_that_did_not_come_through(
    scene: Scene, ledger: LedgerRoom
) -> None:
    """Else a PostgreSQL too slow for a whole batch would be asked for the same one for ever."""
    ledger.outages = [asyncpg.DeadlockDetectedError("too slow") for _ in range(4)]
    count = BATCH_ENTRIES_MIN + 10
    end = await scene.write("node-1", [change(str(number)) for number in range(count)])
    await scene.project("node-1", end)
    assert ledger.batches == [count, count, count, BATCH_ENTRIES_MIN, BATCH_ENTRIES_MIN, 10]
    assert await ledger.changes(scene.database) == [str(number) for number in range(count)]
    more = await scene.write("node-1", [change(f"more {number}") for number in range(count)])
    await scene.project("node-1", more)
    assert ledger.batches[-1] == count  # as large as ever, now that they come through


async def test_a_journal_that_was_replaced_is_not_projected(
    scene: Scene, ledger: LedgerRoom
) -> None:
    await scene.project("node-1", await scene.write("node-1", [change("a"), change("b")]))
    for path in (scene.root / "node-1").iterdir():
        path.unlink()
    await scene.write("node-1", [change("another first")])
    async with scene.projecting():
        await scene.projected("node-2", await scene.write("node-2", [change("c")]))
        await eventually(lambda: "JournalReplaced" in journal_error(scene, "node-1"))
    assert await ledger.changes(scene.database) == ["a", "b", "c"]


def journal_error(scene: Scene, instance: str) -> str:
    status = read_status(scene.root)
    if status is None:
        return ""
    return "".join(one.error for one in status.journals if one.instance == instance)


@pytest.mark.failure("journal-disk", "corrupt")
async def test_a_damaged_journal_stops_nobody_else(scene: Scene, ledger: LedgerRoom) -> None:
    await scene.write("node-1", [change("a")])
    path = segment_path(scene.root / "node-1", 1)
    path.write_bytes(path.read_bytes()[:-1])
    end = await scene.write("node-2", [change("b")])
    async with scene.projecting():
        await scene.projected("node-2", end)
        await eventually(lambda: "JournalCorrupt" in journal_error(scene, "node-1"))
    assert read_cursor(scene.root / "node-1") == 0
    assert await ledger.changes(scene.database) == ["b"]


async def test_a_journal_without_a_readable_header_stops_nobody_else(
    scene: Scene, ledger: LedgerRoom
) -> None:
    await scene.write("node-1", [change("a")])
    path = segment_path(scene.root / "node-1", 1)
    path.write_bytes(b"?" + path.read_bytes()[1:])
    async with scene.projecting():
        await eventually(lambda: "no journal segment" in journal_error(scene, "node-1"))
        await scene.projected("node-2", await scene.write("node-2", [change("b")]))
    assert await ledger.changes(scene.database) == ["b"]


async def test_a_projector_may_start_before_any_journal(scene: Scene, ledger: LedgerRoom) -> None:
    async with scene.projecting():
        await eventually(lambda: read_status(scene.root) is not None)
        await scene.projected("node-1", await scene.write("node-1", [change("a")]))
    assert await ledger.changes(scene.database) == ["a"]


async def test_a_copy_of_a_journal_is_no_journal(scene: Scene, ledger: LedgerRoom) -> None:
    await scene.write("node-1", [change("a")])
    (scene.root / "node-1").rename(scene.root / "node-1-copy")
    await scene.project("node-2", await scene.write("node-2", [change("b")]))
    assert await ledger.changes(scene.database) == ["b"]


async def test_the_status_says_how_far_it_is(scene: Scene) -> None:
    end = await scene.write("node-1", [change(str(number)) for number in range(3)])
    async with scene.projecting():
        await scene.projected("node-1", end)
        await eventually(lambda: projected_in_status(scene) == end)
    status = read_status(scene.root)
    assert status is not None
    assert (status.lag_records, status.parked, status.waiting, status.last_error) == (0, 0, 0, "")


def projected_in_status(scene: Scene) -> int:
    status = read_status(scene.root)
    return sum(one.projected_through for one in status.journals) if status else 0


async def test_a_missing_table_ends_the_projector(scene: Scene, database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("DROP SCHEMA projection CASCADE")
    await connection.close()
    await scene.write("node-1", [change("a")])
    postgres = Postgres(database)
    await postgres.start()
    with pytest.raises(asyncpg.UndefinedTableError):
        await asyncio.wait_for(scene.projection(postgres).run(asyncio.Event()), 20)
    await postgres.stop()


@pytest.mark.failure("postgresql", "down")
async def test_a_killed_postgres_is_caught_up_with(
    scene: Scene, ledger: LedgerRoom, postgres_server: EmbeddedServer
) -> None:
    async with scene.projecting():
        await scene.projected("node-1", await scene.write("node-1", [change("before")]))
        postgres_server.kill()
        end = await scene.write("node-1", [change("meanwhile")])
        await eventually(lambda: "PostgresAway" in last_error(scene))
        postgres_server.restart()
        await scene.projected("node-1", end)
    assert await ledger.changes(scene.database) == ["before", "meanwhile"]
    assert await scene.parked() == []


def last_error(scene: Scene) -> str:
    status = read_status(scene.root)
    return status.last_error if status else ""
