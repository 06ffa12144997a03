"""A responses request retold for an engine that speaks only chat completions."""

import json
from typing import Any

import msgspec
import pytest

from axon.turns.engine_request import custom_tools, responses_fields
from axon.turns.failures import InvalidParameter


def told(**members: object) -> Any:
    """Return what the engine gets for a request with these members."""
    fields = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in members.items()}
    return json.loads(b"{%b}" % responses_fields(fields, [], 0, streamed=False))


def function(name: str) -> dict[str, object]:
    return {"type": "function", "name": name, "description": "d", "parameters": {"type": "object"}}


def test_functions_are_nested_as_chat_completions_nest_them() -> None:
    [tool] = told(tools=[{**function("f"), "strict": True}])["tools"]
    assert tool == {
        "type": "function",
        "function": {
            "name": "f",
            "description": "d",
            "parameters": {"type": "object"},
            "strict": True,
        },
    }


def test_tools_that_nobody_here_can_run_are_left_out() -> None:
    assert told(tools=[{"type": "web_search"}], tool_choice="auto") == {"messages": []}
    assert len(told(tools=[{"type": "web_search"}, function("f")])["tools"]) == 1


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", "required"),
        ({"type": "function", "name": "g"}, {"type": "function", "function": {"name": "g"}}),
        ({"type": "custom", "name": "g"}, {"type": "function", "function": {"name": "g"}}),
    ],
)
def test_the_choice_of_a_tool(choice: object, expected: object) -> None:
    assert told(tools=[function("f"), function("g")], tool_choice=choice)["tool_choice"] == expected


def test_only_the_allowed_tools_are_told() -> None:
    allowed = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "g"}],
    }
    body = told(tools=[function("f"), function("g")], tool_choice=allowed)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == "required"
    none = {**allowed, "tools": []}
    assert told(tools=[function("f")], tool_choice=none) == {"messages": []}


def test_a_choice_that_names_no_tool_of_the_clients_is_refused() -> None:
    with pytest.raises(InvalidParameter):
        told(tools=[function("f")], tool_choice={"type": "file_search"})


def test_a_custom_tool_is_told_as_a_function_of_one_text() -> None:
    custom = {
        "type": "custom",
        "name": "run",
        "description": "Runs it.",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: WORD"},
    }
    [tool] = told(tools=[custom])["tools"]
    assert tool["function"]["parameters"]["required"] == ["input"]
    assert tool["function"]["description"].startswith("Runs it.")
    assert "start: WORD" in tool["function"]["description"]
    [plain] = told(tools=[{"type": "custom", "name": "run", "format": {"type": "text"}}])["tools"]
    assert "description" not in plain["function"]
    raw = msgspec.Raw(json.dumps([custom, function("f")]).encode())
    assert custom_tools({"tools": raw}) == {"run"}
    assert custom_tools({}) == frozenset()


def test_log_probabilities_are_asked_for() -> None:
    shown = ["message.output_text.logprobs", "reasoning.encrypted_content"]
    assert told(include=shown) == {"messages": [], "logprobs": True}
    assert told(top_logprobs=3) == {"messages": [], "logprobs": True, "top_logprobs": 3}
    assert told(include=["reasoning.encrypted_content"], top_logprobs=0) == {"messages": []}


def test_the_text_members() -> None:
    shape = {
        "type": "json_schema",
        "name": "answer",
        "description": "The answer.",
        "schema": {"type": "object"},
        "strict": True,
    }
    body = told(text={"format": shape, "verbosity": "low"}, reasoning={"effort": "high"})
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "description": "The answer.",
            "schema": {"type": "object"},
            "strict": True,
        },
    }
    assert (body["verbosity"], body["reasoning_effort"]) == ("low", "high")
    assert told(text={"format": {"type": "json_object"}})["response_format"] == {
        "type": "json_object"
    }
    assert told(text={"format": {"type": "text"}}) == {"messages": []}
