"""Searching over HTTP."""

from typing import Any

import openai
import pytest
from openai import OpenAI

MODEL = "fake-model"
Json = dict[str, Any]


def search(client: OpenAI, **query: Any) -> Json:
    return client.get("/conversations/search", options={"params": query}, cast_to=Json)


def test_what_was_said_a_moment_ago_is_found(client: OpenAI) -> None:
    person = "search person"
    body = {"user": person, "items": [{"role": "user", "content": "Where is the Straßenbahn?"}]}
    made = client.post("/conversations", body=body, cast_to=Json)["id"]
    client.post(f"/conversations/{made}", body={"title": "About trams"}, cast_to=Json)
    answer = client.responses.create(
        model=MODEL, input="[[echo]] and the UNDERGROUND", conversation=made
    )
    item = client.conversations.items.list(made, order="asc").data[0]
    expected = {
        "object": "conversation.search_result",
        "conversation_id": made,
        "item_id": item.id,
        "title": "About trams",
        "snippet": "Where is the Straßenbahn?",
    }
    found = search(client, q="STRASSENBAHN", user=person)
    page = {"object": "list", "has_more": False, "complete": True, "cursor": None}
    assert [hit for hit in found["data"] if hit["item_id"] == item.id] == [expected]
    assert {name: found[name] for name in page} == page
    said = [hit["item_id"] for hit in search(client, q="underground", user=person)["data"]]
    assert answer.output[0].id in said and len(said) == 2
    [title] = search(client, q="trams", user=person)["data"]
    assert (title["item_id"], title["snippet"]) == (None, "About trams")
    assert search(client, q="trams")["data"] == []
    first = search(client, q="underground", user=person, limit=1)
    second = search(client, q="underground", user=person, limit=1, after=first["cursor"])
    assert [hit["item_id"] for hit in (*first["data"], *second["data"])] == said


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ({}, "q", "missing_required_parameter"),
        ({"q": "  "}, "q", "missing_required_parameter"),
        ({"q": "x" * 201}, "q", "string_above_max_length"),
        ({"q": "x", "limit": "0"}, "limit", "invalid_value"),
        ({"q": "x", "after": "y"}, "after", "invalid_cursor"),
    ],
)
def test_bad_searches_are_refused(client: OpenAI, query: Json, param: str, code: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        search(client, **query)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_it_is_no_conversations_name(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.post("/conversations/search", body={"metadata": {}}, cast_to=Json)
