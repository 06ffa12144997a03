"""Valkey wiped under load: no model is ever shown a wrong history, and PostgreSQL is read once."""

import asyncio
import contextlib
import os
import signal
import socket
import urllib.request
from collections.abc import Callable, Coroutine
from typing import Any, Never

import openai
import pytest

from axon.app.embedded import EmbeddedValkey
from tests.gateway.conftest import RunningAxon
from tests.promises.outages import healed, processes_of
from tests.promises.reading import read_conversation_async, shown_to_the_model

MODEL = "fake-model"
CONVERSATIONS = 24
TURNS = 8
FLUSH_EVERY_S = 0.02
"""A turn takes a few milliseconds and its conversation another at once: wiped at any point."""

Wiper = Callable[[RunningAxon], Coroutine[Any, Any, Never]]


def question(tag: str, number: int) -> str:
    return f"{tag} asks {number} [[text:{tag} is told {number}]]"


def history(tag: str, turns: int) -> list[tuple[str, str]]:
    """Return what a conversation is after so many turns."""
    return [
        message
        for number in range(turns)
        for message in (("user", question(tag, number)), ("assistant", f"{tag} is told {number}"))
    ]


async def flush(axon: RunningAxon) -> None:
    """Take everything from Valkey, leases and open marks too."""
    await asyncio.to_thread(_flush, str(EmbeddedValkey(axon.data).socket))


def _flush(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as valkey:
        valkey.connect(address)
        valkey.sendall(b"FLUSHALL\r\n")
        assert valkey.recv(64) == b"+OK\r\n"


async def flush_often(axon: RunningAxon) -> Never:
    while True:
        await flush(axon)
        await asyncio.sleep(FLUSH_EVERY_S)


async def kill_often(axon: RunningAxon) -> Never:
    while True:
        with contextlib.suppress(KeyError, ProcessLookupError):  # it is being started just now
            os.kill(processes_of(axon, "valkey")[0], signal.SIGKILL)
        await healed(axon.origin)


async def chat(client: openai.AsyncOpenAI, conversation_id: str, tag: str) -> None:
    """Take the turns one after the other, every second one streamed."""
    for number in range(TURNS):
        answer = await client.responses.create(
            model=MODEL,
            input=question(tag, number),
            conversation=conversation_id,
            stream=bool(number % 2),
        )
        if isinstance(answer, openai.AsyncStream):
            assert [event.type async for event in answer][-1] == "response.completed"


@pytest.mark.failure("valkey", "wiped")
@pytest.mark.parametrize("wipe", [flush_often, kill_often])
async def test_wiped_under_load_no_history_is_wrong(own_axon: RunningAxon, wipe: Wiper) -> None:
    async with own_axon.async_client() as client:
        made = [await client.conversations.create() for _ in range(CONVERSATIONS)]
        tags = {one.id: f"{wipe.__name__}-{number:02d}-" for number, one in enumerate(made)}
        wiping = asyncio.get_running_loop().create_task(wipe(own_axon))
        await asyncio.gather(*(chat(client, one, tag) for one, tag in tags.items()))
        assert not wiping.done(), wiping
        wiping.cancel()
        await asyncio.wait([wiping])
        await healed(own_axon.origin)
        for conversation_id, tag in tags.items():
            read = await read_conversation_async(client, conversation_id)
            assert [(one.author, one.text) for one in read] == history(tag, TURNS)
            shown = await asyncio.to_thread(shown_to_the_model, own_axon.upstream, tag)
            assert {len(messages) for messages in shown} == {2 * n + 1 for n in range(TURNS)}
            for messages in shown:
                assert messages == history(tag, TURNS)[: len(messages)]


def loads(axon: RunningAxon) -> int:
    """Return how many histories came from PostgreSQL so far."""
    with urllib.request.urlopen(f"{axon.origin}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    name = 'axon_conversation_windows_total{from="postgresql"}'
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(name))


@pytest.mark.failure("valkey", "wiped")
async def test_a_wiped_cache_costs_one_load_for_each_conversation(own_axon: RunningAxon) -> None:
    async with own_axon.async_client() as client:
        made = [await client.conversations.create() for _ in range(16)]

        async def turns(conversation_id: str, first: int, count: int) -> None:
            await asyncio.gather(
                *(
                    client.responses.create(
                        model=MODEL, input=question("load", number), conversation=conversation_id
                    )
                    for number in range(first, first + count)
                )
            )

        await asyncio.gather(*(turns(one.id, 0, 1) for one in made))
        await healed(own_axon.origin)
        before = await asyncio.to_thread(loads, own_axon)
        await flush(own_axon)
        await asyncio.gather(*(turns(one.id, 1, 4) for one in made))
        after = await asyncio.to_thread(loads, own_axon)
        assert after - before == len(made)
