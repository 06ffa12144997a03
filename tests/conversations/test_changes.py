"""Changes that are no turns, answered from what was read before they were durable."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from axon.app.embedded import EmbeddedServer
from axon.conversations import Conversation, HistoryUnavailable, Update, recording
from axon.records import Record, encode
from tests.conversations.scene import KEY, ORG, Node, Process, message

READ_TRIES_MAX = 500

Change = Callable[[Process, str, str], Coroutine[Any, Any, Conversation]]


async def replace_metadata(process: Process, conversation: str, _: str) -> Conversation:
    return await process.conversations.changing.update(
        process.owner(), KEY, conversation, Update(metadata={"k": "new"})
    )


async def delete_item(process: Process, conversation: str, item: str) -> Conversation:
    return await process.conversations.changing.delete_item(
        process.owner(), KEY, conversation, item
    )


async def with_item(process: Process) -> tuple[Conversation, str]:
    """Return a projected conversation, and an item of it."""
    owner = process.owner()
    made = await process.conversations.changing.create(
        owner, KEY, {"k": "old"}, [message("user", "a")]
    )
    turn_id = await process.say(made.conversation_id, "b", "c")
    await process.project()
    turn = await process.conversations.find_turn(ORG, turn_id)
    before = await process.conversations.looking.read(owner, made.conversation_id)
    return before, turn.output[0].item_id


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


async def read_when_back(process: Process, conversation_id: str) -> Conversation:
    """Read once PostgreSQL is back: a pooled connection may die only when it is next used."""
    for _ in range(READ_TRIES_MAX):
        with contextlib.suppress(HistoryUnavailable):
            return await process.conversations.looking.read(process.owner(), conversation_id)
        await asyncio.sleep(0.02)
    raise AssertionError("PostgreSQL did not come back")


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

    monkeypatch.setattr(recording, "encode", dying)
    changed = await change(process, made.conversation_id, item)
    metadata = {"k": "new" if change is replace_metadata else "old"}
    expected = replace(made, head_sequence=3, updated_us=changed.updated_us, metadata=metadata)
    assert changed == expected
    assert changed.updated_us > made.updated_us
    postgres_server.ensure()
    assert await read_when_back(process, made.conversation_id) == expected


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
