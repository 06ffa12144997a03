"""What is more than one plain text: choices, log probabilities, refusals, images, several tools."""

import json
from collections.abc import Iterable
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import (
    ResponseCustomToolCallInputDeltaEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
)
from pydantic import BaseModel

MODEL = "fake-model"
IMAGE = "data:image/png;base64,iVBORw0KGgo="
FILE = "data:application/pdf;base64,JVBERi0="


class City(BaseModel):
    name: str
    people: int


def ask(text: str) -> list[openai.types.chat.ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def function(name: str) -> Any:
    return {"type": "function", "name": name, "parameters": {}, "strict": False}


def seen(text: str) -> Any:
    """Return the messages the echoing upstream says it was sent."""
    return json.loads(text)


def whole(chunks: Iterable[Any]) -> str:
    """Read a stream to its end; return the completion's id."""
    *_, last = chunks
    made: str = last.id
    return made


def test_several_choices(client: OpenAI) -> None:
    made = client.chat.completions.create(model=MODEL, messages=ask("[[text:so]]"), n=3, store=True)
    assert [choice.index for choice in made.choices] == [0, 1, 2]
    assert {choice.message.content for choice in made.choices} == {"so"}
    assert client.chat.completions.retrieve(made.id).choices == made.choices


def test_several_streamed_choices(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=ask("[[text:so it is]][[delay_ms:2]]"), n=3, stream=True, store=True
    )
    said, ends, made = dict[int, str](), set[int](), ""
    for chunk in stream:
        made = chunk.id
        for choice in chunk.choices:
            said[choice.index] = said.get(choice.index, "") + (choice.delta.content or "")
            if choice.finish_reason:
                ends.add(choice.index)
    assert said == dict.fromkeys(range(3), "so it is") and ends == {0, 1, 2}
    stored = client.chat.completions.retrieve(made)
    assert [choice.message.content for choice in stored.choices] == ["so it is"] * 3


@pytest.mark.parametrize("streamed", [False, True])
def test_log_probabilities_of_a_chat(client: OpenAI, streamed: bool) -> None:
    arguments: Any = {
        "model": MODEL,
        "messages": ask("[[text:abcdef]]"),
        "logprobs": True,
        "top_logprobs": 2,
        "store": True,
    }
    if streamed:
        made = whole(client.chat.completions.create(stream=True, **arguments))
    else:
        made = client.chat.completions.create(**arguments).id
    logprobs = client.chat.completions.retrieve(made).choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None
    assert "".join(token.token for token in logprobs.content) == "abcdef"
    assert [len(token.top_logprobs) for token in logprobs.content] == [2] * len(logprobs.content)


def test_log_probabilities_of_a_response(client: OpenAI) -> None:
    made = client.responses.create(
        model=MODEL,
        input="[[text:abcdef]]",
        include=["message.output_text.logprobs"],
        top_logprobs=1,
    )
    part: Any = made.output[0]
    [token] = part.content[0].logprobs
    assert (token.token, token.logprob, len(token.top_logprobs)) == ("abcdef", -0.5, 1)
    events = list(
        client.responses.create(
            model=MODEL,
            input="[[text:abcdef]][[delay_ms:2]]",
            include=["message.output_text.logprobs"],
            stream=True,
        )
    )
    deltas = [one for event in events if isinstance(event, ResponseTextDeltaEvent)
              for one in event.logprobs]  # fmt: skip
    assert [token.token for token in deltas] == ["ab", "cd", "ef"]
    [done] = [event for event in events if isinstance(event, ResponseTextDoneEvent)]
    assert [token.token for token in done.logprobs] == ["ab", "cd", "ef"]
    plain: Any = client.responses.create(model=MODEL, input="[[text:x]]").output[0]
    assert plain.content[0].logprobs == []


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal(client: OpenAI, streamed: bool) -> None:
    text = "[[refusal:I will not do that]]"
    chat: Any = {"model": MODEL, "messages": ask(text), "store": True}
    if streamed:
        chunks = list(client.chat.completions.create(stream=True, **chat))
        completion = client.chat.completions.retrieve(chunks[0].id)
        response_id = ""
        for event in client.responses.create(model=MODEL, input=text, stream=True):
            if event.type == "response.completed":
                response_id = event.response.id
            if event.type == "response.refusal.done":
                assert event.refusal == "I will not do that"
        response = client.responses.retrieve(response_id)
    else:
        completion = client.chat.completions.create(**chat)
        response = client.responses.create(model=MODEL, input=text)
    message = completion.choices[0].message
    assert (message.content, message.refusal) == (None, "I will not do that")
    part: Any = response.output[0]
    assert part.content[0].type == "refusal"
    assert part.content[0].refusal == "I will not do that"
    onward = client.responses.create(
        model=MODEL, input="[[echo]]", previous_response_id=response.id
    )
    assert seen(onward.output_text)[1] == {"role": "assistant", "content": "I will not do that"}


def test_images_and_files_of_a_chat_reach_the_engine(client: OpenAI) -> None:
    content: Any = [
        {"type": "text", "text": "[[echo]]"},
        {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": FILE}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    made = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": content}]
    )
    assert seen(made.choices[0].message.content or "") == [{"role": "user", "content": content}]


