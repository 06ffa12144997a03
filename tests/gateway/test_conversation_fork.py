"""Forks over HTTP: edit and regenerate, with the earlier branch kept."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.promises.reading import said

MODEL = "fake-model"
Json = dict[str, Any]


def fork(client: OpenAI, name: str, **body: Any) -> Json:
    return client.post(f"/conversations/{name}/fork", body=body, cast_to=Json)


def texts(client: OpenAI, name: str) -> list[str]:
    return [said(item).text for item in client.conversations.items.list(name, order="asc")]


def test_a_message_is_edited_and_the_answer_made_again(client: OpenAI) -> None:
    made = client.conversations.create(metadata={"a": "b"})
    for question in ("one", "two"):
        client.responses.create(model=MODEL, input=f"[[echo]] {question}", conversation=made.id)
    items = client.conversations.items.list(made.id, order="asc").data
    forked = fork(client, made.id, item_id=items[1].id)
    origin = {"conversation_id": made.id, "item_id": items[1].id}
    assert (forked["forked_from"], forked["metadata"]) == (origin, {"a": "b"})
    answer = client.responses.create(
        model=MODEL, input="[[echo]] another two", conversation=forked["id"]
    )
    assert "one" in answer.output_text and "another two" in answer.output_text
    before = texts(client, made.id)
    assert texts(client, forked["id"])[:2] == before[:2]
    assert len(texts(client, forked["id"])) == len(before) == 4
    assert client.conversations.retrieve(forked["id"]).forked_from == origin  # type: ignore[attr-defined]


def test_a_fork_is_listed_and_synced(client: OpenAI) -> None:
    made = client.conversations.create(items=[{"role": "user", "content": "x"}])
    cursor = client.get("/sync", cast_to=Json)["cursor"]
    forked = fork(client, made.id, metadata={"test": "listed fork"})
    query: Any = {"params": {"metadata[test]": "listed fork"}}
    assert client.get("/conversations", options=query, cast_to=Json)["data"] == [forked]
    page = client.get("/sync", options={"params": {"cursor": cursor}}, cast_to=Json)
    told = [one for one in page["data"] if one["conversation_id"] == forked["id"]]
    assert [one["type"] for one in told] == ["created", "item_added"]
    assert told[0]["conversation"] == forked
    assert len(told[1]["items"]) == 1


def test_bad_forks_are_refused(client: OpenAI) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "1"}
    made = client.conversations.create(items=[call, output])  # type: ignore[list-item]
    first = client.conversations.items.list(made.id, order="asc").data[0]
    with pytest.raises(openai.BadRequestError) as caught:
        fork(client, made.id, item_id=first.id)
    assert (caught.value.param, caught.value.code) == ("item_id", "fork_cuts_call")
    with pytest.raises(openai.BadRequestError) as caught:
        fork(client, made.id, item_id=7)
    assert caught.value.param == "item_id"
    for name, item_id in ((made.id, "msg_1"), ("conv_" + "0" * 50, None)):
        with pytest.raises(openai.NotFoundError):
            fork(client, name, item_id=item_id)
