"""Titles, archives and lists of conversations, over the official SDK's connection."""

from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.conversations import Conversation

from tests.gateway.commands import axon_command
from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def other_key(axon: RunningAxon) -> str:
    """A key of another organization, without the permission to act for others."""
    axon_command(axon, "orgs", "create", "lister")
    axon_command(axon, "users", "create", "ada", "--org", "lister")
    made = axon_command(axon, "keys", "create", "--org", "lister", "--user", "ada", "--name", "a")
    return str(made["secret"])


def post(client: OpenAI, path: str, body: Json) -> Json:
    return client.post(path, body=body, cast_to=Json)


def get(client: OpenAI, path: str, **query: Any) -> Json:
    return client.get(path, options={"params": query}, cast_to=Json)


def listed(client: OpenAI, **query: Any) -> list[str]:
    """Return the ids on every page."""
    names: list[str] = []
    more = True
    while more:
        page = get(client, "/conversations", **query)
        assert page["object"] == "list"
        ids = [one["id"] for one in page["data"]]
        if ids:
            assert (page["first_id"], page["last_id"]) == (ids[0], ids[-1])
        names += ids
        more = page["has_more"]
        query["after"] = page["last_id"]
    return names


def test_a_title_is_given_changed_and_taken_away(client: OpenAI) -> None:
    made = client.conversations.create(metadata={"a": "b"})
    assert (made.title, made.archived, made.forked_from) == (None, False, None)  # type: ignore[attr-defined]
    for title in ("Über Grünkohl 🥬", "", "x" * 200, None):
        changed = post(client, f"/conversations/{made.id}", {"title": title})
        assert changed["title"] == title
        assert changed["metadata"] == {"a": "b"}
        read = client.conversations.retrieve(made.id)
        assert isinstance(read, Conversation)
        assert read.title == title  # type: ignore[attr-defined]


def test_several_members_change_at_once(client: OpenAI) -> None:
    made = client.conversations.create()
    update = {"title": "t", "archived": True, "metadata": {"k": "v"}}
    changed = post(client, f"/conversations/{made.id}", update)
    assert {name: changed[name] for name in update} == update
    assert get(client, f"/conversations/{made.id}") == changed
    back = post(client, f"/conversations/{made.id}", {"archived": False})
    assert back == changed | {"archived": False}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "metadata", "missing_required_parameter"),
        ({"archived": None}, "metadata", "missing_required_parameter"),
        ({"title": 7}, "title", "invalid_type"),
        ({"title": "x" * 201}, "title", "string_above_max_length"),
        ({"archived": "yes"}, "archived", "invalid_type"),
        ({"title": "t", "metadata": {"a": 1}}, "metadata[...]", "invalid_type"),
    ],
)
def test_bad_updates_are_refused_and_nothing_changes(
    client: OpenAI, body: Json, param: str, code: str
) -> None:
    made = client.conversations.create()
    with pytest.raises(openai.BadRequestError) as caught:
        post(client, f"/conversations/{made.id}", body)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert client.conversations.retrieve(made.id) == made


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_of_conversations_join_up(client: OpenAI, order: str, limit: int) -> None:
    tag = {"run": f"{order} {limit}"}
    made = [client.conversations.create(metadata=tag).id for _ in range(7)]
    expected = made if order == "asc" else made[::-1]
    for _ in range(2):  # the second time most of them are projected
        found = listed(client, limit=limit, order=order, **{"metadata[run]": tag["run"]})
        assert found == expected


def test_a_list_shows_what_was_written_a_moment_ago(client: OpenAI) -> None:
    """Each list follows its change at once, before PostgreSQL can have it."""
    tag = {"metadata[own]": "write"}
    names: list[str] = []
    for number in range(30):
        names.append(client.conversations.create(metadata={"own": "write"}).id)
        assert listed(client, **tag, order="asc", limit=100) == names
        if number % 3 == 0:
            post(client, f"/conversations/{names[0]}", {"archived": True})
            archived = names.pop(0)
            assert archived in listed(client, **tag, archived="true")
            assert listed(client, **tag, order="asc", limit=100) == names
        if number % 4 == 1:
            client.conversations.delete(names.pop())
            assert listed(client, **tag, order="asc", limit=100) == names
        if names:
            post(client, f"/conversations/{names[-1]}", {"title": f"{number}"})
            newest = get(client, "/conversations", limit=1, **tag)["data"][0]
            assert newest["title"] == f"{number}"


