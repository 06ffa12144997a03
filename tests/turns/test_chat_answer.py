"""A relayed chat completion: the engine's bytes under our id, the terminal event held back."""

import json

import pytest
from openai.types.chat import ChatCompletion

from axon.records import TokenUsage
from axon.turns.answer import Ending, TurnFailure
from axon.turns.chat import ChatAnswer, ChatHead
from axon.turns.chunks import BrokenUpstream

USAGE = TokenUsage(input_tokens=7, output_tokens=5)


def new_answer(*, show_usage: bool = False, choices: int = 1) -> ChatAnswer:
    return ChatAnswer(ChatHead("chatcmpl_ours", "alias", 1_700_000_000), show_usage, choices)


def chunk(
    content: str, finish: str | None = None, separators: tuple[str, str] = (",", ":")
) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    body = {"id": "theirs", "model": "engine-model", "choices": [choice]}
    return b"data: " + json.dumps(body, separators=separators).encode() + b"\n\n"


USAGE_CHUNK = (
    b'data: {"id":"theirs","model":"engine-model","choices":[],'
    b'"usage":{"prompt_tokens":7,"completion_tokens":5}}\n\n'
)
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_our_names_replace_the_engines(separators: tuple[str, str]) -> None:
    shown = new_answer().feed(chunk("hi", separators=separators))
    event = json.loads(shown.removeprefix(b"data: "))
    assert event["id"] == "chatcmpl_ours"
    assert event["model"] == "alias"
    assert event["choices"][0]["delta"]["content"] == "hi"


def test_content_that_looks_like_a_member_is_left_alone() -> None:
    content = '"id":"theirs","model":"engine-model"'
    shown = new_answer().feed(chunk(content))
    event = json.loads(shown.removeprefix(b"data: "))
    assert event["choices"][0]["delta"]["content"] == content


def test_the_terminal_event_is_held_until_the_turn_is_closed() -> None:
    answer = new_answer()
    assert answer.feed(chunk("a")) != b""
    assert answer.feed(chunk("b", "stop") + DONE) == b""
    closing = answer.close(answer.ending(), USAGE)
    assert closing.shown.endswith(DONE)
    assert b'"content":"b"' in closing.shown
    assert closing.shown.count(b"[DONE]") == 1


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(
    ("said", "end"), [("data: [DONE]", chunk("", "stop") + DONE), ("data: ", DONE)]
)
def test_text_is_not_held_because_the_end_came_in_the_same_read(
    said: str, end: bytes, line_end: bytes
) -> None:
    text, end = (data.replace(b"\n", line_end) for data in (chunk(said), end))
    answer, alone = new_answer(), new_answer()
    assert alone.feed(chunk("hi") + text) == answer.feed(chunk("hi") + text + end) != b""
    assert alone.feed(end) == b""
    closings = [one.close(one.ending(), USAGE) for one in (alone, answer)]
    assert closings[0] == closings[1]


@pytest.mark.parametrize("show_usage", [True, False])
def test_usage_is_shown_only_when_asked_for(show_usage: bool) -> None:
    answer = new_answer(show_usage=show_usage)
    answer.feed(chunk("a", "stop") + USAGE_CHUNK + DONE)
    shown = answer.close(answer.ending(), USAGE).shown
    assert (b'"usage"' in shown) is show_usage
    assert answer.usage == USAGE


def test_a_stream_is_put_together_into_a_whole_completion() -> None:
    answer = new_answer()
    answer.feed(chunk("Hel"))
    answer.feed(chunk("lo", "stop") + USAGE_CHUNK + DONE)
    completion = ChatCompletion.model_validate_json(answer.close(answer.ending(), USAGE).body)
    assert completion.choices[0].message.content == "Hello"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None and completion.usage.total_tokens == 12


def test_a_failure_after_output_is_an_error_chunk_without_a_terminal_event() -> None:
    answer = new_answer()
    answer.feed(chunk("a"))
    failure = TurnFailure(status=502, code="server_error", message="gone")
    shown = answer.close(Ending(status="failed", failure=failure), USAGE).shown
    assert json.loads(shown.removeprefix(b"data: "))["error"]["message"] == "gone"
    assert DONE not in shown


def test_the_chunk_that_says_why_it_ended_is_held_too() -> None:
    answer = new_answer()
    assert answer.feed(chunk("a", "stop")) == b""
    assert answer.complete
    shown = answer.close(answer.ending(), USAGE).shown
    assert b'"finish_reason": "stop"' in shown or b'"finish_reason":"stop"' in shown


def test_an_answer_is_complete_when_every_choice_asked_for_is() -> None:
    answer = new_answer(choices=2)
    answer.feed(chunk("a", "stop"))
    assert not answer.complete


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"id":"\xff"}\n\n',
        b'data: {"usage":{"prompt_tokens":18446744073709551616}}\n\n',
        b'data: {"usage":{"prompt_tokens":-1}}\n\n',
        b"data: " + b'{"a":' * 5000 + b"\n\n",
    ],
)
def test_chunks_no_engine_should_send_are_the_engines_fault(data: bytes) -> None:
    with pytest.raises(BrokenUpstream):
        new_answer().feed(data)


def test_log_probabilities_of_an_unknown_shape_do_no_harm() -> None:
    answer = new_answer()
    body = b'{"id":"t","choices":[{"delta":{"content":"a"},"logprobs":[1],"finish_reason":"stop"}]}'
    answer.feed(b"data: " + body + b"\n\n")
    assert b'"content":[]' in answer.close(answer.ending(), USAGE).body


def test_an_answer_without_choices_is_broken() -> None:
    with pytest.raises(BrokenUpstream):
        new_answer().take_whole(b'{"id":"theirs","choices":[]}')
