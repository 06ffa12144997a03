"""The feed of a person's changes, over HTTP."""

import itertools
from typing import Any

import openai
import pytest
from openai import OpenAI

MODEL = "fake-model"
Json = dict[str, Any]


def post(client: OpenAI, path: str, body: Json) -> Json:
    return client.post(path, body=body, cast_to=Json)


def get(client: OpenAI, path: str, **query: Any) -> Json:
    return client.get(path, options={"params": query}, cast_to=Json)


_people = itertools.count()


@pytest.fixture
def person() -> str:
    """Somebody who has no conversations yet."""
    return f"sync person {next(_people)}"


def item(text: str) -> Json:
    return {"type": "message", "role": "user", "content": text}


def changes(client: OpenAI, person: str, cursor: str, limit: int = 100) -> tuple[list[Json], str]:
    """Return every change since the cursor, page by page, and where the next begins."""
    found: list[Json] = []
    more = True
    while more:
        page = get(client, "/sync", user=person, cursor=cursor, limit=limit)
        assert page["object"] == "sync"
        assert len(page["data"]) <= limit
        found += page["data"]
        cursor, more = page["cursor"], page["has_more"]
    return found, cursor


def now(client: OpenAI, person: str) -> str:
    page = get(client, "/sync", user=person)
    assert page["data"] == [] and not page["has_more"]
    return str(page["cursor"])


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_every_kind_of_change_is_told_once_and_in_order(
    client: OpenAI, person: str, limit: int
) -> None:
    cursor = now(client, person)
    made = post(client, "/conversations", {"user": person, "items": [item("a"), item("b")]})
    name = made["id"]
    client.responses.create(model=MODEL, input="c", conversation=name)
    added = post(client, f"/conversations/{name}/items", {"items": [item("d")]})["data"][0]
    update = {"title": "t", "metadata": {"k": "v"}, "archived": True}
    post(client, f"/conversations/{name}", update)
    client.delete(f"/conversations/{name}/items/{added['id']}", cast_to=Json)
    found, cursor = changes(client, person, cursor, limit)
    assert [change["type"] for change in found] == [
        *("created", "item_added", "item_added", "item_added"),
        *("metadata", "renamed", "archived", "item_deleted"),
    ]
    assert {change["conversation_id"] for change in found} == {name}
    assert [change["response_id"] is not None for change in found] == [n == 2 for n in range(8)]
    listed = client.conversations.items.list(name, order="asc").data
    shown = [one for change in found for one in change["items"]]
    assert [one["id"] for one in shown] == [one.id for one in listed]
    assert found[3]["item_ids"] == found[7]["item_ids"] == [added["id"]]
    assert found[3]["items"] == []
    now_is = get(client, f"/conversations/{name}")
    assert all(change["conversation"] == now_is for change in found)
    client.conversations.delete(name)
    again, cursor = changes(client, person, cursor, limit)
    assert [(change["type"], change["conversation"]) for change in again] == [("deleted", None)]
    assert changes(client, person, cursor) == ([], cursor)


def test_a_write_is_in_the_next_answer(client: OpenAI, person: str) -> None:
    cursor = now(client, person)
    name = post(client, "/conversations", {"user": person})["id"]
    _, cursor = changes(client, person, cursor)
    for number in range(20):
        post(client, f"/conversations/{name}", {"title": f"{number}"})
        [change], cursor = changes(client, person, cursor)
        assert change["conversation"]["title"] == f"{number}"


def test_what_a_deletion_took_is_not_shown(client: OpenAI, person: str) -> None:
    cursor = now(client, person)
    one = post(client, "/conversations", {"user": person, "items": [item("a")]})["id"]
    two = post(client, "/conversations", {"user": person, "items": [item("b")]})["id"]
    client.delete(f"/conversations/{one}", cast_to=Json)
    client.delete(f"/conversations/{two}?items=delete", cast_to=Json)
    found, _ = changes(client, person, cursor)
    told = [(change["type"], change["conversation_id"]) for change in found]
    kept = [("created", one), ("item_added", one)]
    assert told == [*kept, ("deleted", one), ("deleted", two)]
    assert all(change["items"] == [] and change["conversation"] is None for change in found)


def test_from_the_beginning(client: OpenAI, person: str) -> None:
    name = post(client, "/conversations", {"user": person})["id"]
    page = get(client, "/sync", user=person, since="beginning")
    assert [change["conversation_id"] for change in page["data"]] == [name]


def test_chains_of_responses_are_no_conversations(client: OpenAI, person: str) -> None:
    cursor = now(client, person)
    client.responses.create(model=MODEL, input="x", safety_identifier=person)
    assert changes(client, person, cursor) == ([], cursor)


def test_people_have_feeds_of_their_own(client: OpenAI, person: str) -> None:
    cursor = now(client, person)
    other = now(client, person + " other")
    post(client, "/conversations", {"user": person + " other"})
    assert changes(client, person, cursor) == ([], cursor)
    with pytest.raises(openai.BadRequestError) as caught:
        get(client, "/sync", user=person, cursor=other)
    assert caught.value.code == "invalid_cursor"


@pytest.mark.parametrize("cursor", ["x", "sync_", "sync_" + "0" * 40, "sync_" + "g" * 40, "\0"])
def test_garbage_is_no_cursor(client: OpenAI, cursor: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        get(client, "/sync", cursor=cursor)
    assert (caught.value.param, caught.value.code) == ("cursor", "invalid_cursor")


@pytest.mark.parametrize(("name", "value"), [("since", "yesterday"), ("limit", "0")])
def test_bad_questions_are_refused(client: OpenAI, name: str, value: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        get(client, "/sync", **{name: value})
    assert caught.value.param == name
