"""A retry is not a new turn: one execution, equal answers, however often it is asked."""

import asyncio
import uuid
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.gateway.conftest import RunningAxon
from tests.promises.reading import read_conversation_async, shown_to_the_model, until_shown

MODEL = "fake-model"
AT_ONCE = 100
SURFACES = ["responses", "chat"]


def new_name() -> str:
    """Return a word that the engine's ledger can be searched for."""
    return f"name-{uuid.uuid4().hex}"


async def asked(axon: RunningAxon, name: str) -> int:
    """Return how many requests with this name the engine has had."""
    return len(await asyncio.to_thread(shown_to_the_model, axon.upstream, name))


async def say(
    client: AsyncOpenAI, surface: str, text: str, headers: dict[str, str], **options: Any
) -> bytes:
    """Ask, and return the answer's body, whole, as it came."""
    if surface == "chat":
        messages: Any = [{"role": "user", "content": text}]
        chat = client.chat.completions.with_raw_response
        answer: Any = await chat.create(
            model=MODEL, messages=messages, extra_headers=headers, **options
        )
    else:
        answer = await client.responses.with_raw_response.create(
            model=MODEL, input=text, extra_headers=headers, **options
        )
    body: bytes = await answer.http_response.aread()
    return body


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_hundred_at_once_with_one_key_are_one(
    axon: RunningAxon, surface: str, stream: bool
) -> None:
    name = new_name()
    text = f"{name} [[text:one two three]][[chunks:3]][[delay_ms:60]]"
    async with axon.async_client() as client:
        many = (
            say(client, surface, text, {"Idempotency-Key": name}, stream=stream)
            for _ in range(AT_ONCE)
        )
        answers = await asyncio.gather(*many)
    assert len(set(answers)) == 1
    assert b"three" in answers[0]
    assert await asked(axon, name) == 1


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_gets_the_same_answer_later(
    axon: RunningAxon, surface: str, stream: bool
) -> None:
    name = new_name()
    text, key = f"{name} [[text:a b c]][[chunks:3]]", {"Idempotency-Key": name}
    async with axon.async_client() as client:
        first = await say(client, surface, text, key, stream=stream)
        again = await say(client, surface, text, key, stream=stream)
        other = await say(client, surface, text, {"Idempotency-Key": name + "2"}, stream=stream)
    assert again == first != other
    assert await asked(axon, name) == 2


@pytest.mark.parametrize("surface", SURFACES)
async def test_a_key_with_another_body_is_refused(axon: RunningAxon, surface: str) -> None:
    name = new_name()
    async with axon.async_client() as client:
        await say(client, surface, name, {"Idempotency-Key": name})
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            await say(client, surface, f"{name}!", {"Idempotency-Key": name})
    assert refused.value.code == "idempotency_key_reused"
    assert await asked(axon, name) == 1


async def test_a_key_whose_turn_failed_may_be_tried_again(axon: RunningAxon) -> None:
    name = new_name()
    async with axon.async_client() as client:
        for _ in range(2):
            with pytest.raises(openai.InternalServerError):
                await say(client, "chat", f"{name} [[fault:500]]", {"Idempotency-Key": name})
    assert await asked(axon, name) >= 2


async def test_the_sdks_retry_attaches_to_the_running_turn(axon: RunningAxon) -> None:
    """The SDK sends no key, only its count: the first try's client has given up meanwhile."""
    name = new_name()
    text = f"{name} [[text:only once]][[first_ms:700]]"
    async with axon.async_client() as client:
        conversation = await client.conversations.create()
        patient = client.with_options(timeout=0.4, max_retries=10)
        answer = await patient.responses.create(
            model=MODEL, input=text, conversation=conversation.id
        )
        messages = await read_conversation_async(client, conversation.id)
    assert answer.output_text == "only once"
    assert [message.author for message in messages] == ["user", "assistant"]
    assert await asked(axon, name) == 1


async def test_each_earlier_try_is_matched_once(axon: RunningAxon) -> None:
    """Two people behind one key who say the same thing have an answer each."""
    name = new_name()
    retry = {"x-stainless-retry-count": "1"}
    async with axon.async_client() as client:
        first = await say(client, "chat", name, {})
        second = await say(client, "chat", name, {})
        retried = [await say(client, "chat", name, retry) for _ in range(2)]
        third = await say(client, "chat", name, retry)
    assert sorted(retried) == sorted([first, second])
    assert third not in retried
    assert await asked(axon, name) == 3


