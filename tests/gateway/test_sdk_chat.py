"""Chat completions through the official SDK, as a chat product would call them."""

import json

import openai
import pytest
from openai import OpenAI

from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"


def ask(text: str) -> list[openai.types.chat.ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def test_an_answer(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=ask("[[text:hello there]]"))
    assert completion.choices[0].message.content == "hello there"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.id.startswith("chatcmpl_")
    assert completion.model == MODEL
    assert completion.usage is not None and completion.usage.completion_tokens == 3


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream(client: OpenAI, include_usage: bool) -> None:
    stream = client.chat.completions.create(
        model=MODEL,
        messages=ask("[[text:one two three]]"),
        stream=True,
        stream_options={"include_usage": include_usage},
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "one two three"
    assert len({chunk.id for chunk in chunks}) == 1
    assert any(chunk.usage is not None for chunk in chunks) is include_usage


async def test_the_async_client(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        completion = await client.chat.completions.create(model=MODEL, messages=ask("[[text:hi]]"))
        assert completion.choices[0].message.content == "hi"
        stream = await client.chat.completions.create(
            model=MODEL, messages=ask("[[text:a b]]"), stream=True
        )
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        assert "".join(pieces) == "a b"


def test_tools_are_relayed(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=ask('[[tool:get_weather {"city":"Oslo"}]]'),
        tools=[{"type": "function", "function": {"name": "get_weather", "parameters": {}}}],
    )
    calls = completion.choices[0].message.tool_calls
    assert calls is not None and calls[0].type == "function"
    assert json.loads(calls[0].function.arguments) == {"city": "Oslo"}


def test_the_response_format_reaches_the_engine(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=ask("anything"),
        response_format={
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
            },
        },
    )
    assert "n" in json.loads(completion.choices[0].message.content or "")


@pytest.mark.parametrize("fault", ["early_close", "broken_json", "error_midway"])
def test_an_engine_that_breaks_off_midway_ends_the_stream_with_an_error(
    client: OpenAI, fault: str
) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=ask(f"[[chunks:10]][[delay_ms:5]][[fault:{fault}]]"), stream=True
    )
    with pytest.raises((openai.APIError, openai.APIConnectionError)):
        list(stream)


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        (b"{", 400, None, "invalid_json"),
        (b"[]", 400, None, "invalid_type"),
        (b"{}", 400, "model", "missing_required_parameter"),
        (b'{"model":"m"}', 400, "messages", "missing_required_parameter"),
        (b'{"model":1,"messages":[]}', 400, "model", "invalid_type"),
        (b'{"model":"m","messages":"hi"}', 400, "messages", "invalid_type"),
        (b'{"model":"m","messages":[]}', 400, "messages", "invalid_value"),
        (b'{"model":"m","messages":[{"role":"x"}]}', 400, "messages[0].role", "invalid_value"),
        (
            b'{"model":"m","messages":[{"role":"user","content":["x"]}]}',
            400,
            "messages[0].content[0]",
            "invalid_type",
        ),
        (
            b'{"model":"m","store":1,"messages":[{"role":"user","content":"x"}]}',
            400,
            "store",
            "invalid_type",
        ),
        (
            b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":9}',
            400,
            "temperature",
            "invalid_value",
        ),
        (
            b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":"yes"}',
            400,
            "stream",
            "invalid_type",
        ),
    ],
)
def test_bad_bodies(client: OpenAI, body: bytes, status: int, param: str | None, code: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.post("/chat/completions", cast_to=object, content=body)
    assert caught.value.status_code == status
    error = caught.value.response.json()["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert error["type"] == "invalid_request_error"
    assert caught.value.response.headers["x-request-id"]


def test_models_are_listed_and_found(client: OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).object == "model"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no-such-model")
    assert caught.value.code == "model_not_found"
