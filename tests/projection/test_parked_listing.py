"""What an operator sees of parked records, and how one of them is tried again."""

from axon.projection import Replayed
from axon.records import encode
from tests.projection.scene import LedgerRoom, Scene, change


async def test_a_parked_record_is_shown_without_its_content(
    scene: Scene, ledger: LedgerRoom
) -> None:
    ledger.poison = {"bad"}
    records = [change("a"), change("bad", "conv_1"), change("behind", "conv_1")]
    await scene.project("node-1", await scene.write("node-1", records))
    async with scene.projecting() as projection:
        first, second = await projection.list_parked("", 0)
        assert await projection.list_parked("other", 0) == []
        assert await projection.list_parked("ledger", first.number) == [second]
    assert (first.room, first.instance, first.sequence) == ("ledger", "node-1", 2)
    assert (first.record, first.state) == ("ItemsAppended", "failed")
    assert (first.conversation_id, first.origin_id, first.org_id) == ("conv_1", "bad", "org_1")
    assert first.bytes == len(encode(records[1])[1])
    assert "DivisionByZeroError" in first.error
    assert (second.state, second.origin_id, second.error) == ("behind", "behind", "")


async def test_what_cannot_be_read_is_shown_as_far_as_it_is_known(scene: Scene) -> None:
    journal = scene.open_journal("node-1")
    await journal.append(encode(change("a"))[0], b"not a record")
    end = journal.durable_through
    await journal.close()
    await scene.project("node-1", end)
    async with scene.projecting() as projection:
        found = await projection.list_parked("ledger", 0)
    assert [(one.record, one.origin_id) for one in found] == [("ItemsAppended", "")]
    assert "UnknownRecord" in found[0].error


async def test_one_record_is_replayed_with_those_behind_it_and_no_other(
    scene: Scene, ledger: LedgerRoom
) -> None:
    ledger.poison = {"bad", "worse"}
    records = [change("bad", "one"), change("after", "one"), change("worse", "two")]
    await scene.project("node-1", await scene.write("node-1", records))
    async with scene.projecting() as projection:
        bad, after, _ = await projection.list_parked("", 0)
        assert await projection.replay_one(bad.number) == Replayed(applied=0, refused=1)
        ledger.poison.clear()
        # Asked for by the one behind: what stands before it goes first.
        assert await projection.replay_one(after.number) == Replayed(applied=2, refused=0)
        assert await projection.replay_one(bad.number) == Replayed(applied=0, refused=0)
        assert [one.origin_id for one in await projection.list_parked("", 0)] == ["worse"]
    assert await ledger.changes(scene.database) == ["bad", "after"]
