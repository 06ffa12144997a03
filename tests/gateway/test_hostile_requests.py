"""Requests nobody should send: each gets the error it deserves, and nothing is stored."""

import json
import urllib.request

import openai
import pytest
from openai import OpenAI

from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"


def answer_to(client: OpenAI, path: str, body: bytes) -> tuple[int, dict[str, object]]:
    with pytest.raises(openai.APIStatusError) as caught:
        client.post(path, cast_to=object, content=body)
    error: dict[str, object] = caught.value.response.json()["error"]
    return caught.value.status_code, error


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","input":"\xff"}',
        b'{"model":"m","input":' + b"[" * 100_000,
        b'{"model":"m","input":"x","tools":[{}]}',
        b'{"model":"m","input":"x","tools":[{"type":"function","name":"f"}],"tool_choice":5}',
        b'{"model":"m","input":"x","text":{"format":"x"}}',
        b'{"model":"m","input":"x","reasoning":{"effort":5}}',
        b'{"model":"m","input":"x","max_output_tokens":' + b"9" * 30 + b"}",
        b'{"model":"m","input":[{"type":[]}]}',
        b'{"model":"m","input":[{"role":{},"content":"x"}]}',
        b'{"model":"m","input":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"m","input":[{"type":"function_call_output","call_id":"c","output":{}}]}',
        b'{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":{}}]}]}',
        b'{"model":"m","input":"x","metadata":{"k":"\\u0000"}}',
    ],
)
def test_bad_responses_bodies_are_400(client: OpenAI, body: bytes) -> None:
    status, error = answer_to(client, "/responses", body)
    assert status == 400
    assert error["type"] == "invalid_request_error"


def test_a_member_name_cannot_smuggle_in_another_model(axon: RunningAxon, client: OpenAI) -> None:
    name = 'x":1,"model":"evil","y'
    messages = [{"role": "user", "content": "[[text:x]]"}]
    body = json.dumps({"model": MODEL, "messages": messages, name: 2})
    client.post("/chat/completions", cast_to=object, content=body.encode())
    with urllib.request.urlopen(f"{axon.upstream}/ledger", timeout=30) as answer:
        seen = [request["body"] for request in json.load(answer) if name in (request["body"] or ())]
    assert [body["model"] for body in seen] == [MODEL]


def test_a_body_over_the_limit_is_413(client: OpenAI) -> None:
    body = b'{"model":"m","input":"' + b"x" * (9 * 1024 * 1024) + b'"}'
    status, error = answer_to(client, "/responses", body)
    assert (status, error["code"]) == (413, "request_too_large")


def test_an_item_no_model_could_be_shown_does_not_enter_a_conversation(client: OpenAI) -> None:
    made = client.conversations.create()
    part = {"type": "input_file", "file_url": "http://localhost/x"}
    items = [{"type": "message", "role": "user", "content": [part]}]
    body = json.dumps({"items": items}).encode()
    status, error = answer_to(client, f"/conversations/{made.id}/items", body)
    assert (status, error["param"]) == (400, "items[0]")
    assert client.conversations.items.list(made.id).data == []


@pytest.mark.parametrize("query", ["limit=%C2%B2", "after=%00", "after=msg_unknown"])
def test_bad_page_parameters(client: OpenAI, query: str) -> None:
    made = client.conversations.create()
    with pytest.raises(openai.APIStatusError) as caught:
        client.get(f"/conversations/{made.id}/items?{query}", cast_to=object)
    assert caught.value.status_code in (400, 404)


def test_an_unknown_route_is_a_404_in_the_usual_shape(client: OpenAI) -> None:
    status, error = answer_to(client, "/no/such/route", b"{}")
    assert (status, error["code"]) == (404, "unknown_url")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("delete", "/chat/completions", "GET, POST"),
        ("put", "/conversations/conv_x/items", "GET, POST"),
        ("post", "/models/a/b", "GET"),
        ("get", "/responses/resp_x/cancel", "POST"),
    ],
)
def test_a_method_a_path_does_not_take_is_a_405_that_names_those_it_takes(
    client: OpenAI, method: str, path: str, allowed: str
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        getattr(client, method)(path, cast_to=object)
    assert (caught.value.status_code, caught.value.code) == (405, "method_not_supported")
    assert caught.value.response.headers["allow"] == allowed


@pytest.mark.parametrize("name", ["", "a\u0000b", "x" * 300])
def test_a_name_no_model_has_is_a_404(client: OpenAI, name: str) -> None:
    body = json.dumps({"model": name, "input": "x"}).encode()
    status, error = answer_to(client, "/responses", body)
    assert (status, error["code"]) == (404, "model_not_found")


def test_a_chain_whose_conversation_was_deleted_cannot_be_continued(client: OpenAI) -> None:
    made = client.conversations.create()
    first = client.responses.create(model=MODEL, input="[[text:x]]", conversation=made.id)
    client.conversations.delete(made.id)
    body = json.dumps({"model": MODEL, "input": "x", "previous_response_id": first.id}).encode()
    status, error = answer_to(client, "/responses", body)
    assert (status, error["code"]) == (400, "previous_response_not_found")
