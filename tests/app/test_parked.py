"""A record that one room cannot apply: told three ways, in nobody's way, and tried again."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator

import asyncpg
import pytest

from axon.app.embedded import EmbeddedPostgres
from axon.base import SystemClock
from axon.projection import ProjectorStatus, read_status
from tests.gateway.conftest import RunningAxon, start_axon, stop, upstream_address

__all__ = ["upstream_address"]

WITHIN_S = 30.0


@pytest.fixture
def axon(tmp_path_factory: pytest.TempPathFactory, upstream_address: str) -> Iterator[RunningAxon]:
    process, running = start_axon(tmp_path_factory.mktemp("own"), upstream_address)
    yield running
    stop(process)


def command(axon: RunningAxon, *words: str) -> "subprocess.CompletedProcess[str]":
    call = [sys.executable, "-m", "axon.app.cli", *words, "--data", str(axon.data), "--json"]
    return subprocess.run(call, check=False, capture_output=True, text=True, timeout=60)


async def status_when(
    axon: RunningAxon, holds: Callable[[ProjectorStatus], bool]
) -> ProjectorStatus:
    async with asyncio.timeout(WITHIN_S):
        while True:
            status = read_status(axon.data / "journal")
            if status is not None and holds(status):
                return status
            await asyncio.sleep(0.05)


def ask(axon: RunningAxon, conversation: str, question: str) -> None:
    with axon.sync_client() as client:
        client.responses.create(model="default", input=question, conversation=conversation)


async def test_a_poisoned_record_is_parked_told_and_replayed(axon: RunningAxon) -> None:
    with axon.sync_client() as client:
        poisoned, healthy = client.conversations.create().id, client.conversations.create().id
    await status_when(axon, lambda status: not status.lag_records)
    connection = await asyncpg.connect(EmbeddedPostgres(axon.data).url())
    poison = f"CHECK (conversation_id <> '{poisoned}') NOT VALID"
    await connection.execute(f"ALTER TABLE conversations.places ADD CONSTRAINT poison {poison}")
    try:
        for question in ("One?", "Two?"):
            ask(axon, poisoned, question)
            ask(axon, healthy, question)
        asked_us = SystemClock().now_us()
        status = await status_when(
            axon, lambda status: status.at_us > asked_us and not status.lag_records
        )  # nobody else waits
        count = status.parked
        assert count >= 3  # the first turn's end, and both records of the second at least
        parked = [json.loads(line) for line in command(axon, "parked", "list").stdout.splitlines()]
        assert [one["state"] for one in parked] == ["failed", *["behind"] * (count - 1)]
        assert {one["conversation_id"] for one in parked} == {poisoned}
        shown = command(axon, "parked", "show", str(parked[0]["number"])).stdout
        assert "CheckViolationError" in json.loads(shown)["error"]
        assert "One?" not in shown
        assert command(axon, "parked", "show", "999").returncode == 1
        doctor = command(axon, "doctor")
        assert doctor.returncode == 1
        assert f"{count} records could not be applied" in doctor.stdout
        assert '"projection.parked"' in (axon.data / "logs/projector.log").read_text()
        differing = json.loads(command(axon, "reconcile").stdout)["differences"]
        assert {one["kind"] for one in differing} >= {"parked"}
        refused = command(axon, "parked", "replay")
        assert refused.returncode == 1
        assert json.loads(refused.stdout) == {"applied": 0, "refused": 1}
    finally:
        await connection.execute("ALTER TABLE conversations.places DROP CONSTRAINT poison")
        await connection.close()
    done = command(axon, "parked", "replay", str(parked[0]["number"]))
    assert json.loads(done.stdout) == {"applied": count, "refused": 0}
    await status_when(axon, lambda status: not status.parked)
    assert command(axon, "reconcile").returncode == 0
    with axon.sync_client() as client:
        items = client.conversations.items.list(poisoned, order="asc").data
    assert len(items) == 4


async def test_the_metrics_count_what_is_parked(axon: RunningAxon) -> None:
    connection = await asyncpg.connect(EmbeddedPostgres(axon.data).url())
    await connection.execute(
        "INSERT INTO projection.parked (room, instance, sequence, conversation_id, kind, payload,"
        " state, error) VALUES ('conversations', 'node', 7, '', 1, '', 'failed', 'why')"
    )
    await connection.close()
    await status_when(axon, lambda status: status.parked == 1)
    async with asyncio.timeout(WITHIN_S):
        while True:
            page = await asyncio.to_thread(_page, f"{axon.origin}/metrics")
            lines = [line for line in page.splitlines() if "parked_records" in line]
            if any('state="parked"' in line and line.endswith(" 1.0") for line in lines):
                return
            await asyncio.sleep(0.2)


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: bytes = answer.read()
    return text.decode()
