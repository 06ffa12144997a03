"""A window that may be stale is never believed; a lost one costs a look-up, nothing else."""

import asyncio
from pathlib import Path

import pytest

from axon.conversations import (
    Begun,
    ConversationBusy,
    HistoryUnavailable,
    WindowTurn,
    leasing,
    store,
)
from axon.conversations.epoch import Epoch
from tests.conversations.scene import (
    KEY,
    RANDOMNESS,
    WAIT_S,
    Node,
    Process,
    message,
    query,
    told,
)

HELD = ["hello", "one", "two"]


def keys(conversation: str) -> tuple[str, str]:
    return f"{{{conversation}}}:w", f"{{{conversation}}}:t"


async def held(process: Process, *, projected: bool = True) -> str:
    conversation = await process.conversation("hello")
    await process.say(conversation, "one", "two")
    if projected:
        await process.project()
    return conversation


@pytest.mark.failure("valkey", "wiped")
@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_a_wiped_or_evicted_window_is_loaded_again(
    node: Node, process: Process, lost: int
) -> None:
    other = await node.process("b")  # it has opened nothing yet
    conversation = await held(process)
    names = keys(conversation)
    await process.valkey.call("DEL", *(names if lost == 2 else names[lost : lost + 1]))
    assert await other.heard(conversation) == HELD
    await other.close()
    await process.say(conversation, "three", "four")
    assert await process.heard(conversation) == [*HELD, "three", "four"]


async def test_what_is_loaded_is_put_back(process: Process) -> None:
    conversation = await held(process)
    await process.valkey.call("FLUSHALL")
    await process.say(conversation, "three", "four")
    window, turns = keys(conversation)
    assert await process.valkey.call("LLEN", turns) == 3
    assert await process.valkey.call("HMGET", window, "o", "h", "l") == [b"0", b"3", b""]


async def test_an_open_window_is_not_believed(node: Node) -> None:
    """The process died between the fsync and the commit: Valkey lacks the acknowledged turn."""
    first = await node.process()
    conversation = await held(first)
    begun = await first.conversations.begin(first.owner(), conversation, WAIT_S)
    record, _ = await first.completed(await first.head(begun), "three", "four")
    await first.append(record)
    await first.project()
    await first.close()
    again = await node.process()
    assert await again.heard(conversation) == [*HELD, "three", "four"]
    await again.close()


async def test_a_restarted_process_takes_over_its_own_lease_at_once(node: Node) -> None:
    first = await node.process()
    conversation = await held(first)
    await first.conversations.begin(first.owner(), conversation, WAIT_S)
    await first.close()
    again = await node.process()
    begun = await again.conversations.begin(again.owner(), conversation, 0.5)
    assert (begun.sequence, told(begun)) == (3, HELD)
    await again.close()


async def end_without_lease(process: Process, begun: Begun) -> None:
    """Journal the end of a turn as the process does that finds it open."""
    record, _ = await process.completed(await process.head(begun), "three", "four")
    await process.append(record)
    await process.conversations.disbelieve([begun.conversation_id])
    await process.project()


async def test_a_closed_window_that_lacks_a_record_is_not_believed(process: Process) -> None:
    conversation = await held(process)
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    await process.conversations.abort(begun)
    await end_without_lease(process, begun)
    assert await process.heard(conversation) == [*HELD, "three", "four"]


async def test_an_open_window_that_lacks_a_record_is_not_believed_once_closed(
    node: Node, process: Process
) -> None:
    other = await node.process("b")
    conversation = await held(process)
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    await process.conversations.abort(begun)
    running = await other.conversations.begin(other.owner(), conversation, WAIT_S)
    await end_without_lease(process, begun)
    with pytest.raises(ConversationBusy):  # its lease stands
        await process.conversations.begin(process.owner(), conversation, 0.05)
    await other.conversations.abort(running)
    assert await process.heard(conversation) == [*HELD, "three", "four"]
    await other.close()


async def test_a_window_that_lacks_a_record_and_cannot_be_reached_is_not_believed(
    process: Process,
) -> None:
    conversation = await held(process)
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    await process.conversations.abort(begun)
    await process.valkey.stop()
    await end_without_lease(process, begun)
    await process.valkey.start()
    assert await process.heard(conversation) == [*HELD, "three", "four"]


@pytest.mark.failure("valkey", "lying")
async def test_a_window_of_another_epoch_is_not_believed(node: Node, process: Process) -> None:
    other = await node.process("b")
    conversation = await held(process)
    window, turns = keys(conversation)
    await process.valkey.call("HSET", window, "e", b"another epoch...")
    await process.valkey.call("LPOP", turns)
    await process.valkey.call("HSET", window, "n", 1)
    assert await other.heard(conversation) == HELD
    await other.close()


