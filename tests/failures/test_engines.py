"""Engines and the way to them: not there at the start, frozen in a stream, back again."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from axon.app.doctor import examine
from axon.app.folders import DataFolder
from axon.app.settings import load_settings
from axon.app.sockets import free_port
from axon.app.up import read_running
from tests.gateway.conftest import RunningAxon, start_axon, start_upstream, stop
from tests.promises.outages import degraded, healed, metrics, processes_of, status
from tests.promises.reading import until_shown

MODEL = "fake-model"
FAILURES = 6
"""One more than opens an upstream's breaker."""


def engine_on(port: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.fake_upstream", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.failure("upstream", "at-start")
@pytest.mark.failure("upstream", "down")
@pytest.mark.failure("engine", "at-start")
@pytest.mark.failure("engine", "down")
async def test_an_engine_that_comes_later(tmp_path: Path) -> None:
    """Axon starts without it, says so, refuses turns with 502, and uses it once it is there."""
    port = free_port(tmp_path / "engine")
    process, running = start_axon(tmp_path, f"http://127.0.0.1:{port}")
    try:
        async with running.async_client() as client:
            made = await client.conversations.create()
            for _ in range(FAILURES):
                with pytest.raises(openai.InternalServerError) as caught:
                    await client.responses.create(model=MODEL, input="x", conversation=made.id)
                assert caught.value.status_code in (502, 503)
            said = await degraded(running.origin, "upstream upstream")
            assert said["reason"] and said["since"]
            settings = load_settings(environment={"AXON_DATA": str(tmp_path)})
            found = {finding.part: finding for finding in await examine(settings)}
            assert said["reason"] in found["without upstream upstream"].seen
            page = await asyncio.to_thread(metrics, running.origin)
            assert 'axon_degraded_mode{dependency="upstream upstream"} 1.0' in page
            engine = engine_on(port)
            with engine:
                await _answers_again(client, made.id)
                await healed(running.origin)
                read = [item async for item in client.conversations.items.list(made.id)]
                assert len(read) == 2, "the turns that were refused left nothing"
                engine.kill()
    finally:
        stop(process)


async def _answers_again(client: openai.AsyncOpenAI, conversation_id: str) -> None:
    """Ask until the breaker lets a probe through, a second apart at most."""
    async with asyncio.timeout(30):
        while True:
            try:
                await client.responses.create(
                    model=MODEL, input="[[text:here]]", conversation=conversation_id
                )
            except openai.InternalServerError:
                await asyncio.sleep(0.1)
            else:
                return


@pytest.mark.failure("engine", "frozen")
@pytest.mark.failure("upstream", "frozen")
async def test_a_stream_of_a_frozen_engine_goes_on_where_it_stood(tmp_path: Path) -> None:
    engine, address = start_upstream()
    process, running = start_axon(tmp_path, address)
    try:
        async with running.async_client() as client:
            stream = await client.responses.create(
                model=MODEL, input="[[chunks:20]][[delay_ms:20]]", stream=True
            )
            events = []
            async for event in stream:
                events.append(event)
                if sum(one.type == "response.output_text.delta" for one in events) == 3:
                    os.kill(engine.pid, signal.SIGSTOP)
                    await client.models.list()  # everything else goes on
                    made = await client.conversations.create()
                    await client.conversations.items.list(made.id)
                    os.kill(engine.pid, signal.SIGCONT)
            assert events[-1].type == "response.completed"
            said = "".join(e.delta for e in events if e.type == "response.output_text.delta")
            assert events[-1].response.output_text == said
    finally:
        os.kill(engine.pid, signal.SIGCONT)
        stop(process)
        with engine:
            engine.kill()


@pytest.fixture(scope="module")
def axon_with_worker(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str
) -> Iterator[RunningAxon]:
    folder = tmp_path_factory.mktemp("worker")
    process, running = start_axon(folder, upstream_address, "--workers", "1")
    yield running
    stop(process)


@pytest.mark.failure("queue", "frozen")
@pytest.mark.failure("bus", "frozen")
async def test_a_frozen_queue_and_bus(axon_with_worker: RunningAxon) -> None:
    """New jobs run in the gateway, a stream under way waits for the bus, and no word is lost."""
    axon = axon_with_worker
    pids = processes_of(axon, "valkey")
    async with axon.async_client() as client, asyncio.TaskGroup() as group:

        async def streamed(text: str) -> list[str]:
            stream = await client.responses.create(model=MODEL, input=text, stream=True)
            return [event.type async for event in stream]

        running = group.create_task(streamed("under way [[chunks:40]][[delay_ms:25]]"))
        await until_shown(axon.upstream, "under way")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            await degraded(axon.origin, "queue")
            new = await streamed("meanwhile [[text:here]]")
            assert new[-1] == "response.completed"
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
    assert running.result()[-1] == "response.completed"
    await healed(axon.origin)


async def test_the_processes_without_a_door_are_seen_through_the_serving_one(
    axon_with_worker: RunningAxon,
) -> None:
    """A worker tells of its upstreams, a dead projector is missed, and both have metrics."""
    axon = axon_with_worker
    await healed(axon.origin)
    found = await asyncio.to_thread(status, axon.origin)
    assert found["dependencies"]["upstream upstream"]["up"]
    page = await asyncio.to_thread(metrics, axon.origin)
    assert any('instance="projector"' in line and "process_open_fds" in line for line in page)
    assert any('instance="worker"' in line for line in page)
    running = read_running(DataFolder(axon.data))
    assert running is not None
    (projector,) = running.pids["projector"]
    os.kill(projector, signal.SIGSTOP)
    try:
        await degraded(axon.origin, "projector", "no projector says")
    finally:
        os.kill(projector, signal.SIGCONT)
    await healed(axon.origin)
