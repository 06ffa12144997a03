"""Records into tables: in any batches, twice, out of order, contradicting each other."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from axon.conversations import ConversationsProjector, Update
from axon.projection import Gap, Positioned
from axon.records import ConversationChanged, Record, SubjectErased, TurnCompleted, TurnInterrupted
from tests.conversations.scene import KEY, ORG, WAIT_S, Process, apply, query

TABLES = {
    "conversations": "user_id, id",
    "items": "user_id, conversation_id, sequence, index",
    "turns": "user_id, id",
    "places": "user_id, conversation_id, sequence",
    "changes": "user_id, position",
    "feeds": "user_id",
}


async def contents(process: Process) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: await query(
            process.node.database, f"SELECT * FROM conversations.{table} ORDER BY {key}"
        )
        for table, key in TABLES.items()
    }


async def clear(process: Process) -> None:
    names = ", ".join(f"conversations.{table}" for table in TABLES)
    await query(process.node.database, f"TRUNCATE {names}")


async def story(process: Process) -> list[Positioned]:
    """Return records of every kind, of three conversations, as the journal has them."""
    chat = await process.conversation("a", "b")
    gone = await process.conversation("soon gone")
    chain = process.mint.mint("conv", ORG, 8)
    begun = process.conversations.start(process.owner(8), chain)
    head = await process.head(begun, implicit=True)
    await process.append(await process.accepted(head))
    record, turn = await process.completed(head, "c", "d")
    await process.append(record)
    await process.conversations.commit(begun, turn)
    turn_id = await process.say(chat, "e", "f")
    await process.say(gone, "g", "h")
    item = (await process.conversations.find_turn(ORG, turn_id)).output[0].item_id
    owner = process.owner()
    await process.conversations.changing.delete_item(owner, KEY, chat, item)
    await process.conversations.changing.update(owner, KEY, chat, Update(metadata={"k": "v"}))
    await process.conversations.changing.delete(owner, KEY, gone, with_items=True)
    update = Update(title="renamed", archived=True)
    await process.conversations.changing.update(owner, KEY, chat, update)
    await process.conversations.changing.forget_turn(owner, KEY, turn_id)
    await process.say(chat, "i", "j")
    return await process.records()


async def test_batches_of_any_size_and_repetitions_give_the_same(process: Process) -> None:
    records = await story(process)
    await apply(process.node.database, records)
    whole = await contents(process)
    assert [row[5] for row in whole["conversations"]] == [7, 3, 1]
    assert len(whole["changes"]) == 9 and [row[1] for row in whole["feeds"]] == [12]
    assert [row[2] for row in whole["items"]].count(1) == 4
    await apply(process.node.database, records)
    assert await contents(process) == whole
    for record in records:
        await apply(process.node.database, [record])
    assert await contents(process) == whole
    await clear(process)
    for record in records:
        await apply(process.node.database, [record])
        await apply(process.node.database, [record])
    assert await contents(process) == whole
    middle = len(records) // 2
    await clear(process)
    for part in (records[:middle], records[: middle + 2], records[middle - 2 :]):
        await apply(process.node.database, part)
    assert await contents(process) == whole


async def test_a_gap_is_refused_and_leaves_nothing(process: Process) -> None:
    records = await story(process)
    without_first = [
        one
        for one in records
        if not (isinstance(one.record, ConversationChanged) and one.record.change == "created")
    ]
    with pytest.raises(Gap):
        await apply(process.node.database, without_first)
    assert await contents(process) == {table: [] for table in TABLES}


def positioned(*records: Record) -> Sequence[Positioned]:
    return [Positioned(instance="a", sequence=0, record=record) for record in records]


async def rivals(process: Process) -> tuple[str, list[TurnCompleted]]:
    """Return a conversation with one record, and two records for place 2 and one for 3."""
    conversation = await process.conversation("a")
    await process.project()
    records = []
    for place, rise, text in ((2, 1, "loser"), (2, 2, "winner"), (3, 3, "after")):
        begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
        await process.conversations.abort(begun)
        head = msgspec.structs.replace(
            await process.head(begun), sequence=place, fence=begun.fence + rise
        )
        records.append((await process.completed(head, text, "ok"))[0])
    return conversation, records


@pytest.mark.parametrize(
    "order",
    ["loser winner after", "winner loser after", "winner after loser", "loser after winner"],
)
@pytest.mark.parametrize("together", [True, False])
async def test_the_higher_fence_stands(process: Process, order: str, together: bool) -> None:
    conversation, records = await rivals(process)
    named = dict(zip(("loser", "winner", "after"), records, strict=True))
    chosen = positioned(*(named[name] for name in order.split()))
    for part in [chosen] if together else [[one] for one in chosen]:
        await apply(process.node.database, part)
    await process.valkey.call("FLUSHALL")
    assert await process.heard(conversation) == ["a", "winner", "ok", "after", "ok"]
    turns = await query(process.node.database, "SELECT status FROM conversations.turns")
    assert turns == [("completed",)] * 3


async def test_the_first_end_of_a_turn_stays(process: Process) -> None:
    conversation, [record, *_] = await rivals(process)
    again = TurnInterrupted(
        head=record.head,
        input=[],
        output=[],
        answer=b"",
        status="failed",
        reason="crash",
        usage=record.usage,
        upstream="",
        upstream_id="",
        completed_us=1,
        first_token_us=0,
        assignments=[],
    )
    for records in ([record, again], [again], [await process.accepted(record.head)]):
        await apply(process.node.database, positioned(*records))
    statement = "SELECT status, reason FROM conversations.turns"
    assert await query(process.node.database, statement) == [("completed", "")]
    read = await process.conversations.looking.read(process.owner(), conversation)
    assert read.head_sequence == 2


async def test_an_interrupted_turn_keeps_what_was_said(process: Process) -> None:
    _, [record, *_] = await rivals(process)
    cut = TurnInterrupted(
        head=record.head,
        input=record.input,
        output=record.output,
        answer=b"",
        status="incomplete",
        reason="deadline",
        usage=record.usage,
        upstream="",
        upstream_id="",
        completed_us=1,
        first_token_us=0,
        assignments=[],
    )
    await apply(process.node.database, positioned(await process.accepted(record.head), cut))
    items = "SELECT status, output FROM conversations.items WHERE sequence = 2 ORDER BY index"
    assert await query(process.node.database, items) == [
        ("completed", False),
        ("incomplete", True),
    ]
    turns = "SELECT status, reason FROM conversations.turns"
    assert await query(process.node.database, turns) == [("incomplete", "deadline")]


async def test_an_erased_person_leaves_counts_only(process: Process) -> None:
    records = await story(process)
    erased = SubjectErased("chg", ORG, 7, KEY, 1, "asked")
    await apply(process.node.database, [*records, *positioned(erased)])
    items = await query(process.node.database, "SELECT user_id FROM conversations.items")
    assert items == [(8,)] * 2
    answers = "SELECT answer IS NULL, input_tokens FROM conversations.turns WHERE user_id = 7"
    assert set(await query(process.node.database, answers)) == {(True, 3)}
    metadata = "SELECT DISTINCT metadata FROM conversations.conversations WHERE user_id = 7"
    assert await query(process.node.database, metadata) == [("{}",)]


def test_its_name_is_its_schema() -> None:
    assert ConversationsProjector.name == "conversations"


async def test_a_nul_character_keeps_no_record_out(process: Process) -> None:
    """The gateway refuses it, but older or foreign journals may hold it."""
    owner = process.owner()
    made = await process.conversations.changing.create(
        owner, KEY, {"a\0b": "c\0\\u0000", "d": "e"}, []
    )
    begun = await process.conversations.begin(owner, made.conversation_id, WAIT_S)
    head = msgspec.structs.replace(await process.head(begun), model="sm\0all")
    record, turn = await process.completed(head, "one", "two")
    odd = msgspec.structs.replace(record.output[0], kind="mess\0age")
    await process.append(msgspec.structs.replace(record, output=[odd]))
    await process.conversations.commit(begun, turn)
    await process.project()
    read = await process.conversations.looking.read(owner, made.conversation_id)
    assert read.metadata == {"ab": "c\\u0000", "d": "e"}
    assert read.model == "small"
    found = await process.conversations.find_turn(ORG, head.turn_id)
    assert (found.model, found.output[0].kind) == ("small", "message")
