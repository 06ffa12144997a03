"""Responses and conversations through the official SDK: the stateful surface."""

import json

import openai
import pytest
from openai import OpenAI
from openai.types.responses import ResponseCompletedEvent

from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"


def seen_by_the_model(text: str) -> list[tuple[str, str]]:
    """Return what the echoing upstream says it was sent, as (role, content)."""
    return [(message["role"], message["content"]) for message in json.loads(text)]


def test_an_answer_has_every_member(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="[[text:hello]]", metadata={"a": "b"})
    assert response.output_text == "hello"
    assert response.status == "completed"
    raw = response.model_dump()
    members = """
        id object created_at completed_at model output parallel_tool_calls tool_choice tools usage
        presence_penalty frequency_penalty top_logprobs reasoning max_output_tokens max_tool_calls
        service_tier safety_identifier prompt_cache_key instructions previous_response_id
        conversation text truncation metadata error incomplete_details store background
        temperature top_p
    """
    for name in members.split():
        assert name in raw, name
    assert response.metadata == {"a": "b"}


def test_a_stored_response_can_be_fetched_and_deleted(client: OpenAI) -> None:
    made = client.responses.create(model=MODEL, input="[[text:keep me]]", instructions="Be brief.")
    fetched = client.responses.retrieve(made.id)
    assert fetched.model_dump() == made.model_dump()
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input="on", previous_response_id=made.id)
    assert caught.value.code == "previous_response_not_found"


def test_an_unstored_response_is_not_there(client: OpenAI) -> None:
    made = client.responses.create(model=MODEL, input="[[text:x]]", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_a_chain_of_responses_remembers(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="[[text:one]]")
    second = client.responses.create(
        model=MODEL, input="[[echo]]", previous_response_id=first.id, instructions="Now."
    )
    assert seen_by_the_model(second.output_text) == [
        ("system", "Now."),
        ("user", "[[text:one]]"),
        ("assistant", "one"),
        ("user", "[[echo]]"),
    ]


def test_a_chain_can_branch_off_an_older_response(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="[[text:one]]")
    client.responses.create(model=MODEL, input="[[text:two]]", previous_response_id=first.id)
    branch = client.responses.create(model=MODEL, input="[[echo]]", previous_response_id=first.id)
    assert [role for role, _ in seen_by_the_model(branch.output_text)] == [
        "user",
        "assistant",
        "user",
    ]
    onward = client.responses.create(model=MODEL, input="[[echo]]", previous_response_id=branch.id)
    assert len(seen_by_the_model(onward.output_text)) == 5


def test_a_stream_ends_with_the_stored_response(client: OpenAI) -> None:
    events = list(
        client.responses.create(
            model=MODEL, input="[[text:one two three]][[delay_ms:5]]", stream=True
        )
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert isinstance(last, ResponseCompletedEvent)
    assert last.response.output_text == "one two three"
    assert client.responses.retrieve(last.response.id).output == last.response.output


async def test_the_async_client(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        conversation = await client.conversations.create()
        made = await client.responses.create(
            model=MODEL, input="[[text:a]]", conversation=conversation.id
        )
        assert made.conversation is not None and made.conversation.id == conversation.id
        stream = await client.responses.create(
            model=MODEL, input="[[text:b c]]", conversation=conversation.id, stream=True
        )
        kinds = [event.type async for event in stream]
        assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
        page = await client.conversations.items.list(conversation.id)
        assert len(page.data) == 4


def test_tool_calls_are_items_and_their_results_reach_the_model(client: OpenAI) -> None:
    conversation = client.conversations.create()
    asked = client.responses.create(
        model=MODEL,
        input='[[tool:get_weather {"city":"Oslo"}]]',
        conversation=conversation.id,
        tools=[{"type": "function", "name": "get_weather", "parameters": {}, "strict": False}],
    )
    call = asked.output[0]
    assert call.type == "function_call"
    answered = client.responses.create(
        model=MODEL,
        input=[
            {"type": "function_call_output", "call_id": call.call_id, "output": "rain"},
            {"role": "user", "content": "[[echo]]"},
        ],
        conversation=conversation.id,
    )
    roles = [role for role, _ in seen_by_the_model(answered.output_text)]
    assert roles == ["user", "assistant", "tool", "user"]
    kinds = [item.type for item in client.conversations.items.list(conversation.id, order="asc")]
    assert kinds == [
        "message",
        "function_call",
        "function_call_output",
        "message",
        "message",
    ]


def test_text_format_reaches_the_engine(client: OpenAI) -> None:
    schema: dict[str, object] = {"type": "object", "properties": {"n": {"type": "integer"}}}
    response = client.responses.create(
        model=MODEL,
        input="anything",
        text={"format": {"type": "json_schema", "name": "answer", "schema": schema}},
    )
    assert "n" in json.loads(response.output_text)


@pytest.mark.parametrize(
    ("arguments", "status", "param", "code"),
    [
        ({}, 400, "input", "missing_required_parameter"),
        ({"input": 5}, 400, "input", "invalid_type"),
        ({"input": [{"role": "x", "content": "y"}]}, 400, "input[0].role", "invalid_value"),
        ({"input": [{"type": "nonsense"}]}, 400, "input[0].type", "invalid_value"),
        ({"input": "x", "truncation": "maybe"}, 400, "truncation", "invalid_value"),
        ({"input": "x", "metadata": {"k": "v" * 513}}, 400, "metadata", "string_above_max_length"),
        (
            {"input": "x", "metadata": {str(n): "" for n in range(17)}},
            400,
            "metadata",
            "object_above_max_properties",
        ),
        (
            {"input": "x", "previous_response_id": "resp_1", "conversation": "conv_1"},
            400,
            None,
            "mutually_exclusive_parameters",
        ),
        (
            {"input": "x", "previous_response_id": "resp_1"},
            400,
            "previous_response_id",
            "previous_response_not_found",
        ),
        ({"input": "x", "conversation": "conv_1"}, 404, None, None),
    ],
)
def test_bad_requests(
    client: OpenAI, arguments: dict[str, object], status: int, param: str | None, code: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.post("/responses", cast_to=object, body={"model": MODEL, **arguments})
    error = caught.value.response.json()["error"]
    assert (caught.value.status_code, error["param"], error["code"]) == (status, param, code)


def test_an_input_larger_than_the_window_is_refused_and_not_stored(client: OpenAI) -> None:
    conversation = client.conversations.create()
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input="word " * 60_000, conversation=conversation.id)
    assert caught.value.code == "context_length_exceeded"
    assert client.conversations.items.list(conversation.id).data == []


def test_truncation_auto_drops_the_oldest_turns(client: OpenAI) -> None:
    conversation = client.conversations.create()
    for number in range(3):
        client.responses.create(
            model=MODEL,
            input=f"turn{number} [[text:ok]] " + "word " * 3_400,
            conversation=conversation.id,
        )
    too_much = "[[echo]]" + "word " * 3_400
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model=MODEL, input=too_much, conversation=conversation.id)
    kept = client.responses.create(
        model=MODEL, input=too_much, conversation=conversation.id, truncation="auto"
    )
    seen = seen_by_the_model(kept.output_text)
    assert 1 < len(seen) < 7
    assert seen[0][0] == "user"
    assert not seen[0][1].startswith("turn0")