async def test_a_request_that_is_no_retry_is_a_turn_of_its_own(axon: RunningAxon) -> None:
    name = new_name()
    async with axon.async_client() as client:
        answers = await asyncio.gather(*(say(client, "chat", name, {}) for _ in range(5)))
    assert len(set(answers)) == 5
    assert await asked(axon, name) == 5


async def test_a_background_response_is_begun_once(axon: RunningAxon) -> None:
    name = new_name()
    text = f"{name} [[text:once]][[first_ms:300]]"
    async with axon.async_client() as client:
        key = {"Idempotency-Key": name}
        begun = [
            await client.responses.create(
                model=MODEL, input=text, background=True, extra_headers=key
            )
            for _ in range(3)
        ]
        await until_shown(axon.upstream, name)
    assert len({response.id for response in begun}) == 1
    assert await asked(axon, name) == 1


async def test_a_conversation_is_made_once(axon: RunningAxon) -> None:
    key = {"Idempotency-Key": new_name()}
    async with axon.async_client() as client:
        made = await asyncio.gather(
            *(
                client.conversations.create(metadata={"of": "one"}, extra_headers=key)
                for _ in range(20)
            )
        )
        with pytest.raises(openai.UnprocessableEntityError):
            await client.conversations.create(metadata={"of": "two"}, extra_headers=key)
    assert len({conversation.id for conversation in made}) == 1


async def test_items_are_added_once(axon: RunningAxon) -> None:
    key = {"Idempotency-Key": new_name()}
    items: Any = [{"type": "message", "role": "user", "content": text} for text in ("a", "b")]
    async with axon.async_client() as client:
        conversation = await client.conversations.create()
        other = await client.conversations.create()
        added = await asyncio.gather(
            *(
                client.conversations.items.create(conversation.id, items=items, extra_headers=key)
                for _ in range(10)
            )
        )
        with pytest.raises(openai.UnprocessableEntityError):
            await client.conversations.items.create(other.id, items=items, extra_headers=key)
        messages = await read_conversation_async(client, conversation.id)
    assert all(page.data == added[0].data for page in added)
    assert [message.text for message in messages] == ["a", "b"]


async def test_an_empty_key_is_none_and_a_long_one_is_refused(axon: RunningAxon) -> None:
    name = new_name()
    async with axon.async_client() as client:
        answers = [await say(client, "chat", name, {"Idempotency-Key": ""}) for _ in range(2)]
        with pytest.raises(openai.BadRequestError, match="Idempotency-Key"):
            await say(client, "chat", name, {"Idempotency-Key": "k" * 256})
    assert answers[0] != answers[1]


async def test_a_failure_that_left_its_words_is_not_asked_again(axon: RunningAxon) -> None:
    """The question and the beginning of its answer stand in the conversation: that was the turn."""
    name = new_name()
    key = {"Idempotency-Key": name}
    async with axon.async_client() as client:
        conversation = await client.conversations.create()
        text = f"{name} [[text:one two three four]][[chunks:4]][[fault:early_close]]"
        first = await say(client, "responses", text, key, stream=True, conversation=conversation.id)
        again = await say(client, "responses", text, key, stream=True, conversation=conversation.id)
        messages = await read_conversation_async(client, conversation.id)
    assert again == first
    assert b"response.failed" in first
    assert [message.author for message in messages] == ["user", "assistant"]


async def test_retries_of_one_that_waits_for_its_conversation_are_one_turn(
    axon: RunningAxon,
) -> None:
    """Its client gives up again and again before the turn before it has ended: it is not accepted
    yet, and each retry must find the one before."""
    name = new_name()
    async with axon.async_client() as client:
        conversation = await client.conversations.create()
        before = asyncio.create_task(
            client.responses.create(
                model=MODEL,
                input=f"{name} before [[text:first]][[first_ms:2500]]",
                conversation=conversation.id,
            )
        )
        await until_shown(axon.upstream, f"{name} before")
        impatient = client.with_options(timeout=0.3, max_retries=10)
        answer = await impatient.responses.create(
            model=MODEL, input=f"{name} then [[text:then]]", conversation=conversation.id
        )
        await before
        messages = await read_conversation_async(client, conversation.id)
    assert answer.output_text == "then"
    assert [message.text for message in messages][1::2] == ["first", "then"]
    assert await asked(axon, f"{name} then") == 1
