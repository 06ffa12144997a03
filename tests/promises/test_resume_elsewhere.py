"""Fifty streams, their serving process killed at a random event, each resumed behind what it saw.

With workers of their own and the bus alive nothing is lost, told twice or told otherwise. With the
bus killed too nothing is told otherwise, and every stream ends. The engine keeps back the end of
every answer until the kill, so that none can be over before it.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from httpx2 import HTTPError
from openai import AsyncOpenAI

from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.promises.reading import release

MODEL = "fake-model"
STREAMS = 50
WORDS = 40
TEXT = " ".join(f"word{number}" for number in range(WORDS))
RESUMED_MAX = 20


@pytest.fixture(scope="module")
def with_worker(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str
) -> Iterator[RunningAxon]:
    """An Axon whose engines are driven by a process of their own."""
    folder = tmp_path_factory.mktemp("with-worker")
    process, running = start_axon(folder, upstream_address, "--workers", "1")
    yield running
    stop(process)


def kill(axon: RunningAxon, *roles: str) -> None:
    pids: dict[str, list[int]] = json.loads((axon.data / "up.json").read_text())["pids"]
    for pid in (pid for role in roles for pid in pids[role]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Watcher:
    """A client that follows one response to its end, whatever happens."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client
        self.events: list[Any] = []
        self.resumed = 0

    async def watch(self, gate: str) -> None:
        text = f"[[text:{TEXT}]][[chunks:{WORDS}]][[delay_ms:50]][[usage_held:{gate}]]"
        stream = await self._client.responses.create(model=MODEL, input=text, stream=True)
        while not await self._follow(stream):
            self.resumed += 1
            assert self.resumed < RESUMED_MAX
            await asyncio.sleep(0.2)
            with contextlib.suppress(openai.APIError):
                stream = await self._client.responses.retrieve(
                    self.events[0].response.id,
                    stream=True,
                    starting_after=self.events[-1].sequence_number,
                )

    async def _follow(self, stream: openai.AsyncStream[Any]) -> bool:
        with contextlib.suppress(openai.APIError, HTTPError):
            async for event in stream:
                self.events.append(event)
        last = self.events[-1].type
        return last in ("response.completed", "response.incomplete", "response.failed")

    @property
    def said(self) -> str:
        return "".join(
            event.delta for event in self.events if event.type == "response.output_text.delta"
        )


async def cut_and_resumed(
    axon: RunningAxon, upstream_address: str, *killed: str
) -> tuple[list[Watcher], list[str]]:
    """Return the clients once every stream has ended, and the texts that are stored."""
    gate = "-".join(killed)
    async with axon.async_client() as client:
        patient = client.with_options(max_retries=10)
        watchers = [Watcher(patient) for _ in range(STREAMS)]
        watching = asyncio.gather(*(watcher.watch(gate) for watcher in watchers))
        victim, event = random.choice(watchers), random.randrange(5, WORDS)
        while len(victim.events) < event:
            await asyncio.sleep(0.005)
        kill(axon, *killed)
        await asyncio.to_thread(release, upstream_address, gate)
        await watching
        stored = [
            (await patient.responses.retrieve(watcher.events[0].response.id)).output_text
            for watcher in watchers
        ]
    for watcher in watchers:
        numbers = [event.sequence_number for event in watcher.events]
        assert numbers == list(range(len(numbers)))
    assert any(watcher.resumed for watcher in watchers)
    return watchers, stored


async def test_with_the_bus_alive_nothing_is_lost_or_repeated(
    with_worker: RunningAxon, upstream_address: str
) -> None:
    watchers, stored = await cut_and_resumed(with_worker, upstream_address, "serving")
    assert [watcher.events[-1].type for watcher in watchers] == ["response.completed"] * STREAMS
    assert [watcher.said for watcher in watchers] == stored == [TEXT] * STREAMS


async def test_with_the_bus_killed_too_nothing_is_contradicted(
    with_worker: RunningAxon, upstream_address: str
) -> None:
    watchers, stored = await cut_and_resumed(with_worker, upstream_address, "serving", "valkey")
    for watcher, text in zip(watchers, stored, strict=True):
        assert TEXT.startswith(watcher.said)
        assert watcher.said.startswith(text) or text.startswith(watcher.said)
