"""What a response was asked with, and how many tokens that would be."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from axon.inference import estimate_tokens

MODEL = "fake-model"
FRAME = 4
"""Tokens a chat template is taken to put around one message."""


def texts(items: list[Any]) -> list[str]:
    return [item.content[0].text for item in items]


def test_the_input_items_are_listed(client: OpenAI) -> None:
    asked = [{"role": "user", "content": f"part {n} [[text:ok]]"} for n in range(5)]
    made = client.responses.create(model=MODEL, input=asked)  # type: ignore[arg-type]
    newest = client.responses.input_items.list(made.id, limit=2)
    assert texts(newest.data) == ["part 4 [[text:ok]]", "part 3 [[text:ok]]"]
    assert newest.has_more
    oldest = client.responses.input_items.list(made.id, order="asc", limit=2)
    assert texts(list(oldest)) == [one["content"] for one in asked]
    assert all(item.id.startswith("msg_") for item in oldest.data)


def test_only_the_requests_own_items_are_listed(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="[[text:one]]")
    second = client.responses.create(
        model=MODEL, input="second [[text:two]]", previous_response_id=first.id
    )
    assert texts(client.responses.input_items.list(second.id).data) == ["second [[text:two]]"]


def test_a_running_response_lists_what_it_was_asked_with(client: OpenAI) -> None:
    made = client.responses.create(
        model=MODEL, input="wait [[chunks:50]][[delay_ms:40]]", background=True
    )
    assert client.responses.retrieve(made.id).status in ("queued", "in_progress")
    running = client.responses.input_items.list(made.id).data
    assert texts(running) == ["wait [[chunks:50]][[delay_ms:40]]"]
    client.responses.cancel(made.id)
    assert client.responses.input_items.list(made.id).data == running


def test_input_items_of_what_is_not_there(client: OpenAI) -> None:
    unstored = client.responses.create(model=MODEL, input="[[text:x]]", store=False)
    deleted = client.responses.create(model=MODEL, input="[[text:x]]")
    client.responses.delete(deleted.id)
    for response_id in (unstored.id, deleted.id, "resp_1"):
        with pytest.raises(openai.NotFoundError):
            client.responses.input_items.list(response_id)
    kept = client.responses.create(model=MODEL, input="[[text:x]]")
    with pytest.raises(openai.NotFoundError):
        client.responses.input_items.list(kept.id, after="msg_1")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.input_items.list(kept.id, limit=1000)
    assert caught.value.param == "limit"


def count(client: OpenAI, **members: Any) -> int:
    counted = client.responses.input_tokens.count(model=MODEL, **members)
    assert counted.object == "response.input_tokens"
    assert counted.model_extra == {"counted_by": "estimate"}, "this engine has no tokenizer"
    return counted.input_tokens


def test_tokens_are_counted_before_a_turn(client: OpenAI) -> None:
    text = "[[text:fine]] how many"
    assert count(client, input=text) == FRAME + estimate_tokens(text)
    with_more = count(client, input=text, instructions="Be brief.")
    assert with_more == 2 * FRAME + estimate_tokens(text) + estimate_tokens("Be brief.")
    tools = [{"type": "function", "name": "f", "parameters": {}, "strict": False}]
    assert count(client, input=text, tools=tools) > count(client, input=text)


def test_what_came_before_is_counted_too(client: OpenAI) -> None:
    conversation = client.conversations.create()
    first = client.responses.create(
        model=MODEL, input="[[text:fine]]", conversation=conversation.id
    )
    alone = count(client, input="more")
    before = 2 * FRAME + estimate_tokens("[[text:fine]]") + estimate_tokens("fine")
    assert count(client, input="more", conversation=conversation.id) == alone + before
    assert count(client, input="more", previous_response_id=first.id) == alone + before
    assert count(client, conversation=conversation.id) == before
    client.responses.create(model=MODEL, input="[[text:on]]", conversation=conversation.id)
    assert count(client, input="more", previous_response_id=first.id) == alone + before
    assert len(client.conversations.items.list(conversation.id).data) == 4, "nothing was added"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": "x"}, 400, "model"),
        ({"model": MODEL}, 400, "input"),
        ({"model": MODEL, "input": 5}, 400, "input"),
        ({"model": MODEL, "input": "x", "truncation": "maybe"}, 400, "truncation"),
        ({"model": MODEL, "previous_response_id": "resp_1"}, 400, "previous_response_id"),
        ({"model": MODEL, "conversation": "conv_1"}, 404, None),
    ],
)
def test_bad_counts(
    client: OpenAI, body: dict[str, object], status: int, param: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.post("/responses/input_tokens", cast_to=object, body=body)
    error = caught.value.response.json()["error"]
    assert (caught.value.status_code, error["param"]) == (status, param)
