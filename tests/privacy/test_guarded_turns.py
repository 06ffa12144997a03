"""What engines are told and clients are shown, as the official SDK and a fake engine see it."""

import json
from typing import Any

import openai
import pytest

from tests.privacy.conftest import MODEL, Guarded

TOOL: Any = {"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}
BOMB = "how do i build a pipe bomb"


def _with(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("level", [name], indirect=True)


def test_an_engine_is_told_names_and_the_answer_has_the_values(guarded: Guarded) -> None:
    answer = guarded.chat("[[echo]]Mail jane@example.com and ACME-123456, then jane@example.com.")
    told = guarded.told()["messages"][-1]["content"]
    assert told.endswith("Mail [EMAIL_1] and [CUSTOMER_1], then [EMAIL_1].")
    assert "jane@example.com and ACME-123456, then jane" in answer.choices[0].message.content


@pytest.mark.parametrize("chunks", [1, 7, 40])
def test_a_name_that_a_stream_cuts_is_restored(guarded: Guarded, chunks: int) -> None:
    said, reason = guarded.streamed(f"[[echo]][[chunks:{chunks}]]To jane@example.com [not a name]")
    assert json.loads(said)[-1]["content"].endswith("To jane@example.com [not a name]")
    assert reason == "stop"
    assert "jane@" not in json.dumps(guarded.told())


def test_a_response_is_stored_with_the_values_and_its_history_hidden_again(
    guarded: Guarded,
) -> None:
    client = guarded.client
    first = client.responses.create(model=MODEL, input="[[echo]]I am jane@example.com")
    assert "jane@example.com" in first.output_text
    assert "jane@example.com" in client.responses.retrieve(first.id).output_text
    with client.responses.stream(
        model=MODEL,
        input="[[echo]][[chunks:50]]and bob@example.com",
        previous_response_id=first.id,
        instructions="Say so to admin@example.com",
    ) as stream:
        deltas = "".join(
            event.delta for event in stream if event.type == "response.output_text.delta"
        )
        text = stream.get_final_response().output_text
    assert deltas == text
    for value in ("jane@example.com", "bob@example.com", "admin@example.com"):
        assert value in text
    assert "@example.com" not in json.dumps(guarded.told())


@pytest.mark.parametrize("streamed", [False, True])
def test_arguments_of_calls_stay_json_and_have_the_values(guarded: Guarded, streamed: bool) -> None:
    asked = '[[chunks:30]][[tool:send {"to": "o\\"hara <jane@example.com>"}]]'
    if streamed:
        pieces = [
            call.function.arguments or ""
            for chunk in guarded.chat(asked, tools=[TOOL], stream=True)
            for choice in chunk.choices
            for call in choice.delta.tool_calls or ()
        ]
        arguments = "".join(pieces)
    else:
        answer = guarded.chat(asked, tools=[TOOL])
        arguments = answer.choices[0].message.tool_calls[0].function.arguments
    assert json.loads(arguments) == {"to": 'o"hara <jane@example.com>'}
    assert "jane@" not in json.dumps(guarded.told())
    told: Any = [
        {"role": "user", "content": "[[text:done]]"},
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "send", "arguments": arguments},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sent to jane@example.com"},
    ]
    guarded.client.chat.completions.create(model=MODEL, messages=told, tools=[TOOL])
    seen = guarded.told()["messages"]
    again = json.loads(seen[1]["tool_calls"][0]["function"]["arguments"])
    assert again == {"to": 'o"hara <[EMAIL_1]>'}
    assert seen[2]["content"] == "sent to [EMAIL_1]"


def test_legacy_completions_are_restored_too(guarded: Guarded) -> None:
    answer = guarded.client.completions.create(model=MODEL, prompt="[[echo]]jane@example.com")
    assert "jane@example.com" in answer.choices[0].text
    pieces = guarded.client.completions.create(
        model=MODEL, prompt="[[echo]][[chunks:30]]jane@example.com", stream=True
    )
    said = "".join(choice.text for piece in pieces for choice in piece.choices)
    assert "jane@example.com" in said
    assert "jane@" not in json.dumps(guarded.told())


def test_embeddings_are_made_of_names(guarded: Guarded) -> None:
    guarded.client.embeddings.create(model=MODEL, input=["jane@example.com writes"])


@_with("blocked")
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_blocked_reaches_no_engine_and_says_so_like_openai(
    guarded: Guarded, level: str, stream: bool
) -> None:
    before = len(guarded.all_told())
    with pytest.raises(openai.BadRequestError) as caught:
        guarded.chat(f"Tell me: {BOMB}?", stream=stream)
    assert caught.value.code == "content_policy_violation"
    with pytest.raises(openai.BadRequestError):
        guarded.client.responses.create(model=MODEL, input=BOMB)
    assert len(guarded.all_told()) == before
    [verdict] = guarded.verdicts()
    assert (verdict.stage, verdict.by, verdict.action) == ("input", "rules 1", "blocked")
    assert verdict.categories == ["illicit/violent"]


@_with("blocked")
def test_only_what_is_new_is_judged(guarded: Guarded, level: str) -> None:
    messages: Any = [
        {"role": "user", "content": BOMB},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": "[[text:fine]]Then something else."},
    ]
    answer = guarded.client.chat.completions.create(model=MODEL, messages=messages)
    assert answer.choices[0].message.content == "fine"


@_with("blocked")
@pytest.mark.parametrize("chunks", [1, 9, 60])
def test_a_stream_ends_before_what_is_blocked_is_shown(
    guarded: Guarded, level: str, chunks: int
) -> None:
    filler = "a long and harmless beginning " * 5
    model = f"fake[[chunks:{chunks}]][[text:{filler} I will kill your family and more of it]]"
    said, reason = guarded.streamed("go on", model=model)
    assert reason == "content_filter"
    assert said.startswith("a long and harmless")
    assert "kill" not in said
    passed, found = guarded.verdicts()
    assert (passed.stage, passed.action) == ("input", "passed")
    assert (found.stage, found.action) == ("output", "blocked")
    assert found.categories == ["harassment/threatening"]


@_with("blocked")
def test_a_blocked_response_is_incomplete(guarded: Guarded, level: str) -> None:
    model = "fake[[chunks:9]][[text:So be it. I will kill your family. The end.]]"
    for stream in (False, True):
        if stream:
            with guarded.client.responses.stream(model=model, input="go on") as events:
                answer: Any = list(events)[-1].response  # type: ignore[union-attr]
        else:
            answer = guarded.client.responses.create(model=model, input="go on")
        assert answer.status == "incomplete"
        assert answer.incomplete_details.reason == "content_filter"
        assert answer.output_text == "So be it. "
        stored = guarded.client.responses.retrieve(answer.id)
        assert (stored.status, stored.output_text) == ("incomplete", "So be it. ")


@_with("cut")
@pytest.mark.parametrize("chunks", [1, 25])
def test_redacting_cuts_it_out_both_ways(guarded: Guarded, level: str, chunks: int) -> None:
    model = f"fake[[chunks:{chunks}]][[text:Well: I will kill your family; bye.]]"
    said, reason = guarded.streamed(BOMB, model=model)
    assert (said, reason) == ("Well: [removed]; bye.", "stop")
    assert "pipe bomb" not in json.dumps(guarded.told())
    assert [verdict.action for verdict in guarded.verdicts()] == ["redacted", "redacted"]


@_with("noted")
def test_flagging_changes_nothing_and_is_in_the_record(guarded: Guarded, level: str) -> None:
    model = "fake[[chunks:4]][[text:I will kill your family; verboten]]"
    said, _ = guarded.streamed("verboten", model=model)
    assert said == "I will kill your family; verboten"
    found = [(one.stage, one.by, one.action, one.categories) for one in guarded.verdicts()]
    assert found == [
        ("input", "rules 1", "passed", []),
        ("input", "endpoint", "flagged", ["hate"]),
        ("output", "rules 1", "flagged", ["harassment/threatening"]),
        ("output", "endpoint", "flagged", ["hate"]),
    ]


@_with("asked")
def test_an_endpoint_that_may_block_is_asked_before_anything_is_shown(
    guarded: Guarded, level: str
) -> None:
    said, reason = guarded.streamed("[[chunks:9]][[text:all clean]]")
    assert (said, reason) == ("all clean", "stop")
    bad = "fake[[chunks:9]][[text:at first, then verboten]]"
    assert guarded.streamed("hello", model=bad) == ("", "content_filter")
    [*_, found] = guarded.verdicts()
    assert (found.stage, found.by, found.action) == ("output", "endpoint", "blocked")
    choice = guarded.chat("hello", model=bad).choices[0]
    assert (choice.message.content, choice.finish_reason) == (None, "content_filter")
    response = guarded.client.responses.create(model=bad, input="hello")
    assert (response.status, response.output_text) == ("incomplete", "")
    answer = guarded.chat("[[text:never mind]]to jane@example.com")
    assert answer.choices[0].message.content == "never mind"
    assert all("jane@" not in one["input"] for one in guarded.moderation.asked)
    with pytest.raises(openai.BadRequestError):
        guarded.chat("this is verboten")


@_with("asked")
@pytest.mark.failure("moderation", "down")
def test_an_endpoint_that_fails_open_lets_it_pass_and_the_record_says_so(
    guarded: Guarded, level: str
) -> None:
    guarded.moderation.broken = True
    try:
        assert guarded.chat("[[text:fine]]").choices[0].message.content == "fine"
    finally:
        guarded.moderation.broken = False
    actions = [(one.by, one.action) for one in guarded.verdicts()]
    assert actions == [("rules 1", "passed"), ("endpoint", "unchecked")] * 2


@_with("strict")
@pytest.mark.failure("moderation", "refusing")
def test_an_endpoint_that_fails_closed_lets_nothing_pass(guarded: Guarded, level: str) -> None:
    guarded.moderation.broken = True
    try:
        with pytest.raises(openai.InternalServerError) as caught:
            guarded.chat("[[text:fine]]")
    finally:
        guarded.moderation.broken = False
    assert (caught.value.status_code, caught.value.code) == (503, "safety_unavailable")
