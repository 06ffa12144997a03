"""Workers in processes of their own: `axon up --workers 2`, seen through the official SDK."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI

from axon.app.folders import DataFolder
from axon.app.up import read_running
from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.promises.reading import release, shown_to_the_model, until_shown

TURNS = 8
TEXT = "one two three four"


@pytest.fixture(scope="module")
def axon_with_workers(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str
) -> Iterator[RunningAxon]:
    data = tmp_path_factory.mktemp("workers")
    process, running = start_axon(data, upstream_address, "--workers", "2")
    yield running
    stop(process)


def workers(data: Path) -> set[int]:
    """Return the worker processes that run now."""
    running = read_running(DataFolder(data))
    assert running is not None
    return set(running.pids.get("worker", ()))


async def streamed(client: AsyncOpenAI, prompt: str) -> tuple[str, str]:
    """Return the text a stream showed, and how it ended."""
    shown, last = "", ""
    async for event in await client.responses.create(model="m", input=prompt, stream=True):
        last = event.type
        if event.type == "response.output_text.delta":
            shown += event.delta
        elif event.type == "response.completed":
            assert event.response.output_text == shown
    return shown, last


async def test_streams_come_through_the_workers(axon_with_workers: RunningAxon) -> None:
    prompt = f"[[text:{TEXT}]][[delay_ms:5]]"
    async with axon_with_workers.async_client() as client:
        turns = [streamed(client, f"{prompt} {number}") for number in range(TURNS)]
        assert set(await asyncio.gather(*turns)) == {(TEXT, "response.completed")}
    assert len(axon_with_workers.pids["worker"]) == 2


async def test_killed_workers_go_unnoticed_and_come_back(axon_with_workers: RunningAxon) -> None:
    """Both are killed while every turn waits for its first token."""
    before = workers(axon_with_workers.data)
    prompt = f"unnoticed [[text:{TEXT}]][[held:unnoticed]]"
    async with axon_with_workers.async_client() as client, asyncio.TaskGroup() as group:
        turns = [
            group.create_task(streamed(client, f"{prompt} {number}.")) for number in range(TURNS)
        ]
        for number in range(TURNS):
            await until_shown(axon_with_workers.upstream, f"{prompt} {number}.")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        release(axon_with_workers.upstream, "unnoticed")
    assert {turn.result() for turn in turns} == {(TEXT, "response.completed")}
    asked = await asyncio.to_thread(shown_to_the_model, axon_with_workers.upstream, prompt)
    assert len(asked) == 2 * TURNS, "each job was with a worker that died and with one that lived"
    after = workers(axon_with_workers.data)
    assert len(after) == 2 and not before & after