def test_filters(client: OpenAI) -> None:
    tag = {"test": "filters"}
    one = client.conversations.create(metadata=tag | {"folder": "a"}).id
    two = client.conversations.create(metadata=tag | {"folder": "b"}).id
    post(client, f"/conversations/{two}", {"archived": True})
    client.responses.create(model=MODEL, input="hello", conversation=one)
    client.responses.create(model=MODEL, input="a chain is no conversation")
    tagged = {"metadata[test]": "filters"}
    assert listed(client, **tagged) == [one]
    assert listed(client, **tagged, archived="false") == [one]
    assert listed(client, **tagged, archived="true") == [two]
    assert listed(client, **tagged, archived="all") == [two, one]
    assert listed(client, **tagged, archived="all", **{"metadata[folder]": "b"}) == [two]
    assert listed(client, **tagged, archived="all", model=MODEL) == [one]
    assert listed(client, **tagged, archived="all", **{"metadata[folder]": "c"}) == []


def test_a_page_follows_a_conversation_that_is_gone(client: OpenAI) -> None:
    tag = {"test": "gone"}
    made = [client.conversations.create(metadata=tag).id for _ in range(3)]
    client.conversations.delete(made[1])
    query = {"metadata[test]": "gone", "after": made[1]}
    assert listed(client, **query) == [made[0]]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"order": "up"}, "order"),
        ({"archived": "maybe"}, "archived"),
        ({"metadata[k]": "v" * 513}, "metadata"),
        ({"metadata[k]": "\0"}, "metadata"),
        ({"model": "\0"}, "model"),
        ({f"metadata[{n}]": "v" for n in range(17)}, "metadata"),
    ],
)
def test_bad_lists_are_refused(client: OpenAI, query: Json, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        get(client, "/conversations", **query)
    assert caught.value.param == param


@pytest.mark.parametrize("after", ["conv_" + "0" * 50, "msg_1", "\0"])
def test_a_page_follows_no_stranger(client: OpenAI, after: str) -> None:
    with pytest.raises(openai.NotFoundError):
        get(client, "/conversations", after=after)


def test_a_list_is_its_persons_own(client: OpenAI, axon: RunningAxon, other_key: str) -> None:
    """The development key acts for users; the other does not, and names only a label."""
    mine = post(client, "/conversations", {"user": "list ada"})["id"]
    bobs = post(client, "/conversations", {"user": "list bob"})["id"]
    assert listed(client, user="list ada") == [mine]
    assert listed(client, safety_identifier="list bob") == [bobs]
    assert not {mine, bobs} & set(listed(client, limit=100))
    with OpenAI(base_url=axon.base_url, api_key=other_key, max_retries=0) as other:
        theirs = other.conversations.create().id
        assert theirs in listed(other)
        assert theirs in listed(other, user="list ada")
        assert mine not in listed(other, user="list ada")


def test_what_axon_adds_is_hidden_from_others_too(
    client: OpenAI, axon: RunningAxon, other_key: str
) -> None:
    name = client.conversations.create(items=[{"role": "user", "content": "hidden"}]).id
    with OpenAI(base_url=axon.base_url, api_key=other_key, max_retries=0) as other:
        calls: list[Callable[[], object]] = [
            lambda: post(other, f"/conversations/{name}", {"title": "mine now"}),
            lambda: post(other, f"/conversations/{name}/fork", {}),
            lambda: get(other, f"/conversations/{name}/events"),
            lambda: get(other, "/conversations", after=name),
            lambda: other.delete(f"/conversations/{name}?items=delete", cast_to=Json),
        ]
        for call in calls:
            with pytest.raises(openai.NotFoundError):
                call()
        assert get(other, "/conversations/search", q="hidden")["data"] == []
        told = get(other, "/sync", since="beginning", limit=100)["data"]
        assert name not in [change["conversation_id"] for change in told]
    assert len(client.conversations.items.list(name).data) == 1