async def test_a_late_commit_changes_nothing(process: Process) -> None:
    """As if a frozen Valkey carried out, at last, what was sent under an older lease."""
    conversation = await held(process)
    window, turns = keys(conversation)
    late = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    await process.conversations.abort(late)
    now = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    late_calls: list[tuple[bytes | str | int, ...]] = [
        ("axon_commit", late.lease.epoch, late.fence, late.sequence, b"turn"),
        ("axon_abort", late.fence, "close"),
        ("axon_fill", late.fence, 9, late.fence, 1, b"turn"),
        ("axon_renew", late.lease.epoch, "a", late.fence, 1000),
    ]
    for name, *arguments in late_calls:
        assert await process.valkey.call("FCALL", name, 2, window, turns, *arguments) == 0
    reply = await process.valkey.call(
        *("FCALL", "axon_begin", 2, window, turns),
        *(late.lease.epoch, "a", late.fence, 1000, b""),
    )
    assert reply == [4, str(now.fence).encode()]
    assert await process.valkey.call("HGET", window, "o") == b"1"
    await process.end(now, "three", "four")
    assert await process.heard(conversation) == [*HELD, "three", "four"]


@pytest.mark.failure("clock", "lying")
async def test_a_clock_that_went_back_still_gets_higher_fences(process: Process) -> None:
    conversation = await held(process)
    window, _ = keys(conversation)
    future = process.node.clock.now_us() + 3_600_000_000
    await process.valkey.call("HSET", window, "f", future)
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    assert begun.fence > future
    await process.end(begun, "three", "four")


@pytest.mark.failure("valkey", "lying")
async def test_another_server_behind_the_address_means_another_epoch(tmp_path: Path) -> None:
    epoch = Epoch(tmp_path / "epoch", RANDOMNESS)
    await epoch.adopt("one")
    name = epoch.name
    await epoch.adopt("one")
    assert epoch.name == name
    await epoch.adopt("two")
    assert epoch.name != name
    epoch.close()


async def test_an_epoch_ends_once_per_use(tmp_path: Path) -> None:
    epoch, beside = (Epoch(tmp_path / "epoch", RANDOMNESS) for _ in range(2))
    assert epoch.name == beside.name
    await epoch.degrade()
    first = epoch.name
    assert beside.name == first  # the node's other processes see it at once
    await epoch.degrade()
    assert epoch.name == first
    beside.use()
    await epoch.degrade()
    assert epoch.name != first
    epoch.close()
    beside.close()
    again = Epoch(tmp_path / "epoch", RANDOMNESS)
    assert again.name != first
    again.close()


async def test_a_window_too_large_is_loaded_smaller(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leasing, "WINDOW_BYTES_MAX", 1500)
    monkeypatch.setattr(store, "WINDOW_LOAD_BYTES", 700)
    owner = process.owner()
    conversation = await process.conversation("instructions come first")
    for number in range(12):
        await process.say(conversation, f"ask {number}", f"answer {number}")
        await process.project()
    begun = await process.conversations.begin(owner, conversation, WAIT_S)
    assert not begun.complete
    assert told(begun)[-2:] == ["ask 11", "answer 11"]
    assert len(begun.history) < 12
    await process.conversations.abort(begun)


async def test_pinned_items_are_loaded_from_before_the_window(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WINDOW_LOAD_BYTES", 500)
    items = [message("developer", "be brief"), message("user", "hello")]
    made = await process.conversations.changing.create(process.owner(), KEY, {}, items)
    for number in range(6):
        await process.say(made.conversation_id, f"ask {number}", f"answer {number}")
    await process.project()
    await process.valkey.call("FLUSHALL")
    texts = await process.heard(made.conversation_id)
    assert texts[0] == "be brief"
    assert "hello" not in texts
    assert texts[-1] == "answer 5"


async def test_an_erased_key_takes_the_opened_window_with_it(process: Process) -> None:
    conversation = await held(process)
    assert await process.heard(conversation) == HELD
    assert await process.keys.erase("org_test", 7) == 1
    assert await process.heard(conversation) == []
    await process.say(conversation, "new", "life")
    assert await process.heard(conversation) == ["new", "life"]


async def test_a_commit_without_contents_opens_the_turn_itself(process: Process) -> None:
    conversation = await held(process)
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    record, turn = await process.completed(await process.head(begun), "three", "four")
    await process.append(record)
    bare = WindowTurn(turn.turn_id, turn.sequence, turn.items)
    await process.conversations.commit(begun, bare)
    assert await process.heard(conversation) == [*HELD, "three", "four"]


async def test_a_parked_record_makes_the_history_unavailable(process: Process) -> None:
    conversation = await held(process)
    await query(
        process.node.database,
        "INSERT INTO projection.parked (room, instance, sequence, conversation_id, kind, payload,"
        " state, error) VALUES ('conversations', 'a', 9, $1, 3, '', 'failed', '') RETURNING 1",
        conversation,
    )
    await process.valkey.call("FLUSHALL")
    with pytest.raises(HistoryUnavailable):
        await process.conversations.begin(process.owner(), conversation, WAIT_S)


async def test_a_lease_of_another_process_ends_by_itself(node: Node, process: Process) -> None:
    other = await node.process("b")
    conversation = await held(process)
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    window, _ = keys(conversation)
    await process.valkey.call("HSET", window, "x", 1)  # its time has come
    taken = await other.conversations.begin(other.owner(), conversation, WAIT_S)
    assert taken.fence > begun.fence
    await process.conversations._leasing._renew(begun)
    assert not process.conversations.still_owned(begun)
    assert other.conversations.still_owned(taken)
    await asyncio.gather(process.conversations.abort(begun), other.conversations.abort(taken))
    await other.close()
