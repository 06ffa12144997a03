"""`axon reconcile` says nothing about a healthy installation, and names exactly what is wrong."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from axon.app.embedded import EmbeddedPostgres, EmbeddedValkey
from axon.app.folders import DataFolder
from axon.app.reconcile import ProjectorBehind, Report, reconcile
from axon.stores import Valkey
from tests.gateway.commands import axon_command
from tests.gateway.conftest import (
    RunningAxon,
    start_axon,
    stop,
    upstream_address,
)

__all__ = ["upstream_address"]


@pytest.fixture(scope="module")
def axon(tmp_path_factory: pytest.TempPathFactory, upstream_address: str) -> Iterator[RunningAxon]:
    """An Axon of this file alone, with something of everything in it."""
    process, running = start_axon(tmp_path_factory.mktemp("own"), upstream_address)
    for name, measure, period in (("each", "requests", "day"), ("words", "tokens", "month")):
        words = ("--measure", measure, "--period", period, "--amount", "1000000000")
        axon_command(running, "limits", "set", name, *words)
    with running.sync_client() as client:
        while len(client.get("/limits", cast_to=dict[str, Any])["data"]) < 2:
            time.sleep(0.05)
    fill(running)
    yield running
    stop(process)


def fill(axon: RunningAxon) -> None:
    """Have conversations, chains, items, deletions, keys, and a chat without a conversation."""
    with axon.sync_client() as client:
        kept, lighter, deleted = (
            client.conversations.create(
                items=[{"type": "message", "role": "user", "content": "I am here."}]
            )
            for _ in range(3)
        )
        for conversation in (kept, lighter, deleted):
            for question in ("One?", "Two?"):
                client.responses.create(
                    model="default", input=question, conversation=conversation.id
                )
        items = client.conversations.items.list(lighter.id, order="asc").data
        assert items[1].id
        client.conversations.items.delete(items[1].id, conversation_id=lighter.id)
        client.conversations.delete(deleted.id)
        first = client.responses.create(model="default", input="A chain?")
        client.responses.create(model="default", input="On?", previous_response_id=first.id)
        headers = {"Idempotency-Key": "once"}
        client.responses.create(model="default", input="Once?", extra_headers=headers)
        client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": "Bare?"}]
        )
    for _ in range(2):
        send_events(axon, 3)


def send_events(axon: RunningAxon, count: int) -> None:
    """Send outside events; the same ones, when it is done again."""
    events = [
        {"specversion": "1.0", "id": f"{n}", "source": "s", "type": "t", "subject": "a"}
        for n in range(count)
    ]
    request = urllib.request.Request(
        f"{axon.origin}/api/v1/events",
        json.dumps(events).encode(),
        {"Authorization": f"Bearer {axon.api_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 204


def addresses(axon: RunningAxon) -> tuple[str, str]:
    return EmbeddedPostgres(axon.data).url(), EmbeddedValkey(axon.data).url()


async def compare(axon: RunningAxon) -> Report:
    return await reconcile(DataFolder(axon.data), *addresses(axon), lambda stage: None)


def named(report: Report) -> set[tuple[str, str, str]]:
    return {(one.kind, one.name, one.side) for one in report.differences}


@asynccontextmanager
async def damaged(axon: RunningAxon, *statements: str) -> AsyncIterator[asyncpg.Connection]:
    """Carry out statements of hand-made damage, and heal it by putting the tables back."""
    connection = await asyncpg.connect(addresses(axon)[0])
    tables = ("conversations", "places", "items", "turns", "idempotency_keys")
    for table in tables:
        await connection.execute(
            f"CREATE TEMP TABLE kept_{table} AS SELECT * FROM conversations.{table}"
        )
    try:
        for statement in statements:
            await connection.execute(statement)
        yield connection
    finally:
        for table in tables:
            await connection.execute(f"DELETE FROM conversations.{table}")
            await connection.execute(
                f"INSERT INTO conversations.{table} SELECT * FROM kept_{table}"
            )
        await connection.execute("DELETE FROM projection.parked")
        await connection.close()


async def one(axon: RunningAxon, sql: str) -> Any:
    connection = await asyncpg.connect(addresses(axon)[0])
    try:
        return await connection.fetchrow(sql)
    finally:
        await connection.close()


async def test_an_outside_event_that_is_not_there_is_named(axon: RunningAxon) -> None:
    assert (await compare(axon)).agrees  # so that both batches are there
    row = await one(axon, "DELETE FROM metering.events WHERE id = '1' RETURNING *")
    report = await compare(axon)
    connection = await asyncpg.connect(addresses(axon)[0])
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO metering.events VALUES ({places})", *row)
    await connection.close()
    org_id = row["org_id"]
    assert named(report) == {("event", f"{org_id} s 1", "postgresql")}
    assert len(report.differences) == 2  # each batch that holds it lacks it
    assert (await compare(axon)).agrees


A_TURN = """
SELECT id, conversation_id, sequence, user_id FROM conversations.turns
WHERE status = 'completed' AND conversation_id <> '' ORDER BY id LIMIT 1
"""


async def test_a_healthy_installation_agrees(axon: RunningAxon) -> None:
    report = await compare(axon)
    assert report.differences == ()
    totals = {total.what: total for total in report.totals}
    for what in ("turns counted by limits", "used of limits"):
        assert totals[what].journal == totals[what].postgresql != 0
    assert totals["turns ended"].journal == totals["turns ended"].postgresql == 10
    assert totals["tokens of these"].journal == totals["tokens of these"].postgresql
    assert (totals["tokens of these"].journal or 0) > 0
    assert (totals["windows"].valkey or 0) >= 2
    assert totals["outside events, repeats too"].journal == 6
    assert totals["outside events"].postgresql == 3


def test_the_command_tells_it_to_people_and_scripts(axon: RunningAxon) -> None:
    call = [sys.executable, "-m", "axon.app.cli", "reconcile", "--data", str(axon.data)]
    told = subprocess.run([*call, "--json"], check=True, capture_output=True, timeout=60)
    assert json.loads(told.stdout)["differences"] == []
    done = subprocess.run(call, check=True, capture_output=True, text=True, timeout=60)
    assert "agree" in done.stderr
    assert "turns ended" in done.stdout


async def test_a_deleted_turn_is_named(axon: RunningAxon) -> None:
    turn = await one(axon, A_TURN)
    async with damaged(axon, f"DELETE FROM conversations.turns WHERE id = '{turn['id']}'"):
        assert named(await compare(axon)) == {("turn", turn["id"], "postgresql")}


async def test_a_changed_count_is_named(axon: RunningAxon) -> None:
    turn = await one(axon, A_TURN)
    where = f"WHERE id = '{turn['id']}'"
    async with damaged(
        axon, f"UPDATE conversations.turns SET output_tokens = output_tokens + 1 {where}"
    ):
        report = await compare(axon)
    assert named(report) == {("tokens", turn["id"], "postgresql")}
    (total,) = [total for total in report.totals if total.what == "tokens of these"]
    assert total.postgresql == (total.journal or 0) + 1


@pytest.mark.parametrize("change", ["used + 1", "used - 1"])
async def test_a_wrong_count_of_a_limit_is_named(axon: RunningAxon, change: str) -> None:
    row = await one(axon, "SELECT * FROM limits.counts WHERE bucket = 'words'")
    what = "UPDATE limits.counts SET used = {} WHERE bucket = 'words'"
    await one(axon, what.format(change))
    try:
        place = f"{row['org_id']}:words:{row['start_us']}"
        assert named(await compare(axon)) == {("limit", place, "postgresql")}
    finally:
        await one(axon, what.format(row["used"]))
    assert (await compare(axon)).agrees


async def test_a_turn_that_no_limit_counted_is_named(axon: RunningAxon) -> None:
    gone = await one(axon, "SELECT * FROM limits.turns ORDER BY turn_id LIMIT 1")
    await one(axon, f"DELETE FROM limits.turns WHERE turn_id = '{gone['turn_id']}'")
    try:
        assert named(await compare(axon)) == {("limit", gone["turn_id"], "postgresql")}
    finally:
        kept = f"('{gone['turn_id']}', {gone['past_us']})"
        await one(axon, f"INSERT INTO limits.turns VALUES {kept}")


async def test_a_count_of_turns_that_no_journal_has_is_named(axon: RunningAxon) -> None:
    row = await one(axon, "SELECT * FROM limits.counts WHERE bucket = 'each'")
    made = f"('{row['org_id']}', 'made-up', {row['start_us']}, '{row['instance']}', 3, 1)"
    await one(axon, f"INSERT INTO limits.counts VALUES {made}")
    try:
        place = f"{row['org_id']}:made-up:{row['start_us']}"
        assert named(await compare(axon)) == {("limit", place, "postgresql")}
    finally:
        await one(axon, "DELETE FROM limits.counts WHERE bucket = 'made-up'")


async def test_a_deleted_item_is_named(axon: RunningAxon) -> None:
    turn = await one(axon, A_TURN)
    at = f"conversation_id = '{turn['conversation_id']}' AND sequence = {turn['sequence']}"
    item = await one(axon, f"SELECT item_id FROM conversations.items WHERE {at} AND index = 1")
    async with damaged(axon, f"DELETE FROM conversations.items WHERE {at} AND index = 1"):
        found = named(await compare(axon))
    assert found - {("window", turn["conversation_id"], "valkey")} == {
        ("item", item["item_id"], "postgresql")
    }


async def test_a_doubled_item_is_named(axon: RunningAxon) -> None:
    turn = await one(axon, A_TURN)
    at = f"conversation_id = '{turn['conversation_id']}' AND sequence = {turn['sequence']}"
    item = await one(axon, f"SELECT item_id FROM conversations.items WHERE {at} AND index = 1")
    async with damaged(
        axon,
        "INSERT INTO conversations.items SELECT user_id, conversation_id, sequence, 99, item_id,"
        " turn_id, output, kind, author, status, model_tokens, blob, created_us"
        f" FROM conversations.items WHERE {at} AND index = 1",
    ):
        found = named(await compare(axon))
    assert ("item", item["item_id"], "postgresql") in found
    assert {kind for kind, _, _ in found} <= {"item", "window"}


async def test_a_place_that_is_gone_is_named(axon: RunningAxon) -> None:
    turn = await one(axon, A_TURN)
    at = f"conversation_id = '{turn['conversation_id']}' AND sequence = {turn['sequence']}"
    async with damaged(axon, f"DELETE FROM conversations.places WHERE {at}"):
        found = named(await compare(axon))
    assert ("place", turn["id"], "postgresql") in found
    assert ("turn", turn["id"], "postgresql") in found
    assert ("conversation", turn["conversation_id"], "postgresql") in found


async def test_a_forgotten_key_is_named(axon: RunningAxon) -> None:
    key = await one(axon, "SELECT object_id FROM conversations.idempotency_keys")
    async with damaged(axon, "DELETE FROM conversations.idempotency_keys"):
        assert named(await compare(axon)) == {("key", key["object_id"], "postgresql")}


async def test_a_stale_window_is_named(axon: RunningAxon) -> None:
    """The window of a conversation says less than PostgreSQL, and says that it is closed."""
    turn = await one(axon, A_TURN)
    window = f"{{{turn['conversation_id']}}}:w"
    valkey = Valkey(addresses(axon)[1], timeout_ms=5_000)
    await valkey.start()
    try:
        head = await valkey.call("HGET", window, "h")
        assert isinstance(head, bytes)
        await valkey.call("HSET", window, "h", int(head) - 1)
        assert named(await compare(axon)) == {("window", turn["conversation_id"], "valkey")}
        await valkey.call("HSET", window, "h", head)
        assert (await compare(axon)).agrees
    finally:
        await valkey.stop()


async def test_a_parked_record_is_named(axon: RunningAxon) -> None:
    async with damaged(
        axon,
        "INSERT INTO projection.parked (room, instance, sequence, conversation_id, kind, payload,"
        " state, error) VALUES ('conversations', 'node', 7, 'conv', 1, '', 'failed', 'why')",
    ):
        assert named(await compare(axon)) == {("parked", "node:7", "postgresql")}


async def test_a_projector_that_does_not_follow_is_told_not_guessed(
    axon: RunningAxon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axon.app.reconcile.comparing.CATCH_UP_S", 0.2)
    connection = await asyncpg.connect(addresses(axon)[0])
    try:
        await connection.execute("UPDATE projection.cursors SET sequence = sequence - 1")
        with pytest.raises(ProjectorBehind, match="by 1 entries"):
            await compare(axon)
        await connection.execute("UPDATE projection.cursors SET sequence = sequence + 1")
    finally:
        await connection.close()


async def test_it_agrees_while_turns_are_running(axon: RunningAxon) -> None:
    async def chat(number: int) -> None:
        async with axon.async_client() as client:
            conversation = await client.conversations.create()
            for _ in range(6):
                await client.responses.create(
                    model="default", input=f"{number}? [[chunks:3]]", conversation=conversation.id
                )

    chatting = asyncio.gather(*map(chat, range(4)))
    while not chatting.done():
        assert (await compare(axon)).differences == ()
    await chatting
