"""The serving process killed in the middle of turns: each of them comes to a defined end."""

import asyncio
import contextlib
import json
import os
import signal

import openai
import pytest
from openai.types.responses import ResponseStreamEvent

from tests.gateway.conftest import RunningAxon
from tests.promises.reading import Said, read_conversation_async, release, until_shown

MODEL = "fake-model"
TRIES_MAX = 400


def kill_serving(axon: RunningAxon) -> None:
    pids = json.loads((axon.data / "up.json").read_text())["pids"]
    os.kill(pids["serving"][0], signal.SIGKILL)


async def watch_and_kill(
    axon: RunningAxon, stream: openai.AsyncStream[ResponseStreamEvent], kill_at: int
) -> str:
    """Return the text a client saw that killed the server once it had `kill_at` characters."""
    seen, last, killed = "", "", False
    with contextlib.suppress(openai.APIError, OSError):
        async for event in stream:
            last = event.type
            seen += event.delta if event.type == "response.output_text.delta" else ""
            if len(seen) >= kill_at and not killed:
                killed = True
                kill_serving(axon)
    assert killed and last == "response.output_text.delta"  # no terminal event was sent
    return seen


async def read_when_back(client: openai.AsyncOpenAI, conversation_id: str) -> list[Said]:
    """Read the conversation once a next turn has had its turn, so that the earlier one ended."""
    patient = client.with_options(max_retries=10)
    await patient.responses.create(model=MODEL, input="[[text:next]]", conversation=conversation_id)
    return await read_conversation_async(patient, conversation_id)


async def test_an_unstreamed_turn_is_run_again(own_axon: RunningAxon) -> None:
    async with own_axon.async_client() as client:
        conversation = await client.conversations.create()
        asked = asyncio.create_task(
            client.responses.create(
                model=MODEL,
                input=f"[[held:{conversation.id}]][[text:answered all the same]]",
                conversation=conversation.id,
            )
        )
        await until_shown(own_axon.upstream, conversation.id)
        await client.conversations.create()  # durable, hence so is the acceptance before it
        kill_serving(own_axon)
        with pytest.raises(openai.APIConnectionError):
            await asked
        release(own_axon.upstream, conversation.id)
        messages = await read_when_back(client, conversation.id)
    assert [message.text for message in messages[1::2]] == ["answered all the same", "next"]
    assert all(message.status == "completed" for message in messages)


async def test_a_streamed_turn_ends_at_its_last_journaled_progress(own_axon: RunningAxon) -> None:
    text = " ".join(f"word{number}" for number in range(60))
    async with own_axon.async_client() as client:
        conversation = await client.conversations.create()
        stream = await client.responses.create(
            model=MODEL,
            input=f"[[text:{text}]][[chunks:60]][[delay_ms:100]][[fault:hang_midway]]",
            conversation=conversation.id,
            stream=True,
        )
        seen = await watch_and_kill(own_axon, stream, kill_at=len(text) * 2 // 5)
        messages = await read_when_back(client, conversation.id)
    question, answer, *_ = messages
    assert question.author == "user"
    assert (answer.author, answer.status) == ("assistant", "incomplete")
    assert answer.text and seen.startswith(answer.text)  # never more than the client saw
    assert [message.text for message in messages[3:]] == ["next"]


async def test_a_turn_killed_before_any_progress_leaves_no_trace(own_axon: RunningAxon) -> None:
    async with own_axon.async_client() as client:
        conversation = await client.conversations.create()
        stream = await client.responses.create(
            model=MODEL,
            input="[[text:a b c d]][[chunks:4]][[fault:hang_midway]]",
            conversation=conversation.id,
            stream=True,
        )
        await watch_and_kill(own_axon, stream, kill_at=1)
        messages = await read_when_back(client, conversation.id)
    assert [message.text for message in messages] == ["[[text:next]]", "next"]
