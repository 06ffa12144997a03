"""A relayed legacy completion, put together from its stream."""

import json

from openai.types import Completion

from axon.records import TokenUsage
from axon.turns.chat import ChatHead
from axon.turns.completions import CompletionsAnswer

USAGE = TokenUsage(input_tokens=7, output_tokens=5)


def chunk(index: int, text: str, finish: str | None = None, logprobs: object = None) -> bytes:
    choice = {"index": index, "text": text, "finish_reason": finish, "logprobs": logprobs}
    body = {"id": "theirs", "model": "engine-model", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def test_a_stream_is_put_together() -> None:
    answer = CompletionsAnswer(ChatHead("cmpl_ours", "alias", 1_700_000_000), False, 2)
    probable = {"tokens": ["Hel"], "token_logprobs": [-0.1], "text_offset": [0]}
    shown = answer.feed(chunk(0, "Hel", logprobs=probable) + chunk(1, "Go"))
    assert b'"cmpl_ours"' in shown and b'"alias"' in shown
    more = {"tokens": ["lo"], "token_logprobs": [-0.2], "text_offset": [3]}
    assert answer.feed(chunk(0, "lo", "stop", more)) != b"", "the other choice goes on"
    assert answer.feed(chunk(1, "", "length")) == b"", "held until it is durable"
    assert answer.complete and answer.said_text() == "HelloGo"
    made = Completion.model_validate_json(answer.close(answer.ending(), USAGE).body)
    assert [choice.text for choice in made.choices] == ["Hello", "Go"]
    assert [choice.finish_reason for choice in made.choices] == ["stop", "length"]
    joined = made.choices[0].logprobs
    assert joined is not None and joined.tokens == ["Hel", "lo"] and joined.text_offset == [0, 3]
    assert made.choices[1].logprobs is None
    assert made.usage is not None and made.usage.total_tokens == 12


def test_log_probabilities_of_an_unknown_shape_do_no_harm() -> None:
    answer = CompletionsAnswer(ChatHead("cmpl_ours", "alias", 1_700_000_000), False, 1)
    answer.feed(chunk(0, "a", "stop", [1]))
    assert b'"tokens":[]' in answer.close(answer.ending(), USAGE).body
