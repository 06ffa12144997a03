"""The events of a streamed response: right in kind, order and number, and the same as its items."""

import json
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from axon.records import TokenUsage
from axon.turns.answer import Ending, TurnFailure
from axon.turns.chunks import BrokenUpstream
from axon.turns.engine_request import response_echo
from axon.turns.responses import ResponseHead, ResponsesAnswer

USAGE = TokenUsage(input_tokens=7, cached_tokens=3, output_tokens=5, reasoning_tokens=1)
_event: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


def new_answer(*, streamed: bool = True) -> ResponsesAnswer:
    head = ResponseHead("resp_1", 1_700_000_000, response_echo({}, "alias", None))
    return ResponsesAnswer(head, item_id, lambda: 1_700_000_009, streamed)


def item_id(prefix: str, place: int) -> str:
    return f"{prefix}_{place + 1}"


def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    body = {"id": "up-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def call(index: int, **function: str) -> dict[str, object]:
    return {"tool_calls": [{"index": index, "id": f"call_{index}", "function": function}]}


def told(answer: ResponsesAnswer, *chunks: bytes) -> list[dict[str, object]]:
    """Run a whole stream and return its events, each checked against the SDK's types."""
    shown = [answer.open(), *(answer.feed(data) for data in chunks)]
    shown.append(answer.close(answer.ending(), USAGE).shown)
    events = []
    for block in b"".join(shown).decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        _event.validate_python(event)
        events.append(event)
    return events


def test_text_is_told_once_and_in_order() -> None:
    text = [chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"})]
    events = told(new_answer(), *text, chunk({"content": "lo"}), chunk({}, "stop"))
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(10))
    assert "".join(str(event.get("delta", "")) for event in events) == "Hello"
    response = Response.model_validate(events[-1]["response"])
    assert response.output_text == "Hello"
    assert response.status == "completed"
    assert response.usage is not None and response.usage.total_tokens == 12


def test_what_one_read_brought_is_one_delta() -> None:
    events = told(new_answer(), chunk({"content": "a"}) + chunk({"content": "b"}, "stop"))
    assert [event["delta"] for event in events if "delta" in event] == ["ab"]


def test_reasoning_text_and_calls_are_items_of_their_own() -> None:
    events = told(
        new_answer(),
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "so"}),
        chunk(call(0, name="f", arguments="{")),
        chunk(call(0, arguments="}")),
        chunk(call(1, name="g", arguments="[]")),
        chunk({}, "tool_calls"),
    )
    response = Response.model_validate(events[-1]["response"])
    assert [item.type for item in response.output] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    assert done == events[-1]["response"]["output"]  # type: ignore[index]
    arguments = [
        event["arguments"]
        for event in events
        if event["type"] == "response.function_call_arguments.done"
    ]
    assert arguments == ["{}", "[]"]


def test_a_call_ends_before_the_next_begins() -> None:
    events = told(
        new_answer(),
        chunk(call(0, name="f", arguments="{")),
        chunk(call(0, arguments="}")) + chunk(call(1, name="g", arguments="{}")),
        chunk({}, "tool_calls"),
    )
    names = [str(event["type"]).removeprefix("response.") for event in events[2:-1]]
    assert list(zip(names, (event["output_index"] for event in events[2:-1]), strict=True)) == [
        ("output_item.added", 0),
        ("function_call_arguments.delta", 0),
        ("function_call_arguments.delta", 0),
        ("function_call_arguments.done", 0),
        ("output_item.done", 0),
        ("output_item.added", 1),
        ("function_call_arguments.delta", 1),
        ("function_call_arguments.done", 1),
        ("output_item.done", 1),
    ]


def test_more_of_a_call_after_the_next_is_the_engines_fault() -> None:
    answer = new_answer()
    answer.feed(chunk(call(0, name="f")) + chunk(call(1, name="g")))
    with pytest.raises(BrokenUpstream):
        answer.feed(chunk(call(0, arguments="{}")))


def test_log_probabilities_are_told_with_their_text() -> None:
    likely = {"token": "\u00e9", "logprob": -2.0, "bytes": [195, 169]}
    token = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": [likely]}
    sent = {**token, "bytes": None, "top_logprobs": [{**likely, "bytes": None}]}
    logprobs = {"content": [sent, {"prob": "of another shape"}]}
    choice = {"delta": {"content": "a"}, "logprobs": logprobs}
    piece = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    events = told(new_answer(), piece, piece, chunk({"content": "b"}, "stop"))
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert [event["logprobs"] for event in deltas] == [[token], [token], []]
    [done] = [event for event in events if event["type"] == "response.output_text.done"]
    assert done["logprobs"] == [token, token]


def test_a_custom_tools_input_is_told_once_it_is_whole() -> None:
    echo = response_echo({}, "alias", None)
    head = ResponseHead("resp_1", 1, echo, custom_tools=frozenset({"run", "raw"}))
    events = told(
        ResponsesAnswer(head, item_id, lambda: 1, True),
        chunk(call(0, name="run", arguments='{"input":"a')),
        chunk(call(0, arguments='\\nb"}')) + chunk(call(1, name="raw", arguments="no JSON")),
        chunk({}, "tool_calls"),
    )
    last: Any = events[-1]["response"]
    inputs = [(item["type"], item["name"], item["input"]) for item in last["output"]]
    assert inputs == [
        ("custom_tool_call", "run", "a\nb"),
        ("custom_tool_call", "raw", "no JSON"),
    ]
    deltas = [event["delta"] for event in events if str(event["type"]).endswith("input.delta")]
    assert deltas == ["a\nb", "no JSON"]


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("stop", "completed", None),
    ],
)
def test_how_the_engine_stopped_decides_the_status(
    finish: str, status: str, reason: str | None
) -> None:
    events = told(new_answer(), chunk({"content": "x"}, finish))
    response = events[-1]["response"]
    assert isinstance(response, dict)
    assert events[-1]["type"] == f"response.{status}"
    assert response["status"] == status
    assert (response["incomplete_details"] or {}).get("reason") == reason


def test_a_second_closing_takes_the_first_one_back() -> None:
    answer = new_answer()
    answer.open()
    answer.feed(chunk({"content": "x"}, "stop"))
    answer.close(answer.ending(), USAGE)
    failure = TurnFailure(status=503, code="server_error", message="no")
    shown = answer.close(Ending(status="failed", failure=failure), USAGE).shown
    event = json.loads(shown.decode().split("data: ")[-1])
    assert event["type"] == "response.failed"
    assert event["sequence_number"] == 5  # created, in_progress, item, part, delta come before


def test_a_whole_answer_becomes_the_same_items() -> None:
    answer = new_answer(streamed=False)
    message = {"role": "assistant", "content": "hi", **call(0, name="f", arguments="{}")}
    body = {"id": "up", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    answer.take_whole(json.dumps(body).encode())
    response = Response.model_validate_json(answer.close(answer.ending(), USAGE).body)
    assert response.output_text == "hi"
    assert response.output[1].type == "function_call"


@pytest.mark.parametrize("data", [b"data: {nonsense\n\n", b'data: {"error": {"message": "x"}}\n\n'])
def test_a_broken_chunk_is_the_engines_fault(data: bytes) -> None:
    with pytest.raises(BrokenUpstream):
        new_answer().feed(data)
