"""PostgreSQL and Valkey frozen, killed, and both away: turns go on, and every one is there once."""

import asyncio
import os
import signal

import openai
import pytest

from tests.gateway.conftest import RunningAxon
from tests.promises.outages import degraded, healed, processes_of, signal_all
from tests.promises.reading import read_conversation_async

MODEL = "fake-model"


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


DEPENDENCY = {"postgres": "postgresql", "valkey": "valkey"}


@pytest.mark.failure("postgresql", "frozen")
@pytest.mark.failure("valkey", "frozen")
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
            said = await degraded(own_axon.origin, DEPENDENCY[role])
            assert said["reason"] and said["since"]
            told = await client.responses.with_raw_response.create(
                model=MODEL, input="[[text:x]]", conversation=conversation.id, store=False
            )
            without = told.headers.get("axon-degraded")
        finally:
            signal_all(own_axon, role, signal.SIGCONT)
        await healed(own_axon.origin)
        for number in range(9, 11):
            await turn(client, conversation.id, number)
        await healed(own_axon.origin)
        read = await texts(client, conversation.id)
        assert [*read[:18], *read[20:]] == expected(11)
        assert without == DEPENDENCY[role]


@pytest.mark.failure("postgresql", "down")
@pytest.mark.failure("valkey", "down")
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
        await healed(own_axon.origin)
        for made in conversations:
            assert await texts(client, made.id) == expected(10)


async def test_both_away_says_so_and_loses_nothing(own_axon: RunningAxon) -> None:
    """A history that nobody can prove is not guessed: the turn is told without it, flagged."""
    async with own_axon.async_client() as client:
        conversation = await client.conversations.create()
        for number in range(2):
            await turn(client, conversation.id, number)
        await healed(own_axon.origin)
        for role in ("postgres", "valkey"):
            signal_all(own_axon, role, signal.SIGSTOP)
        try:
            told = await client.responses.with_raw_response.create(
                model=MODEL,
                input="question 2 [[text:answer 2]]",
                conversation=conversation.id,
            )
            without = told.headers["axon-degraded"].split(", ")
            assert "history" in without
            answer = await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "[[text:still here]]"}]
            )
            assert answer.choices[0].message.content == "still here"
        finally:
            for role in ("postgres", "valkey"):
                signal_all(own_axon, role, signal.SIGCONT)
        await healed(own_axon.origin)
        await turn(client, conversation.id, 3)
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
    await healed(own_axon.origin)
    async with own_axon.async_client().copy(api_key="sk-axon-" + "0" * 48) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()
