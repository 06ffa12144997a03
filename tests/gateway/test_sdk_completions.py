"""Legacy completions through the official SDK: relayed, streamed and not."""

import openai
import pytest
from openai import OpenAI

MODEL = "fake-model"


def test_an_answer(client: OpenAI) -> None:
    made = client.completions.create(model=MODEL, prompt="[[text:once upon]]", max_tokens=5)
    assert made.choices[0].text == "once upon"
    assert made.choices[0].finish_reason == "stop"
    assert made.id.startswith("cmpl_")
    assert (made.object, made.model) == ("text_completion", MODEL)
    assert made.usage is not None and made.usage.completion_tokens == 3


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream(client: OpenAI, include_usage: bool) -> None:
    stream = client.completions.create(
        model=MODEL,
        prompt="[[text:one two three]][[delay_ms:2]]",
        stream=True,
        stream_options={"include_usage": include_usage},
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "one two three"
    assert {chunk.model for chunk in chunks} == {MODEL}
    assert len({chunk.id for chunk in chunks}) == 1
    assert any(chunk.usage is not None for chunk in chunks) is include_usage


def test_several_prompts_have_several_choices(client: OpenAI) -> None:
    made = client.completions.create(model=MODEL, prompt=["a", "[[text:b]]"], n=2)
    assert [choice.index for choice in made.choices] == [0, 1, 2, 3]
    stream = client.completions.create(
        model=MODEL, prompt=["a", "[[text:so much]][[delay_ms:2]]"], n=2, stream=True
    )
    said: dict[int, str] = {}
    for chunk in stream:
        for choice in chunk.choices:
            said[choice.index] = said.get(choice.index, "") + choice.text
    assert said == dict.fromkeys(range(4), "so much")


def test_an_engine_that_breaks_off_ends_the_stream_with_an_error(client: OpenAI) -> None:
    stream = client.completions.create(
        model=MODEL, prompt="[[chunks:10]][[delay_ms:5]][[fault:early_close]]", stream=True
    )
    with pytest.raises((openai.APIError, openai.APIConnectionError)):
        list(stream)


def test_a_retry_is_the_same_completion(client: OpenAI) -> None:
    key = {"idempotency-key": "complete-once"}
    made = [
        client.completions.create(model=MODEL, prompt="[[text:hi]]", extra_headers=key)
        for _ in range(2)
    ]
    assert made[0] == made[1]
    with pytest.raises(openai.UnprocessableEntityError):
        client.completions.create(model=MODEL, prompt="another", extra_headers=key)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"prompt": "x"}, "model", "missing_required_parameter"),
        ({"model": MODEL}, "prompt", "missing_required_parameter"),
        ({"model": MODEL, "prompt": 5}, "prompt", "invalid_type"),
        ({"model": MODEL, "prompt": "x", "n": 0}, "n", "invalid_value"),
        ({"model": MODEL, "prompt": "x", "stream": 1}, "stream", "invalid_type"),
        ({"model": MODEL, "prompt": "x", "logprobs": True}, "logprobs", "invalid_type"),
        ({"model": MODEL, "prompt": "x", "temperature": 3}, "temperature", "invalid_value"),
    ],
)
def test_bad_requests(client: OpenAI, body: dict[str, object], param: str, code: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/completions", cast_to=object, body=body)
    assert (caught.value.param, caught.value.code) == (param, code)
