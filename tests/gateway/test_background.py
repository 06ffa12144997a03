"""Responses in the background: acknowledged at once, polled or followed, cancelled."""

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response

from tests.gateway.conftest import RunningAxon
from tests.promises.reading import read_conversation_async, until_shown

MODEL = "fake-model"
SLOW = "[[text:one two three four]][[chunks:4]][[delay_ms:100]]"
ENDLESS = f"[[text:{'word ' * 500}]][[chunks:500]][[delay_ms:50]]"


async def ended(client: AsyncOpenAI, response_id: str) -> Response:
    """Poll as OpenAI's documentation shows."""
    while True:
        response = await client.responses.retrieve(response_id)
        if response.status not in ("queued", "in_progress"):
            return response
        await asyncio.sleep(0.02)


async def test_it_is_acknowledged_before_it_is_answered(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        begun = await client.responses.create(model=MODEL, input=SLOW, background=True)
        assert begun.status == "queued"
        assert begun.output == []
        response = await ended(client, begun.id)
    assert response.status == "completed"
    assert response.background is True
    assert response.output_text == "one two three four"


async def test_it_can_be_followed_though_it_was_not_streamed(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        begun = await client.responses.create(model=MODEL, input=SLOW, background=True)
        stream = await client.responses.retrieve(begun.id, stream=True)
        live = [event.to_dict() async for event in stream]
        replayed = await client.responses.retrieve(begun.id, stream=True)
        assert [event.to_dict() async for event in replayed] == live
    kinds = [event["type"] for event in live]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event["sequence_number"] for event in live] == list(range(len(live)))


async def test_it_can_be_streamed_from_the_start(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        stream = await client.responses.create(
            model=MODEL, input=SLOW, background=True, stream=True
        )
        first, *_, last = [event async for event in stream]
    assert first.type == "response.created"
    assert first.response.status == "queued"
    assert last.type == "response.completed"


async def test_it_must_be_stored(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        with pytest.raises(openai.BadRequestError, match="must be stored"):
            await client.responses.create(model=MODEL, input="hi", background=True, store=False)


@pytest.mark.parametrize("background", [True, False])
async def test_cancelling_stops_the_engine_and_keeps_what_was_said(
    axon: RunningAxon, background: bool
) -> None:
    events: list[Any] = []
    async with axon.async_client() as client:
        conversation = await client.conversations.create()
        stream = await client.responses.create(
            model=MODEL,
            input=f"{conversation.id} {ENDLESS}",
            conversation=conversation.id,
            background=background,
            stream=True,
        )
        async for event in stream:
            events.append(event)
            if len(events) == 10:
                cancelled = await client.responses.cancel(events[0].response.id)
        again = await client.responses.cancel(cancelled.id)
        messages = await read_conversation_async(client, conversation.id)
        after = await client.responses.create(model=MODEL, input="hi", conversation=conversation.id)
    assert cancelled.status == "cancelled"
    assert again == cancelled
    assert events[-1].type == "response.incomplete"
    assert events[-1].response == cancelled
    assert cancelled.usage is not None and cancelled.usage.output_tokens > 0
    said = messages[1]
    assert said.status == "incomplete" and said.text.startswith("word word")
    assert cancelled.output_text == said.text
    assert after.status == "completed"


async def test_one_that_waits_for_its_engine_can_be_cancelled(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        begun = await client.responses.create(
            model=MODEL, input="waits [[first_ms:60000]]", background=True
        )
        await until_shown(axon.upstream, "waits")
        cancelled = await client.responses.cancel(begun.id)
    assert cancelled.status == "cancelled"
    assert cancelled.output == []


async def test_one_that_has_ended_cannot_be_cancelled(axon: RunningAxon) -> None:
    """In the background it stays as it is, as OpenAI documents; another one is refused."""
    async with axon.async_client() as client:
        begun = await client.responses.create(model=MODEL, input="hi", background=True)
        done = await ended(client, begun.id)
        assert await client.responses.cancel(begun.id) == done
        plain = await client.responses.create(model=MODEL, input="hi")
        with pytest.raises(openai.BadRequestError, match="has ended"):
            await client.responses.cancel(plain.id)
