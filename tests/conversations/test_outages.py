"""Valkey dies, PostgreSQL dies, both: turns go on while one of them can prove the order."""

import asyncio

import pytest

from axon.app.embedded import EmbeddedServer
from axon.conversations import ConversationBusy, HistoryUnavailable
from tests.conversations.scene import (
    BACKGROUND_TASKS,
    ORG,
    WAIT_S,
    Node,
    Process,
    eventually,
    query,
    told,
)

HELD = ["hello", "one", "two"]
MORE = [*HELD, "three", "four"]


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
    page = await process.conversations.looking.list_items(
        process.owner(), conversation, after=None, limit=1, order="desc"
    )
    assert b"answer 2" in page.items[0].content


@pytest.mark.failure("valkey", "lying")
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


@pytest.mark.failure("valkey", "wiped")
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
    await eventually(lambda: len(process.conversations._tasks) == BACKGROUND_TASKS)
    with pytest.raises(HistoryUnavailable):  # PostgreSQL knows that it lacks the last turn
        await other.conversations.begin(other.owner(), conversation, WAIT_S)
    await process.project()
    assert await other.heard(conversation) == MORE
    await other.close()


@pytest.mark.failure("postgresql", "frozen")
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
    read = await process.conversations.looking.read(process.owner(), fresh)
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
        await process.conversations.looking.read(process.owner(), conversation)
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
    await eventually(lambda: len(process.conversations._tasks) == BACKGROUND_TASKS)
    leases = "SELECT head_sequence FROM conversations.leases"
    assert await query(process.node.database, leases) == []
    await process.say(conversation, "three", "four")
    await eventually(lambda: len(process.conversations._tasks) == BACKGROUND_TASKS)
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
