"""Following a response's stream again: while it runs, after its end, from any event on."""

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import ResponseStreamEvent

from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"
WORDS = 40
TEXT = " ".join(f"word{number}" for number in range(WORDS))
SLOW = f"[[text:{TEXT}]][[chunks:{WORDS}]][[delay_ms:25]]"


async def events_of(stream: openai.AsyncStream[ResponseStreamEvent]) -> list[dict[str, Any]]:
    return [event.to_dict() async for event in stream]


async def resumed(client: AsyncOpenAI, response_id: str, after: int | None) -> list[dict[str, Any]]:
    """Return the events behind number `after`, all of them when it is None."""
    if after is None:
        return await events_of(await client.responses.retrieve(response_id, stream=True))
    stream = await client.responses.retrieve(response_id, stream=True, starting_after=after)
    return await events_of(stream)


async def test_a_running_stream_is_followed_from_any_event(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        stream = await client.responses.create(model=MODEL, input=SLOW, stream=True)
        seen: list[dict[str, Any]] = []
        async for event in stream:
            seen.append(event.to_dict())
            if event.type == "response.output_text.delta" and len(seen) > 10:
                break
        response_id = seen[0]["response"]["id"]
        running = await client.responses.retrieve(response_id)
        assert running.status == "in_progress"
        places: list[int] = [0, 5, seen[-1]["sequence_number"]]
        followers = [resumed(client, response_id, place) for place in (None, *places)]
        whole, *rests = await asyncio.gather(*followers)
        await stream.close()
        stored = await client.responses.retrieve(response_id)
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    assert whole[: len(seen)] == seen
    assert rests == [whole[place + 1 :] for place in places]
    assert whole[-1]["type"] == "response.completed"
    assert whole[-1]["response"] == stored.to_dict()


async def test_an_ended_stream_is_replayed_byte_for_byte(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        stream = await client.responses.with_raw_response.create(
            model=MODEL, input="[[text:a b c d]][[chunks:4]][[delay_ms:20]]", stream=True
        )
        live = await stream.http_response.aread()
        response_id = live.decode().split('"id":"', 1)[1].split('"', 1)[0]
        again = await client.responses.with_raw_response.retrieve(response_id, stream=True)
        assert await again.http_response.aread() == live
        last = live.count(b"\n\n") - 1
        nothing = await resumed(client, response_id, last)
        [terminal] = await resumed(client, response_id, last - 1)
    assert nothing == []
    assert terminal["type"] == "response.completed"


@pytest.mark.parametrize("after", ["-1", "x", "1e3", "9" * 30, ""])
async def test_a_place_that_is_none_is_refused(axon: RunningAxon, after: str) -> None:
    async with axon.async_client() as client:
        response = await client.responses.create(model=MODEL, input="hi")
        with pytest.raises(openai.BadRequestError, match="starting_after"):
            await client.get(
                f"/responses/{response.id}?stream=true&starting_after={after}", cast_to=object
            )


async def test_an_unstreamed_response_has_no_events(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        response = await client.responses.create(model=MODEL, input="hi")
        with pytest.raises(openai.BadRequestError, match="no events"):
            await client.responses.retrieve(response.id, stream=True)


async def test_a_forgotten_response_has_no_events(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        stream = await client.responses.create(model=MODEL, input="hi", stream=True)
        first, *_ = await events_of(stream)
        await client.responses.delete(first["response"]["id"])
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(first["response"]["id"], stream=True)
