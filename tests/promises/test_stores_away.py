"""PostgreSQL and Valkey frozen, killed, and both away: turns go on, and every one is there once."""

import asyncio
import json
import os
import signal
import urllib.request
from pathlib import Path

import openai
import pytest

from tests.gateway.conftest import RunningAxon
from tests.promises.reading import read_conversation_async

MODEL = "fake-model"
CAUGHT_UP_TRIES_MAX = 600
"""Looks at /status, 50 ms apart, until PostgreSQL has everything."""


def processes_of(axon: RunningAxon, role: str) -> list[int]:
    """Return the role's process and its children, as they are now."""
    pids = json.loads((axon.data / "up.json").read_text())["pids"][role]
    children = Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split()
    return [*pids, *map(int, children)]


def signal_all(axon: RunningAxon, role: str, number: signal.Signals) -> None:
    for pid in processes_of(axon, role):
        os.kill(pid, number)


def status(axon: RunningAxon) -> dict[str, object]:
    with urllib.request.urlopen(f"{axon.origin}/status", timeout=30) as answer:
        found: dict[str, object] = json.load(answer)
    return found


async def healed(axon: RunningAxon) -> None:
    """Wait until nothing is degraded and PostgreSQL has every record."""
    for _ in range(CAUGHT_UP_TRIES_MAX):
        found = await asyncio.to_thread(status, axon)
        if not found["degraded"] and found["journal"]["lag_records"] == 0:  # type: ignore[index]
            return
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def turn(client: openai.AsyncOpenAI, conversation_id: str, number: int) -> None:
    """Take one turn, streamed when its number is odd, and demand its acknowledgement."""
    answer = await client.responses.create(
        model=MODEL,
        input=f"question {number} [[text:answer {number}]]",
        conversation=conversation_id,
        stream=bool(number % 2),
    )
    if isinstance(answer, openai.AsyncStream):
        assert [event.type async for event in answer][-1] == "response.completed"


async def texts(client: openai.AsyncOpenAI, conversation_id: str) -> list[str]:
    return [message.text for message in await read_conversation_async(client, conversation_id)]


def expected(turns: int) -> list[str]:
    return [
        text
        for number in range(turns)
        for text in (f"question {number} [[text:answer {number}]]", f"answer {number}")
    ]


@pytest.mark.parametrize("role", ["postgres", "valkey"])
async def test_frozen(own_axon: RunningAxon, role: str) -> None:
    async with own_axon.async_client() as client:
        conversation = await client.conversations.create()
        for number in range(3):
            await turn(client, conversation.id, number)
        signal_all(own_axon, role, signal.SIGSTOP)
        try:
            for number in range(3, 9):
                await turn(client, conversation.id, number)
            told = await client.responses.with_raw_response.create(
                model=MODEL, input="[[text:x]]", conversation=conversation.id, store=False
            )
            without = told.headers.get("axon-degraded")
        finally:
            signal_all(own_axon, role, signal.SIGCONT)
        await healed(own_axon)
        for number in range(9, 11):
            await turn(client, conversation.id, number)
        await healed(own_axon)
        read = await texts(client, conversation.id)
        assert [*read[:18], *read[20:]] == expected(11)
        assert without == ("valkey" if role == "valkey" else None)


@pytest.mark.parametrize("role", ["postgres", "valkey"])
async def test_killed_between_and_under_turns(own_axon: RunningAxon, role: str) -> None:
    async with own_axon.async_client() as client:
        conversations = [await client.conversations.create() for _ in range(8)]
        killed = asyncio.Event()

        async def chat(conversation_id: str) -> None:
            for number in range(10):
                await turn(client, conversation_id, number)
                if number == 2:
                    killed.set()

        chats = asyncio.gather(*(chat(made.id) for made in conversations))
        await killed.wait()
        os.kill(processes_of(own_axon, role)[0], signal.SIGKILL)
        await chats
        await healed(own_axon)
        for made in conversations:
            assert await texts(client, made.id) == expected(10)


async def test_both_away_is_503_and_loses_nothing(own_axon: RunningAxon) -> None:
    async with own_axon.async_client() as client:
        conversation = await client.conversations.create()
        for number in range(2):
            await turn(client, conversation.id, number)
        await healed(own_axon)
        for role in ("postgres", "valkey"):
            signal_all(own_axon, role, signal.SIGSTOP)
        try:
            with pytest.raises(openai.InternalServerError) as caught:
                await turn(client, conversation.id, 2)
            assert caught.value.status_code == 503
            assert "retry-after-ms" in caught.value.response.headers
            answer = await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "[[text:still here]]"}]
            )
            assert answer.choices[0].message.content == "still here"
        finally:
            for role in ("postgres", "valkey"):
                signal_all(own_axon, role, signal.SIGCONT)
        await healed(own_axon)
        for number in range(2, 4):
            await turn(client, conversation.id, number)
        assert await texts(client, conversation.id) == expected(4)


async def test_an_unknown_key_is_503_while_postgresql_is_away(own_axon: RunningAxon) -> None:
    signal_all(own_axon, "postgres", signal.SIGSTOP)
    try:
        async with own_axon.async_client().copy(api_key="sk-axon-" + "0" * 48) as stranger:
            with pytest.raises(openai.InternalServerError) as caught:
                await stranger.models.list()
            assert caught.value.status_code == 503
    finally:
        signal_all(own_axon, "postgres", signal.SIGCONT)
    await healed(own_axon)
    async with own_axon.async_client().copy(api_key="sk-axon-" + "0" * 48) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()
