"""OpenAI's eight conversation calls through the official SDK."""

from collections.abc import Callable

import openai
import pytest
from openai import OpenAI

from tests.gateway.conftest import RunningAxon
from tests.promises.reading import said


def message(text: str) -> dict[str, str]:
    return {"type": "message", "role": "user", "content": text}


def test_create_get_update_delete(client: OpenAI) -> None:
    made = client.conversations.create(metadata={"topic": "a"}, items=[message("hello")])  # type: ignore[list-item]
    assert client.conversations.retrieve(made.id) == made
    assert made.metadata == {"topic": "a"}
    changed = client.conversations.update(made.id, metadata={"topic": "b"})
    assert changed.metadata == {"topic": "b"}
    assert client.conversations.retrieve(made.id).metadata == {"topic": "b"}
    gone = client.conversations.delete(made.id)
    assert gone.deleted and gone.object == "conversation.deleted"
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_an_empty_body_makes_an_empty_conversation(client: OpenAI) -> None:
    made = client.conversations.create()
    page = client.conversations.items.list(made.id)
    assert page.data == [] and not page.has_more


def test_items_are_added_listed_fetched_and_deleted(client: OpenAI) -> None:
    made = client.conversations.create()
    added = client.conversations.items.create(
        made.id,
        items=[message(f"m{n}") for n in range(5)],  # type: ignore[misc]
    )
    assert [said(item).text for item in added.data] == [f"m{n}" for n in range(5)]
    first = added.data[0].id
    assert first is not None
    assert client.conversations.items.retrieve(first, conversation_id=made.id) == added.data[0]
    client.conversations.items.delete(first, conversation_id=made.id)
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve(first, conversation_id=made.id)
    assert [item.id for item in client.conversations.items.list(made.id, order="asc")] == [
        item.id for item in added.data[1:]
    ]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_join_up(client: OpenAI, order: str) -> None:
    made = client.conversations.create(items=[message(f"m{n}") for n in range(20)])  # type: ignore[misc]
    client.conversations.items.create(made.id, items=[message(f"m{n}") for n in range(20, 30)])  # type: ignore[misc]
    seen = [
        said(item).text
        for item in client.conversations.items.list(made.id, order=order, limit=7)  # type: ignore[arg-type]
    ]
    expected = [f"m{n}" for n in range(30)]
    assert seen == (expected if order == "asc" else expected[::-1])


def test_responses_outlive_their_conversation_unless_told_otherwise(client: OpenAI) -> None:
    """As OpenAI means it; `?items=delete` takes everything along."""
    kept, gone = client.conversations.create(), client.conversations.create()
    first, second = (
        client.responses.create(model="fake-model", input="x", conversation=made.id)
        for made in (kept, gone)
    )
    client.conversations.delete(kept.id)
    client.delete(f"/conversations/{gone.id}?items=delete", cast_to=object)
    assert client.responses.retrieve(first.id).output_text == first.output_text
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(second.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="fake-model", input="y", previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError):
        client.delete(f"/conversations/{kept.id}?items=some", cast_to=object)


def test_more_than_twenty_items_are_refused_and_nothing_is_stored(client: OpenAI) -> None:
    made = client.conversations.create()
    with pytest.raises(openai.BadRequestError) as caught:
        client.conversations.items.create(made.id, items=[message("x")] * 21)  # type: ignore[list-item]
    assert caught.value.code == "array_above_max_length"
    assert client.conversations.items.list(made.id).data == []


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"order": "up"}])
def test_bad_pages_are_refused(client: OpenAI, query: dict[str, object]) -> None:
    made = client.conversations.create()
    with pytest.raises(openai.BadRequestError):
        client.conversations.items.list(made.id, **query)  # type: ignore[arg-type]


def test_an_unknown_conversation_is_a_404_everywhere(client: OpenAI) -> None:
    unknown = "conv_" + "0" * 50
    calls: list[Callable[[], object]] = [
        lambda: client.conversations.retrieve(unknown),
        lambda: client.conversations.update(unknown, metadata={}),
        lambda: client.conversations.delete(unknown),
        lambda: client.conversations.items.list(unknown),
        lambda: client.conversations.items.create(unknown, items=[message("x")]),  # type: ignore[list-item]
        lambda: client.conversations.items.retrieve("msg_1", conversation_id=unknown),
        lambda: client.conversations.items.delete("msg_1", conversation_id=unknown),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError) as caught:
            call()
        assert unknown in caught.value.response.json()["error"]["message"]


async def test_every_call_with_the_async_client(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        made = await client.conversations.create(metadata={"a": "b"})
        added = await client.conversations.items.create(
            made.id,
            items=[message("x"), message("y")],  # type: ignore[list-item]
        )
        first = str(added.data[0].id)
        assert (await client.conversations.retrieve(made.id)).metadata == {"a": "b"}
        changed = await client.conversations.update(made.id, metadata={"a": "c"})
        assert changed.metadata == {"a": "c"}
        page = client.conversations.items.list(made.id, order="asc", limit=1)
        assert [said(item).text async for item in page] == ["x", "y"]
        item = await client.conversations.items.retrieve(first, conversation_id=made.id)
        assert said(item).text == "x"
        left = await client.conversations.items.delete(first, conversation_id=made.id)
        assert left.id == made.id
        assert (await client.conversations.delete(made.id)).deleted
