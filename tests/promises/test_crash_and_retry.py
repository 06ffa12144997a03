"""Crashes between a request and its retry, a stream and its resumption, a start and its end."""

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.gateway.test_background import ended
from tests.promises.reading import read_conversation_async, release, shown_to_the_model, until_shown
from tests.promises.test_crash import kill_serving

MODEL = "fake-model"
BACKGROUND = 20
WORDS = 60
TEXT = " ".join(f"word{number}" for number in range(WORDS))


def kill_everything(axon: RunningAxon) -> None:
    """Kill every process of an installation at one moment, the supervisor first."""
    pids: dict[str, list[int]] = json.loads((axon.data / "up.json").read_text())["pids"]
    order = sorted(pids, key=lambda role: role != "supervisor")
    for role in order:
        for pid in pids[role]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def test_background_responses_survive_the_death_of_everything(
    tmp_path: Path, upstream_address: str
) -> None:
    process, axon = start_axon(tmp_path, upstream_address)
    async with axon.async_client() as client:
        text = f"[[text:answered in the end]][[held:{tmp_path}]]"
        begun = await asyncio.gather(
            *(
                client.responses.create(model=MODEL, input=f"{number} {text}", background=True)
                for number in range(BACKGROUND)
            )
        )
    kill_everything(axon)
    with process:
        process.wait()
    release(upstream_address, str(tmp_path))
    process, axon = start_axon(tmp_path, upstream_address)
    async with axon.async_client() as client:
        responses = await asyncio.gather(*(ended(client, response.id) for response in begun))
    stop(process)
    assert {response.id for response in responses} == {response.id for response in begun}
    assert {(response.status, response.output_text) for response in responses} == {
        ("completed", "answered in the end")
    }


async def seen_until_killed(axon: RunningAxon, client: AsyncOpenAI, kill_at: int) -> list[Any]:
    """Return the events a client saw that killed the server at the event with this number."""
    events: list[Any] = []
    stream = await client.responses.create(
        model=MODEL,
        input=f"[[text:{TEXT}]][[chunks:{WORDS}]][[delay_ms:100]][[fault:hang_midway]]",
        stream=True,
    )
    with contextlib.suppress(openai.APIError, OSError):
        async for event in stream:
            events.append(event)
            if event.sequence_number == kill_at:
                kill_serving(axon)
    return events


@pytest.mark.parametrize("kill_at", [5, 32])
async def test_a_stream_cut_by_a_crash_is_ended_without_a_contradiction(
    own_axon: RunningAxon, kill_at: int
) -> None:
    """Two seconds are journaled in one go, so the client saw more than that, or nothing was."""
    async with own_axon.async_client() as client:
        seen = await seen_until_killed(own_axon, client, kill_at)
        response_id = seen[0].response.id
        patient = client.with_options(max_retries=10)
        places = [seen[-1].sequence_number, 0]
        rests = []
        for place in places:
            stream = await patient.responses.retrieve(
                response_id, stream=True, starting_after=place
            )
            rests.append([event async for event in stream])
        stored = await patient.responses.retrieve(response_id)
    assert seen[-1].type == "response.output_text.delta"
    for place, rest in zip(places, rests, strict=True):
        numbers = [event.sequence_number for event in rest]
        assert numbers == list(range(place + 1, place + 1 + len(rest)))
        assert rest[-1].type == "response.incomplete"
        assert rest[-1].response == stored
    assert rests[1][:-1] == seen[1 : len(rests[1])]
    assert stored.status == "incomplete"
    assert TEXT.startswith(stored.output_text)


async def test_a_key_is_known_after_a_crash(own_axon: RunningAxon) -> None:
    async with own_axon.async_client() as client:
        patient = client.with_options(max_retries=10)
        key = {"Idempotency-Key": "known after a crash"}
        first = await client.responses.create(model=MODEL, input="hi", extra_headers=key)
        kill_serving(own_axon)
        again = await patient.responses.create(model=MODEL, input="hi", extra_headers=key)
        assert again == first
        with pytest.raises(openai.UnprocessableEntityError):
            await patient.responses.create(model=MODEL, input="other", extra_headers=key)


@pytest.mark.parametrize("headers", [{"Idempotency-Key": "during a crash"}, None])
async def test_a_retry_after_a_crash_finds_its_turn(
    own_axon: RunningAxon, headers: dict[str, str] | None
) -> None:
    """With a key, or as the SDK does by itself, with nothing but its count."""
    async with own_axon.async_client() as client:
        conversation = await client.conversations.create()
        patient = client.with_options(max_retries=10)
        asked = asyncio.create_task(
            patient.responses.create(
                model=MODEL,
                input=f"[[held:{conversation.id}]][[text:once]]",
                conversation=conversation.id,
                extra_headers=headers,
            )
        )
        await until_shown(own_axon.upstream, conversation.id)
        await client.conversations.create()  # durable, hence so is the acceptance before it
        kill_serving(own_axon)
        release(own_axon.upstream, conversation.id)
        response = await asked
        messages = await read_conversation_async(patient, conversation.id)
    assert response.output_text == "once"
    assert [message.author for message in messages] == ["user", "assistant"]


async def test_a_summary_that_was_made_is_not_made_again(own_axon: RunningAxon) -> None:
    """A turn that is run again begins with the summary it was accepted with."""
    compacted: Any = [{"type": "compaction", "compact_threshold": 1000}]
    async with own_axon.async_client() as client:
        conversation = await client.conversations.create()
        for number in range(3):
            await client.responses.create(
                model=MODEL, input=f"{number} {TEXT} " * 5, conversation=conversation.id
            )
        patient = client.with_options(max_retries=10)
        asked = asyncio.create_task(
            patient.responses.create(
                model=MODEL,
                input=f"[[held:{conversation.id}]][[text:once]]",
                conversation=conversation.id,
                context_management=compacted,
            )
        )
        await until_shown(own_axon.upstream, conversation.id)
        await client.conversations.create()  # durable, hence so is the acceptance before it
        kill_serving(own_axon)
        release(own_axon.upstream, conversation.id)
        response = await asked
        items = patient.conversations.items.list(conversation.id, order="asc", limit=100)
        kinds = [item.type async for item in items]
    assert [item.type for item in response.output] == ["compaction", "message"]
    assert kinds == ["message"] * 7 + ["compaction", "message"]
    told = shown_to_the_model(own_axon.upstream, conversation.id)
    assert len(told) == 2 and told[0] == told[1]
