import asyncpg
import pytest

from axon.journal import read_cursor
from axon.projection import Replayed, projection, read_status
from axon.projection.following import TRIES_MAX
from axon.records import encode
from tests.projection.scene import LedgerRoom, Scene, change, eventually


async def test_a_poisoned_record_holds_back_only_its_conversation_in_that_room(
    scene: Scene, ledger: LedgerRoom, other: LedgerRoom
) -> None:
    ledger.poison = {"bad"}
    records = [
        change("a", "one"),
        change("bad", "two"),
        change("b", "one"),
        change("behind", "two"),
        change("c"),
    ]
    end = await scene.write("node-1", records)
    await scene.project("node-1", end)
    assert await ledger.changes(scene.database) == ["a", "b", "c"]
    assert await other.changes(scene.database) == ["a", "bad", "b", "behind", "c"]
    assert await scene.parked() == [
        ("ledger", "node-1", 2, "failed"),
        ("ledger", "node-1", 4, "behind"),
    ]


async def test_a_record_has_its_tries_before_it_is_parked(scene: Scene, ledger: LedgerRoom) -> None:
    ledger.poison = {"bad"}
    await scene.project("node-1", await scene.write("node-1", [change("bad")]))
    assert ledger.batches == [1] * TRIES_MAX


async def test_later_records_queue_up_behind_a_parked_one_and_are_replayed_in_order(
    scene: Scene, ledger: LedgerRoom
) -> None:
    ledger.poison = {"bad"}
    await scene.project("node-1", await scene.write("node-1", [change("bad", "one")]))
    records = [change("b", "one"), change("c", "one"), change("d", "two")]
    await scene.project("node-1", await scene.write("node-1", records))
    assert await ledger.changes(scene.database) == ["d"]
    assert len(scene.before) == TRIES_MAX + 1  # what is only behind needs no tries
    async with scene.projecting() as projection:
        assert await projection.replay_parked() == Replayed(applied=0, refused=1)
        ledger.poison.clear()
        assert await projection.replay_parked("other") == Replayed(applied=0, refused=0)
        assert await projection.replay_parked() == Replayed(applied=3, refused=0)
    assert await ledger.changes(scene.database) == ["d", "bad", "b", "c"]
    assert await scene.parked() == []


async def test_a_replay_stops_at_the_next_record_that_does_not_fit(
    scene: Scene, ledger: LedgerRoom
) -> None:
    ledger.poison = {"bad", "worse"}
    records = [change("bad", "one"), change("a", "one"), change("worse", "one"), change("b", "one")]
    await scene.project("node-1", await scene.write("node-1", records))
    ledger.poison = {"worse"}
    async with scene.projecting() as projection:
        assert await projection.replay_parked() == Replayed(applied=2, refused=1)
    assert await ledger.changes(scene.database) == ["bad", "a"]
    assert await scene.parked() == [
        ("ledger", "node-1", 3, "failed"),
        ("ledger", "node-1", 4, "behind"),
    ]


async def test_a_gap_waits_and_closes_by_itself(scene: Scene, ledger: LedgerRoom) -> None:
    ledger.gaps = {"second"}
    records = [change("second", "one"), change("third", "one"), change("else", "two")]
    end = await scene.write("node-1", records)
    async with scene.projecting():
        await scene.projected("node-1", end)
        assert await ledger.changes(scene.database) == ["else"]
        await scene.projected("node-2", await scene.write("node-2", [change("first", "three")]))
        ledger.gaps.clear()
        await eventually(lambda: waiting(scene) == 0)
    assert await ledger.changes(scene.database) == ["else", "first", "second", "third"]
    assert await scene.parked() == []


def waiting(scene: Scene) -> int:
    """Return what the status says is parked; nothing parked is only believed at the end."""
    status = read_status(scene.root)
    return status.parked if status and status.journals else 1


async def test_many_poisoned_records_are_found_in_one_pass(
    scene: Scene, ledger: LedgerRoom
) -> None:
    ledger.poison = {str(number) for number in range(0, 100, 7)}
    end = await scene.write("node-1", [change(str(number)) for number in range(100)])
    await scene.project("node-1", end)
    wanted = [str(number) for number in range(100) if number % 7]
    assert await ledger.changes(scene.database) == wanted
    assert len(await scene.parked()) == 15
    assert len(scene.before) == TRIES_MAX


async def test_a_fault_that_is_not_the_records_stops_the_journal(
    scene: Scene, ledger: LedgerRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "PARKED_MAX", 3)
    ledger.poison = {str(number) for number in range(10)}
    end = await scene.write("node-1", [change(str(number)) for number in range(3)])
    await scene.project("node-1", end)
    await scene.write("node-1", [change("next")])
    async with scene.projecting():
        await eventually(lambda: "TooManyParked" in last_error(scene))
    assert read_cursor(scene.root / "node-1") == end
    assert len(await scene.parked()) == 3


def last_error(scene: Scene) -> str:
    status = read_status(scene.root)
    return status.last_error if status else ""


async def test_what_no_room_can_read_is_parked_for_each(scene: Scene) -> None:
    journal = scene.open_journal("node-1")
    await journal.append(*encode(change("a")))
    await journal.append(encode(change("b"))[0], b"not a record")
    end = journal.durable_through
    await journal.close()
    await scene.project("node-1", end)
    assert await scene.parked() == [
        ("ledger", "node-1", 2, "failed"),
        ("other", "node-1", 2, "failed"),
    ]


async def test_a_parked_record_outlives_its_segment(scene: Scene, ledger: LedgerRoom) -> None:
    ledger.poison = {"bad"}
    record = change("bad", "one")
    await scene.project("node-1", await scene.write("node-1", [record]))
    connection = await asyncpg.connect(scene.database)
    row = await connection.fetchrow("SELECT kind, payload, error FROM projection.parked")
    await connection.close()
    assert row is not None
    assert (row["kind"], row["payload"]) == encode(record)
    assert "DivisionByZeroError" in row["error"]
