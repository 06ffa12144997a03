"""Asking again: the earlier branch stays, the new one remembers where it left; and titles."""

import uuid
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.gateway.conftest import RunningAxon
from tests.promises.reading import read_conversation_async, shown_to_the_model

MODEL = "fake-model"


async def conversation_of(client: AsyncOpenAI, *texts: str) -> str:
    conversation = await client.conversations.create()
    for text in texts:
        await client.responses.create(model=MODEL, input=text, conversation=conversation.id)
    return conversation.id


async def post(client: AsyncOpenAI, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, body=body, cast_to=object)
    assert isinstance(answer, dict)
    return answer


async def texts(client: AsyncOpenAI, conversation_id: str) -> list[str]:
    return [message.text for message in await read_conversation_async(client, conversation_id)]


async def item_ids(client: AsyncOpenAI, conversation_id: str) -> list[str]:
    items = client.conversations.items.list(conversation_id, order="asc", limit=100)
    return [item.id or "" async for item in items]


async def test_a_question_is_asked_again_in_a_branch(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        original = await conversation_of(client, "[[text:one]]", "[[text:two]]")
        before = await texts(client, original)
        response = await post(client, f"/conversations/{original}/regenerate", model=MODEL)
        branch = response["conversation"]["id"]
        made: Any = await client.get(f"/conversations/{branch}", cast_to=object)
        ids = await item_ids(client, original)
        assert await texts(client, original) == before
        assert await texts(client, branch) == before
    assert branch != original
    assert made["forked_from"] == {"conversation_id": original, "item_id": ids[1]}


@pytest.mark.parametrize("place", [0, 1], ids=["its question", "its answer"])
async def test_an_earlier_question_is_asked_in_other_words(axon: RunningAxon, place: int) -> None:
    """Named by itself or by its answer, and the first of its conversation."""
    async with axon.async_client() as client:
        original = await conversation_of(client, "[[text:one]]", "[[text:two]]")
        ids = await item_ids(client, original)
        response = await post(
            client,
            f"/conversations/{original}/regenerate",
            model=MODEL,
            item_id=ids[place],
            input="in other words [[text:uno]]",
        )
        branch = response["conversation"]["id"]
        made: Any = await client.get(f"/conversations/{branch}", cast_to=object)
        assert await texts(client, branch) == ["in other words [[text:uno]]", "uno"]
        assert len(await texts(client, original)) == 4
    assert made["forked_from"]["conversation_id"] == original


async def test_what_cannot_be_asked_again_is_refused(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        empty = await conversation_of(client)
        other = await conversation_of(client, "hi")
        [foreign, _] = await item_ids(client, other)
        bodies: list[tuple[str, dict[str, Any], str]] = [
            (empty, {"model": MODEL}, "no message of a user"),
            (other, {}, "model"),
            (other, {"model": MODEL, "conversation": other}, "in the path"),
            (other, {"model": MODEL, "previous_response_id": "resp_1"}, "in the path"),
            (empty, {"model": MODEL, "item_id": foreign}, "answers no message"),
        ]
        for conversation_id, body, words in bodies:
            with pytest.raises(openai.BadRequestError, match=words):
                await post(client, f"/conversations/{conversation_id}/regenerate", **body)
        with pytest.raises(openai.NotFoundError):
            await post(client, "/conversations/conv_nonsense/regenerate", model=MODEL)


async def test_a_title_is_made_by_the_model(axon: RunningAxon) -> None:
    name = f"tides{uuid.uuid4().hex}"
    text = f"why are there {name}? [[text:Of the moon]]"
    async with axon.async_client() as client:
        conversation = await conversation_of(client, text)
        titled = await post(client, f"/conversations/{conversation}/title")
        read: Any = await client.get(f"/conversations/{conversation}", cast_to=object)
    [_, asked] = shown_to_the_model(axon.upstream, name)
    assert "title" in asked[0][1]
    assert asked[1][1] == f"user: {text}\nassistant: Of the moon"
    assert titled["title"] == read["title"] == "Of the moon"


async def test_an_empty_conversation_has_no_title(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        conversation = await conversation_of(client)
        with pytest.raises(openai.BadRequestError, match="model"):
            await post(client, f"/conversations/{conversation}/title")
        with pytest.raises(openai.BadRequestError, match="no messages"):
            await post(client, f"/conversations/{conversation}/title", model=MODEL)
