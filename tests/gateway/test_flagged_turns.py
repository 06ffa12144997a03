"""Flags that act on turns, as the official SDK and the engine behind Axon see them."""

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from openai import OpenAI

from axon.base import SystemClock
from tests.gateway.conftest import RunningAxon, start_axon, start_upstream, stop
from tests.gateway.flag_calls import FlagCalls, fresh
from tests.turns.flagged import turn_flag

MODEL = "fake-model"
KNOWN_TRIES_MAX = 300
"""Looks, 100 ms apart, within which a turn must have reached PostgreSQL."""

TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
RESPONSES_TOOL: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(asked)  # type: ignore[attr-defined]
        text = "x" * 100_000 if "huge" in asked["query"] else "Kelp grows.</passage>"
        passages = [{"text": text, "source": 'sea "1".md'}]
        body = json.dumps({"passages": passages}).encode()
        self.send_response(500 if "broken" in asked["query"] else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Searching(ThreadingHTTPServer):
    """A retriever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []


@pytest.fixture(scope="module")
def searching() -> Iterator[Searching]:
    with Searching() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def flagged(
    tmp_path_factory: pytest.TempPathFactory, searching: Searching
) -> Iterator[RunningAxon]:
    """An Axon of its own: a flag that is asked for every turn is asked for all tests' turns."""
    upstream, address = start_upstream()
    with upstream:
        environment = {
            "AXON_RETRIEVAL_URL": f"http://127.0.0.1:{searching.server_port}/find",
            "AXON_RETRIEVAL_TIMEOUT_MS": "10000",
        }
        process, running = start_axon(
            tmp_path_factory.mktemp("flagged"), address, environment=environment
        )
        yield running
        stop(process)
        upstream.kill()


class Turning:
    """Flags for turns, and what the engine was told last."""

    def __init__(self, axon: RunningAxon) -> None:
        self.calls = FlagCalls(axon)
        self.client: OpenAI = axon.sync_client()
        self._upstream = axon.upstream
        self._put: list[str] = []

    def put(self, effect: dict[str, Any], **more: Any) -> str:
        key = fresh("turn")
        answer = self.calls.put(key, turn_flag(effect, **more))
        assert answer.status == 200, answer.body
        self._put.append(key)
        return key

    def told(self) -> Any:
        with urllib.request.urlopen(f"{self._upstream}/ledger", timeout=30) as answer:
            seen = json.load(answer)
        return [one["body"] for one in seen if "completions" in one["path"]][-1]

    def chat(self, text: str = "hello", **members: Any) -> Any:
        messages: Any = members.pop("messages", [{"role": "user", "content": text}])
        self.client.chat.completions.create(model=MODEL, messages=messages, **members)
        return self.told()

    def response(self, text: str = "hello", **members: Any) -> Any:
        self.client.responses.create(model=MODEL, input=text, **members)
        return self.told()

    def close(self) -> None:
        for key in self._put:
            assert self.calls("DELETE", f"/v1/flags/{key}").status == 200
        self.client.close()


@pytest.fixture
def turning(flagged: RunningAxon) -> Iterator[Turning]:
    turning = Turning(flagged)
    yield turning
    turning.close()


def test_a_variant_chooses_the_model_and_the_client_sees_the_one_it_named(turning: Turning) -> None:
    turning.put({"model": "another-model"})
    assert turning.chat()["model"] == "another-model"
    answer = turning.client.responses.create(model=MODEL, input="hello")
    assert (answer.model, turning.told()["model"]) == (MODEL, "another-model")


def test_sampling_counts_where_the_client_named_nothing(turning: Turning) -> None:
    turning.put({"sampling": {"temperature": 0.3, "top_p": 0.5, "output_tokens_max": 40}})
    for told in (turning.chat(), turning.response()):
        assert (told["temperature"], told["top_p"], told["max_tokens"]) == (0.3, 0.5, 40)
    told = turning.chat(temperature=1.0, max_completion_tokens=7)
    assert (told["temperature"], told["max_completion_tokens"]) == (1.0, 7)
    assert "max_tokens" not in told
    told = turning.response(temperature=1.0, max_output_tokens=17)
    assert (told["temperature"], told["max_tokens"], told["top_p"]) == (1.0, 17, 0.5)


def test_forced_sampling_counts_whatever_the_client_named(turning: Turning) -> None:
    sampling = {"temperature": 0.3, "output_tokens_max": 40, "seed": 5, "force": True}
    turning.put({"sampling": sampling})
    told = turning.chat(temperature=1.0, max_completion_tokens=7)
    assert (told["temperature"], told["max_tokens"], told["seed"]) == (0.3, 40, 5)
    assert "max_completion_tokens" not in told
    answer = turning.client.responses.create(
        model=MODEL, input="hello", temperature=1.0, max_output_tokens=100
    )
    told = turning.told()
    assert (told["temperature"], told["max_tokens"]) == (0.3, 40)
    assert (answer.temperature, answer.max_output_tokens) == (1.0, 100)  # as the client asked


def test_a_system_prompt_is_added_in_front_of_the_clients(turning: Turning) -> None:
    turning.put({"system": {"text": "Ours.", "version": "2"}})
    assert turning.chat()["messages"][0] == {"role": "system", "content": "Ours."}
    user: Any = {"role": "user", "content": "hello"}
    told = turning.chat(messages=[{"role": "system", "content": "Theirs."}, user])
    assert told["messages"] == [{"role": "system", "content": "Ours.\n\nTheirs."}, user]
    parts = [{"type": "text", "text": "Theirs."}]
    told = turning.chat(messages=[{"role": "developer", "content": parts}, user])
    assert told["messages"][0]["content"] == [{"type": "text", "text": "Ours."}, *parts]
    assert turning.response()["messages"][0]["content"] == "Ours."
    answer = turning.client.responses.create(model=MODEL, input="hello", instructions="Theirs.")
    assert turning.told()["messages"][0]["content"] == "Ours.\n\nTheirs."
    assert answer.instructions == "Theirs."


def test_a_system_prompt_replaces_every_one_of_the_clients(turning: Turning) -> None:
    turning.put({"system": {"text": "Ours.", "replace": True}})
    user: Any = {"role": "user", "content": "hello"}
    theirs: Any = {"role": "system", "content": "Theirs."}
    told = turning.chat(messages=[theirs, user, theirs, user])
    assert told["messages"] == [{"role": "system", "content": "Ours."}, user, user]
    assert "Theirs" not in json.dumps(turning.response(instructions="Theirs."))


def test_tools_are_switched_off(turning: Turning) -> None:
    told = turning.chat(tools=[TOOL], tool_choice="auto")
    assert told["tools"] and told["tool_choice"]
    turning.put({"tools": False})
    for told in (
        turning.chat(tools=[TOOL], tool_choice="auto", parallel_tool_calls=False),
        turning.response(tools=[RESPONSES_TOOL], tool_choice="auto"),
    ):
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(told)


def test_passages_stand_in_front_of_the_question_with_their_sources(
    turning: Turning, searching: Searching
) -> None:
    turning.put({"use_rag": True})
    for told in (turning.chat("what grows?"), turning.response("what grows?")):
        (message,) = told["messages"]
        assert message["role"] == "user"
        assert 'source="sea &quot;1&quot;.md"' in message["content"]
        assert "Kelp grows." in message["content"]
        assert message["content"].count("</passage>") == 1
        assert message["content"].endswith("what grows?")
    assert searching.asked[-1]["query"] == "what grows?"
    conversation = turning.client.conversations.create()
    parts: Any = [{"role": "user", "content": [{"type": "input_text", "text": "what grows?"}]}]
    turning.client.responses.create(model=MODEL, input=parts, conversation=conversation.id)
    assert "Kelp" in json.dumps(turning.told())
    items = turning.client.conversations.items.list(conversation.id)
    assert "Kelp" not in items.model_dump_json()  # they are no part of the conversation
    asked = len(searching.asked)
    result: Any = {"role": "tool", "tool_call_id": "c", "content": "5"}
    call: Any = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    before: Any = [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [call]}]
    turning.chat(messages=[*before, result])
    assert len(searching.asked) == asked  # the last word is a tool's, not a question


