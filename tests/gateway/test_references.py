"""Items that a request refers to instead of sending them again."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI

MODEL = "fake-model"


def reference(item_id: object) -> dict[str, object]:
    return {"type": "item_reference", "id": item_id}


def seen(text: str) -> list[tuple[str, str]]:
    """Return what the echoing upstream says it was sent, as (role, content)."""
    return [(message["role"], message["content"]) for message in json.loads(text)]


def test_a_history_of_references_is_read_as_if_it_had_been_sent(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="[[text:one]]")
    question = client.responses.input_items.list(first.id).data[0]
    history: Any = [
        reference(question.id),
        reference(first.output[0].id),
        {"role": "user", "content": "[[echo]]"},
    ]
    second = client.responses.create(model=MODEL, input=history)
    assert seen(second.output_text) == [
        ("user", "[[text:one]]"),
        ("assistant", "one"),
        ("user", "[[echo]]"),
    ]
    kept = client.responses.input_items.list(second.id, order="asc").data
    assert len(kept) == 3 and kept[0].id != question.id
    counted = client.responses.input_tokens.count(model=MODEL, input=history)
    alone = client.responses.input_tokens.count(model=MODEL, input="[[echo]]")
    assert counted.input_tokens > alone.input_tokens


def test_a_call_may_be_referred_to(client: OpenAI) -> None:
    tools: Any = [{"type": "function", "name": "f", "parameters": {}, "strict": False}]
    asked: Any = client.responses.create(model=MODEL, input='[[tool:f {"a":1}]]', tools=tools)
    result = {"type": "function_call_output", "call_id": asked.output[0].call_id, "output": "2"}
    history: Any = [
        {"role": "user", "content": "go"},
        reference(asked.output[0].id),
        result,
        {"role": "user", "content": "[[echo]]"},
    ]
    answered = client.responses.create(model=MODEL, input=history, store=False)
    assert [role for role, _ in seen(answered.output_text)] == ["user", "assistant", "tool", "user"]


@pytest.mark.parametrize("item_id", ["msg_1", "", None, "msg_" + "0" * 50, "a\u0000_b"])
def test_a_reference_to_nothing_is_a_404(client: OpenAI, item_id: object) -> None:
    items: Any = [reference(item_id), {"role": "user", "content": "x"}]
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model=MODEL, input=items)
    assert caught.value.param == "input"


def test_what_is_gone_or_was_never_stored_is_a_404(client: OpenAI) -> None:
    conversation = client.conversations.create(
        items=[{"type": "message", "role": "user", "content": "x"}]
    )
    [item] = client.conversations.items.list(conversation.id).data
    client.conversations.delete(conversation.id)
    unstored = client.responses.create(model=MODEL, input="[[text:x]]", store=False)
    for item_id in (item.id, unstored.output[0].id):
        with pytest.raises(openai.NotFoundError):
            client.responses.create(model=MODEL, input=[reference(item_id)])  # type: ignore[list-item]


def test_another_persons_item_is_a_404(client: OpenAI) -> None:
    made = client.responses.create(model=MODEL, input="[[text:x]]", safety_identifier="ann")
    items: Any = [reference(made.output[0].id)]
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=MODEL, input=items, safety_identifier="bob")
    client.responses.create(model=MODEL, input=items, safety_identifier="ann")


def test_too_many_references_are_refused(client: OpenAI) -> None:
    items: Any = [reference("msg_1")] * 1001
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input=items)
    assert caught.value.code == "array_above_max_length"