def test_images_and_files_of_a_response_reach_the_engine_in_every_turn(client: OpenAI) -> None:
    content = [
        {"type": "input_text", "text": "Look: [[text:fine]]"},
        {"type": "input_image", "image_url": IMAGE, "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": FILE},
    ]
    told = [
        {"type": "text", "text": "Look: [[text:fine]]"},
        {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
        {"type": "file", "file": {"file_data": FILE, "filename": "a.pdf"}},
    ]
    conversation = client.conversations.create()
    asked: Any = [{"role": "user", "content": content}]
    first = client.responses.create(model=MODEL, input=asked, conversation=conversation.id)
    listed: Any = client.responses.input_items.list(first.id).data[0]
    assert [part.type for part in listed.content] == ["input_text", "input_image", "input_file"]
    onward = client.responses.create(model=MODEL, input="[[echo]]", conversation=conversation.id)
    assert seen(onward.output_text)[0] == {"role": "user", "content": told}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_video", "video": "x"},
    ],
)
def test_content_no_engine_can_be_shown_is_refused(client: OpenAI, part: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input=[{"role": "user", "content": [part]}])
    assert (caught.value.param, caught.value.code) == ("input[0]", "unsupported_value")


def test_structured_output_is_parsed(client: OpenAI) -> None:
    chat = client.chat.completions.parse(model=MODEL, messages=ask("x"), response_format=City)
    assert chat.choices[0].message.parsed == City(name="text", people=1)
    response = client.responses.parse(model=MODEL, input="x", text_format=City)
    assert response.output_parsed == City(name="text", people=1)


TWO_CALLS = '[[tool:weather {"city":"Oslo"}]][[tool:time {"zone":"CET"}]]'


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_calls_go_out_and_their_results_come_back(client: OpenAI, streamed: bool) -> None:
    tools = [function("weather"), function("time")]
    if streamed:
        with client.responses.stream(model=MODEL, input=TWO_CALLS, tools=tools) as stream:
            asked: Any = stream.get_final_response()
    else:
        asked = client.responses.create(model=MODEL, input=TWO_CALLS, tools=tools)
    calls = [(item.name, item.arguments) for item in asked.output]
    assert calls == [("weather", '{"city":"Oslo"}'), ("time", '{"zone":"CET"}')]
    results: Any = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"of {call.name}"}
        for call in reversed(asked.output)
    ]
    answered = client.responses.create(
        model=MODEL,
        input=[*results, {"role": "user", "content": "[[echo]]"}],
        previous_response_id=asked.id,
    )
    told = seen(answered.output_text)
    assert [message["role"] for message in told] == ["user", "assistant", "tool", "tool", "user"]
    assert [message["content"] for message in told[2:4]] == ["of time", "of weather"]


def test_parallel_calls_of_a_chat(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=ask(TWO_CALLS), stream=True, store=True
    )
    made = whole(stream)
    calls: Any = client.chat.completions.retrieve(made).choices[0].message.tool_calls
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("weather", '{"city":"Oslo"}'),
        ("time", '{"zone":"CET"}'),
    ]


def test_an_image_as_a_tools_result_reaches_the_engine(client: OpenAI) -> None:
    asked: Any = client.responses.create(
        model=MODEL, input="[[tool:shot {}]]", tools=[function("shot")]
    )
    output: Any = [{"type": "input_image", "image_url": IMAGE}]
    answered = client.responses.create(
        model=MODEL,
        previous_response_id=asked.id,
        input=[
            {
                "type": "function_call_output",
                "call_id": asked.output[0].call_id,
                "output": output,
            },
            {"role": "user", "content": "[[echo]]"},
        ],
    )
    shown = seen(answered.output_text)[2]["content"]
    assert shown == [{"type": "image_url", "image_url": {"url": IMAGE, "detail": "auto"}}]


def test_a_custom_tool_is_called_with_a_text(client: OpenAI) -> None:
    tools: Any = [{"type": "custom", "name": "run", "description": "Runs code."}]
    text = '[[tool:run {"input":"print(1)"}]][[delay_ms:2]]'
    events = list(client.responses.create(model=MODEL, input=text, tools=tools, stream=True))
    deltas = [one for one in events if isinstance(one, ResponseCustomToolCallInputDeltaEvent)]
    assert "".join(event.delta for event in deltas) == "print(1)"
    last: Any = events[-1]
    [call] = last.response.output
    assert (call.type, call.name, call.input) == ("custom_tool_call", "run", "print(1)")
    answered = client.responses.create(
        model=MODEL,
        previous_response_id=last.response.id,
        input=[
            {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "1"},
            {"role": "user", "content": "[[echo]]"},
        ],
    )
    assert [one["role"] for one in seen(answered.output_text)] == [
        "user",
        "assistant",
        "tool",
        "user",
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning(client: OpenAI, streamed: bool) -> None:
    text = "[[reasoning:let me see]][[text:done]]"
    if streamed:
        with client.responses.stream(model=MODEL, input=text) as stream:
            response: Any = stream.get_final_response()
    else:
        response = client.responses.create(model=MODEL, input=text)
    thought, said = response.output
    assert (thought.type, thought.content[0].text) == ("reasoning", "let me see")
    assert said.content[0].text == "done"
    chat: Any = client.chat.completions.create(
        model=MODEL, messages=ask(text), stream=True, store=True
    )
    made = whole(chat)
    message: Any = client.chat.completions.retrieve(made).choices[0].message
    assert (message.reasoning_content, message.content) == ("let me see", "done")
    onward = client.responses.create(
        model=MODEL, input="[[echo]]", previous_response_id=response.id
    )
    assert [one["role"] for one in seen(onward.output_text)] == ["user", "assistant", "user"]
