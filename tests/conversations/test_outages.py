"""Valkey dies, PostgreSQL dies, both: turns go on while one of them can prove the order."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from axon.app.embedded import EmbeddedServer
from axon.conversations import (
    Begun,
    Conversation,
    ConversationBusy,
    HistoryUnavailable,
    leasing,
    writing,
)
from axon.records import Record, encode
from tests.conversations.scene import (
    KEY,
    ORG,
    WAIT_S,
    Node,
    Process,
    eventually,
    message,
    query,
    told,
)

HELD = ["hello", "one", "two"]
MORE = [*HELD, "three", "four"]

HIDE_LEASES = "ALTER TABLE conversations.leases RENAME TO hidden"


async def held(process: Process) -> str:
    conversation = await process.conversation("hello")
    await process.say(conversation, "one", "two")
    return conversation


async def test_reads_its_own_write_with_valkey_dead_and_the_projector_stopped(
    process: Process, valkey_server: EmbeddedServer
) -> None:
    conversation = await held(process)
    await process.project()
    valkey_server.kill()
    for number in range(3):
        await process.say(conversation, f"ask {number}", f"answer {number}")
        assert (await process.heard(conversation))[-1] == f"answer {number}"
    page = await process.conversations.list_items(
        process.owner(), conversation, after=None, limit=1, order="desc"
    )
    assert b"answer 2" in page.items[0].content


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_valkey_that_comes_back_is_not_believed(
    process: Process, valkey_server: EmbeddedServer, fault: str
) -> None:
    """Frozen, it wakes up with a closed window from before the turns it did not see."""
    conversation = await held(process)
    await process.project()
    valkey_server.kill() if fault == "kill" else valkey_server.freeze()
    await process.say(conversation, "three", "four")
    await process.say(conversation, "five", "six")
    await process.project()  # so that the tail cannot tell what the window lacks
    valkey_server.ensure()
    await eventually(lambda: process.valkey.available)
    assert await process.heard(conversation) == [*MORE, "five", "six"]
    await process.say(conversation, "seven", "eight")
    assert (await process.heard(conversation))[-1] == "eight"


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_valkey_dies_between_begin_and_commit(
    process: Process, valkey_server: EmbeddedServer, fault: str
) -> None:
    conversation = await held(process)
    await process.project()
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    valkey_server.kill() if fault == "kill" else valkey_server.freeze()
    await process.end(begun, "three", "four")
    await process.project()
    valkey_server.ensure()
    await eventually(lambda: process.valkey.available)
    assert await process.heard(conversation) == MORE


async def test_valkey_restarts_empty_while_a_turn_runs(
    process: Process, valkey_server: EmbeddedServer
) -> None:
    conversation = await held(process)
    await process.project()
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    valkey_server.restart()
    await eventually(lambda: process.valkey.available)
    await process.end(begun, "three", "four")
    assert await process.heard(conversation) == MORE


async def test_a_long_turn_keeps_its_lease_when_valkey_dies(
    node: Node, process: Process, valkey_server: EmbeddedServer
) -> None:
    other = await node.process("b")
    conversation = await held(process)
    await process.project()
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    valkey_server.kill()
    begun.lease.deadline -= 10.0
    before = begun.lease.deadline
    await process.conversations._leasing.renew_due()
    assert begun.lease.deadline > before
    assert begun.lease.authority == "postgres"
    with pytest.raises(ConversationBusy):
        await other.conversations.begin(other.owner(), conversation, 0.1)
    await process.end(begun, "three", "four")
    await eventually(lambda: not len(process.conversations._tasks) - 1)
    with pytest.raises(HistoryUnavailable):  # PostgreSQL knows that it lacks the last turn
        await other.conversations.begin(other.owner(), conversation, WAIT_S)
    await process.project()
    assert await other.heard(conversation) == MORE
    await other.close()


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_turns_go_on_while_postgresql_is_away(
    process: Process, postgres_server: EmbeddedServer, fault: str
) -> None:
    conversation = await held(process)
    await process.project()
    postgres_server.kill() if fault == "kill" else postgres_server.freeze()
    await process.say(conversation, "three", "four")
    assert await process.heard(conversation) == MORE
    fresh = await held(process)
    await process.valkey.call("DEL", f"{{{fresh}}}:w")
    assert await process.heard(fresh) == HELD  # all of it is in the tail
    read = await process.conversations.read(process.owner(), fresh)
    assert read.head_sequence == 2


async def test_with_both_away_nothing_is_guessed(
    process: Process, postgres_server: EmbeddedServer, valkey_server: EmbeddedServer
) -> None:
    conversation = await held(process)
    await process.project()
    postgres_server.kill()
    valkey_server.kill()
    with pytest.raises(HistoryUnavailable):
        await process.conversations.begin(process.owner(), conversation, WAIT_S)
    with pytest.raises(HistoryUnavailable):
        await process.conversations.read(process.owner(), conversation)
    begun = process.conversations.start(process.owner(), process.mint.mint("conv", ORG, 7))
    await process.end(begun, "a chain", "may begin", implicit=True)
    postgres_server.ensure()
    await eventually(lambda: process.postgres.available)
    assert await process.heard(conversation) == HELD


async def test_both_die_between_begin_and_commit(
    process: Process, postgres_server: EmbeddedServer, valkey_server: EmbeddedServer
) -> None:
    conversation = await held(process)
    await process.project()
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    postgres_server.kill()
    valkey_server.kill()
    await process.end(begun, "three", "four")
    postgres_server.ensure()
    valkey_server.ensure()
    await eventually(lambda: process.postgres.available and process.valkey.available)
    assert await process.heard(conversation) == MORE


async def test_leases_of_postgresql_exclude_other_processes(
    node: Node, process: Process, valkey_server: EmbeddedServer
) -> None:
    other = await node.process("b")
    conversation = await held(process)
    await process.project()
    valkey_server.kill()
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    with pytest.raises(ConversationBusy):
        await other.conversations.begin(other.owner(), conversation, 0.1)
    await process.conversations.abort(begun)
    taken = await other.conversations.begin(other.owner(), conversation, WAIT_S)
    assert (taken.sequence, told(taken)) == (begun.sequence, HELD)
    await other.conversations.abort(taken)
    await other.close()


async def test_leases_do_not_stay(process: Process, valkey_server: EmbeddedServer) -> None:
    conversation = await held(process)
    await process.project()
    valkey_server.kill()
    assert await process.heard(conversation) == HELD
    await eventually(lambda: len(process.conversations._tasks) == 1)
    leases = "SELECT head_sequence FROM conversations.leases"
    assert await query(process.node.database, leases) == []
    await process.say(conversation, "three", "four")
    await eventually(lambda: len(process.conversations._tasks) == 1)
    assert await query(process.node.database, leases) == [(3,)]
    await process.project()
    assert await query(process.node.database, leases) == []


async def test_many_at_once_while_valkey_dies_and_comes_back(
    process: Process, valkey_server: EmbeddedServer
) -> None:
    conversation = await process.conversation()

    async def turn(number: int) -> int:
        begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
        await process.end(begun, f"ask {number}", f"answer {number}")
        return begun.sequence

    async def fault() -> None:
        await asyncio.to_thread(valkey_server.freeze)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(valkey_server.thaw)

    results = await asyncio.gather(fault(), *(turn(number) for number in range(40)))
    assert sorted(results[1:], key=int) == list(range(2, 42))  # type: ignore[arg-type]
    texts = await process.heard(conversation)
    assert [text.split()[1] for text in texts[::2]] == [text.split()[1] for text in texts[1::2]]
    assert len(texts) == 80


async def test_a_window_that_slept_through_a_turn_is_not_believed(
    process: Process, valkey_server: EmbeddedServer
) -> None:
    """Valkey heard nothing at all of the turn: only the epoch tells that its window is stale."""
    conversation, other = await held(process), await held(process)
    await process.project()
    valkey_server.freeze()
    while process.valkey.available:
        await process.heard(other)
    await process.say(conversation, "three", "four")
    await process.project()
    valkey_server.thaw()
    await eventually(lambda: process.valkey.available)
    assert await process.heard(conversation) == MORE


async def held_by_postgresql(process: Process) -> Begun:
    """Return a turn whose lease is to be renewed in PostgreSQL, and is due."""
    begun = await held_by_valkey(process)
    begun.lease.authority = "postgres"
    return begun


async def held_by_valkey(process: Process) -> Begun:
    conversation = await process.conversation("hello")
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    begun.lease.deadline -= 5.0
    return begun


async def test_an_unexpected_error_keeps_no_other_lease_from_being_renewed(
    process: Process, log_lines: Callable[[], list[str]]
) -> None:
    for _ in range(3):
        await held_by_postgresql(process)
    fine = await held_by_valkey(process)
    before = fine.lease.deadline
    await query(process.node.database, HIDE_LEASES)
    await process.conversations._leasing.renew_due()
    assert fine.lease.deadline > before
    [said] = [line for line in log_lines() if "lease-not-renewed" in line]
    assert "UndefinedTableError" in said


async def test_renewing_goes_on_after_an_unexpected_error(
    process: Process, log_lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leasing, "RENEW_EVERY_S", 0.01)
    begun = await held_by_postgresql(process)
    before = begun.lease.deadline
    await query(process.node.database, HIDE_LEASES)
    tasks = process.conversations._tasks
    task = tasks.start(process.conversations._leasing.keep_renewing(), "renew often")
    await eventually(lambda: any("UndefinedTableError" in line for line in log_lines()))
    assert not task.done()
    await query(process.node.database, "ALTER TABLE conversations.hidden RENAME TO leases")
    await eventually(lambda: begun.lease.deadline > before)


Change = Callable[[Process, str, str], Coroutine[Any, Any, Conversation]]


async def replace_metadata(process: Process, conversation: str, _: str) -> Conversation:
    return await process.conversations.update_metadata(
        process.owner(), KEY, conversation, {"k": "new"}
    )


async def delete_item(process: Process, conversation: str, item: str) -> Conversation:
    return await process.conversations.delete_item(process.owner(), KEY, conversation, item)


async def with_item(process: Process) -> tuple[Conversation, str]:
    """Return a projected conversation, and an item of it."""
    owner = process.owner()
    made = await process.conversations.create(owner, KEY, {"k": "old"}, [message("user", "a")])
    turn_id = await process.say(made.conversation_id, "b", "c")
    await process.project()
    turn = await process.conversations.find_turn(ORG, turn_id)
    return await process.conversations.read(owner, made.conversation_id), turn.output[0].item_id


@pytest.mark.parametrize("change", [replace_metadata, delete_item])
async def test_a_change_that_cannot_be_answered_is_not_made(
    process: Process, postgres_server: EmbeddedServer, change: Change
) -> None:
    made, item = await with_item(process)
    durable = process.journal.durable_through
    postgres_server.kill()
    with pytest.raises(HistoryUnavailable):
        await change(process, made.conversation_id, item)
    assert process.journal.durable_through == durable
    assert await process.heard(made.conversation_id) == ["a", "b", "c"]


@pytest.mark.parametrize("change", [replace_metadata, delete_item])
async def test_a_durable_change_is_answered_without_postgresql(
    process: Process,
    postgres_server: EmbeddedServer,
    change: Change,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, item = await with_item(process)

    def dying(record: Record) -> tuple[int, bytes]:
        postgres_server.kill()
        return encode(record)

    monkeypatch.setattr(writing, "encode", dying)
    changed = await change(process, made.conversation_id, item)
    metadata = {"k": "new" if change is replace_metadata else "old"}
    expected = replace(made, head_sequence=3, updated_us=changed.updated_us, metadata=metadata)
    assert changed == expected
    assert changed.updated_us > made.updated_us
    postgres_server.ensure()
    await eventually(lambda: process.postgres.available)
    assert await process.conversations.read(process.owner(), made.conversation_id) == expected


async def test_a_change_is_not_answered_from_an_old_state(node: Node, process: Process) -> None:
    """Another journal has a record that PostgreSQL lacks; Valkey's window alone knows of it."""
    other = await node.process("b")
    made, item = await with_item(process)
    await process.say(made.conversation_id, "d", "e")
    for change in (replace_metadata, delete_item):
        with pytest.raises(HistoryUnavailable):
            await change(other, made.conversation_id, item)
    assert other.journal.durable_through == 0
    await process.project()
    assert (await replace_metadata(other, made.conversation_id, item)).head_sequence == 4
    await other.close()