def test_a_turn_goes_on_without_what_a_retriever_cannot_give(turning: Turning) -> None:
    turning.put({"use_rag": True})
    for text in ("huge", "broken"):
        assert turning.chat(text)["messages"] == [{"role": "user", "content": text}]
        assert turning.response(text)["messages"] == [{"role": "user", "content": text}]


def test_what_a_turn_may_do_is_checked_when_the_flag_is_made(turning: Turning) -> None:
    wrong = {
        "model": 5,
        "system": {"text": ""},
        "sampling": {"temperature": 3},
        "safety": "Very Strict",
        "use_rags": True,
    }
    for name, value in wrong.items():
        answer = turning.calls.put(fresh("wrong"), turn_flag({name: value}))
        assert answer.status == 400, answer.body
        assert ".variants.on" in json.dumps(answer.body)
    strings = {**turn_flag({}), "variants": {"on": "yes"}}
    assert turning.calls.put(fresh("wrong"), strings).status == 400


def test_usage_is_told_by_variant(turning: Turning) -> None:
    key = turning.put({"model": "chosen-model"})
    turning.chat()
    path = "/organization/usage/completions"
    for _ in range(KNOWN_TRIES_MAX):
        params = {"start_time": 1, "group_by": "variant,model", "bucket_width": "1d", "limit": 1}
        params["start_time"] = int(SystemClock().now_us() / 1e6) - 3600
        answer: dict[str, Any] = turning.client.get(path, cast_to=dict, options={"params": params})
        found = [one for bucket in answer["data"] for one in bucket["results"]]
        ours = [one for one in found if one["variant"] == f"{key}=on"]
        if ours:
            break
        time.sleep(0.1)
    assert [(one["model"], one["num_model_requests"]) for one in ours] == [("chosen-model", 1)]
