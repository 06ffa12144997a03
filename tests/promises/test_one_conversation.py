"""Many turns on one conversation: one at a time, in order, each seeing all before it."""

import asyncio
import json
from urllib.parse import urlsplit

import openai
import pytest

from tests.gateway.conftest import RunningAxon
from tests.promises.reading import (
    read_conversation_async,
    release,
    shown_to_the_model,
    until_shown,
)

MODEL = "fake-model"
PARALLEL = 32


async def items_of(client: openai.AsyncOpenAI, conversation_id: str) -> list[tuple[str, str]]:
    """Return (author, text) of every message, oldest first."""
    read = await read_conversation_async(client, conversation_id)
    return [(message.author, message.text) for message in read]


@pytest.mark.parametrize("streamed", [False, True])
async def test_parallel_turns_stay_pairs_and_see_each_other(
    axon: RunningAxon, streamed: bool
) -> None:
    async with axon.async_client() as client:
        conversation = await client.conversations.create()

        async def turn(number: int) -> None:
            answer = await client.responses.create(
                model=MODEL,
                input=f"question {number} in {conversation.id} [[text:answer {number}]]",
                conversation=conversation.id,
                stream=streamed,
            )
            if isinstance(answer, openai.AsyncStream):
                assert [event.type async for event in answer][-1] == "response.completed"

        await asyncio.gather(*(turn(number) for number in range(PARALLEL)))
        messages = await items_of(client, conversation.id)
    assert len(messages) == 2 * PARALLEL
    questions = [text for author, text in messages[::2] if author == "user"]
    assert len(questions) == len(set(questions)) == PARALLEL
    for question, answer in zip(messages[::2], messages[1::2], strict=True):
        assert answer == ("assistant", f"answer {question[1].split()[1]}")
    shown = await asyncio.to_thread(shown_to_the_model, axon.upstream, conversation.id)
    assert sorted(shown, key=len) == [messages[: 2 * place + 1] for place in range(PARALLEL)]


async def test_a_client_that_goes_away_changes_nothing(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        conversation = await client.conversations.create()
        stream = await client.responses.create(
            model=MODEL,
            input="[[text:a rather long answer]] [[chunks:20]] [[delay_ms:20]]",
            conversation=conversation.id,
            stream=True,
        )
        seen = 0
        async for _ in stream:
            seen += 1
            if seen == 5:
                break
        await stream.close()
        # The next turn waits its turn, so when it is done the first one is too.
        await client.responses.create(
            model=MODEL, input="[[text:next]]", conversation=conversation.id
        )
        messages = await items_of(client, conversation.id)
    assert [author for author, _ in messages] == ["user", "assistant", "user", "assistant"]
    assert messages[1][1] == "a rather long answer"


async def test_a_client_that_goes_away_before_its_whole_answer_changes_nothing(
    axon: RunningAxon,
) -> None:
    async with axon.async_client() as client:
        conversation = await client.conversations.create()
        body = json.dumps(
            {
                "model": MODEL,
                "input": f"[[held:{conversation.id}]][[text:nobody is listening]]",
                "conversation": conversation.id,
            }
        )
        address = urlsplit(axon.base_url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = f"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
        writer.write(f"{head}authorization: Bearer {axon.api_key}\r\n\r\n{body}".encode())
        await writer.drain()
        await until_shown(axon.upstream, conversation.id)
        writer.close()
        await writer.wait_closed()
        assert reader.at_eof() or await reader.read() == b""
        release(axon.upstream, conversation.id)
        await client.responses.create(
            model=MODEL, input="[[text:next]]", conversation=conversation.id
        )
        messages = await items_of(client, conversation.id)
    assert [text for _, text in messages[1::2]] == ["nobody is listening", "next"]


async def test_more_turns_than_may_wait_are_told_to_come_back(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        conversation = await client.conversations.create()

        async def turn() -> int:
            asked = client.responses.with_raw_response.create(
                model=MODEL, input="[[text:x]][[first_ms:20]]", conversation=conversation.id
            )
            try:
                return (await asked).http_response.status_code
            except openai.ConflictError as error:
                return int(error.response.headers["retry-after-ms"])

        answers = await asyncio.gather(*(turn() for _ in range(150)))
        messages = await items_of(client, conversation.id)
    refused = [answer for answer in answers if answer != 200]
    assert refused and min(refused) > 200  # each is told when to come back, in milliseconds
    assert len(messages) == 2 * answers.count(200)
