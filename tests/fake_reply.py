"""What the fake upstream says to one chat completion request; see fake_upstream for the markers."""

import base64
import hashlib
import json
import re
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

_MARKER = re.compile(r"\[\[(\w+)(?::(.*?))?\]\](?!\])", re.DOTALL)
_SAMPLES = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}
_LINE_ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}


class Reply:
    """What will be said to one chat completion request."""

    def __init__(self, name: str, script: str, number: int, body: dict[str, Any]) -> None:
        """Read the markers; `number` makes the answer's id."""
        self.request = body
        messages = body["messages"]
        self.streamed = bool(body.get("stream"))
        said = [_plain(m.get("content")) for m in messages if m["role"] == "user"]
        last_user = said[-1] if said else ""
        found = _MARKER.findall(f"{script}{body['model']}{last_user}")
        self.markers: dict[str, str] = dict(found)
        self.fault, _, size = self.markers.get("fault", "").partition(":")
        self.size = int(size or 0)
        same = self.fault == "same_id"
        self.id = "chatcmpl-same" if same else f"chatcmpl-{name}-{number}"
        self.fingerprint = name
        self.count = int(self.markers.get("chunks", 3))
        self.pad = "." * int(self.markers.get("pad", 0))
        wanted = [value for name, value in found if name == "tool"]
        if messages[-1]["role"] != "user":
            wanted = []
        self.tools = [one.partition(" ") for one in wanted]
        self.refusal = self.markers.get("refusal")
        self.text = self._text(messages)
        self.finish = self.markers.get("finish", "tool_calls" if self.tools else "stop")
        prompt = sum(count_words(_plain(message.get("content"))) for message in messages)
        cached = {"cached_tokens": int(self.markers.get("cached", 0))}
        if "written" in self.markers:
            cached["cache_write_tokens"] = int(self.markers["written"])
        self.usage = {
            "prompt_tokens": prompt,
            "completion_tokens": self.count,
            "total_tokens": prompt + self.count,
            "prompt_tokens_details": cached,
        }
        if "thought" in self.markers:
            thought = {"reasoning_tokens": int(self.markers["thought"])}
            self.usage["completion_tokens_details"] = thought

    def _text(self, messages: list[dict[str, Any]]) -> str:
        shape = self.request.get("response_format") or {}
        if shape.get("type") == "json_schema":
            return json.dumps(_sample(shape["json_schema"].get("schema", {})))
        if "echo" in self.markers:
            return json.dumps([{"role": m["role"], "content": m.get("content")} for m in messages])
        if self.fault == "big_event" and not self.streamed:
            return "x" * self.size
        return self.markers.get("text", " ".join(f"tok{i}" for i in range(self.count)))

    def completion(self) -> dict[str, Any]:
        """Return the unstreamed answer."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if "reasoning" in self.markers:
            message["reasoning_content"] = self.markers["reasoning"]
        if self.tools:
            message |= {"content": None, "tool_calls": list(self._tool_calls())}
        if self.refusal:
            message |= {"content": None, "refusal": self.refusal}
        logprobs = self._logprobs(message)
        choices = [
            {"index": i, "message": message, "logprobs": logprobs, "finish_reason": self.finish}
            for i in range(self.request.get("n") or 1)
        ]
        usage = {} if self.markers.get("usage") == "none" else {"usage": self.usage}
        return self._envelope("chat.completion", choices) | usage

    def events(self) -> Iterator[bytes]:
        """Yield the stream's events; an empty one is where a fault takes over, or a gate."""
        line_end = _LINE_ENDS[self.markers.get("line_end", "lf")]
        for data in self._datas():
            yield f"data: {data}{line_end * 2}".encode() if data else b""

    def _datas(self) -> Iterator[str]:
        deltas = list(self._deltas())
        for place, delta in enumerate(deltas):
            if place == (len(deltas) + 1) // 2:
                if self.fault in ("early_close", "hang_midway", "broken_chunk"):
                    yield ""
                elif self.fault == "broken_json":
                    yield '{"broken'
                elif self.fault == "big_event":
                    yield "x" * self.size
                elif self.fault == "error_midway":
                    yield json.dumps(error_body(500))
                    return
            for _ in range(2 if self.fault == "duplicate" else 1):
                yield self._chunk(delta, None)
        yield self._chunk({}, self.finish)
        if "usage_held" in self.markers:
            yield ""
        wants = (self.request.get("stream_options") or {}).get("include_usage")
        if wants and self.markers.get("usage") != "none":
            yield json.dumps(self._envelope("chat.completion.chunk", []) | {"usage": self.usage})
        if self.fault != "no_done":
            yield "[DONE]"

    def _deltas(self) -> Iterator[dict[str, Any]]:
        if "reasoning" in self.markers:
            yield {
                "role": "assistant",
                "content": None,
                "reasoning_content": self.markers["reasoning"],
            }
        for index, whole in enumerate(self._tool_calls()):
            call = whole | {"index": index}
            arguments = call["function"]["arguments"]
            first = call | {"function": {"name": call["function"]["name"], "arguments": ""}}
            yield {"role": "assistant", "content": None, "tool_calls": [first]}
            for piece in cut(arguments, self.count):
                yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
        if self.tools:
            return
        if self.refusal:
            yield from ({"refusal": piece} for piece in cut(self.refusal, self.count))
            return
        for place, piece in enumerate(cut(self.text, self.count)):
            yield ({"role": "assistant"} if place == 0 else {}) | {"content": piece + self.pad}

    def _chunk(self, delta: dict[str, Any], finish: str | None) -> str:
        logprobs = self._logprobs(delta)
        choices = [
            {"index": i, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
            for i in range(self.request.get("n") or 1)
        ]
        return json.dumps(self._envelope("chat.completion.chunk", choices))

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        head = {"id": self.id, "object": kind, "created": 1_760_000_000}
        head |= {"model": self.request["model"], "choices": choices}
        return head | {"system_fingerprint": self.fingerprint}

    def _logprobs(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Return every piece as one token, when log probabilities were asked for."""
        if not (self.request.get("logprobs") and message.get("content")):
            return None
        others = [
            {"token": f"other{n}", "logprob": -2.0 - n, "bytes": None}
            for n in range(self.request.get("top_logprobs") or 0)
        ]
        token = {"token": message["content"], "logprob": -0.5, "bytes": None}
        return {"content": [token | {"top_logprobs": others}], "refusal": None}

    def _tool_calls(self) -> Iterator[dict[str, Any]]:
        for place, (name, _, arguments) in enumerate(self.tools):
            function = {"name": name, "arguments": arguments or "{}"}
            number = f"-{place}" if place else ""
            yield {"id": f"call_{self.id}{number}", "type": "function", "function": function}


class TextReply(Reply):
    """What will be said to one legacy completion request; the prompts are its messages."""

    def __init__(self, name: str, script: str, number: int, body: dict[str, Any]) -> None:
        """Read the markers in the last prompt."""
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        messages = [{"role": "user", "content": str(prompt)} for prompt in prompts]
        every = len(prompts) * (body.get("n") or 1)
        super().__init__(name, script, number, {**body, "messages": messages, "n": every})

    def completion(self) -> dict[str, Any]:
        """Return the unstreamed answer."""
        return self._as_text(super().completion())

    def _chunk(self, delta: dict[str, Any], finish: str | None) -> str:
        return json.dumps(self._as_text(json.loads(super()._chunk(delta, finish))))

    def _as_text(self, answer: dict[str, Any]) -> dict[str, Any]:
        for choice in answer["choices"]:
            said = choice.pop("message", None) or choice.pop("delta", {})
            choice["text"] = said.get("content") or ""
            if self.request.get("logprobs"):
                choice["logprobs"] = {"tokens": [choice["text"]], "token_logprobs": [-0.5]}
        return answer | {"object": "text_completion"}


DIMENSIONS = 4


def embeddings(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the vectors of a request's inputs: of a text, always the same."""
    inputs = body["input"]
    if isinstance(inputs, str) or (inputs and isinstance(inputs[0], int)):
        inputs = [inputs]
    data = [
        {"object": "embedding", "index": place, "embedding": _vector(one, body)}
        for place, one in enumerate(inputs)
    ]
    words = sum(count_words(one) if isinstance(one, str) else len(one) for one in inputs)
    usage = {"prompt_tokens": words, "total_tokens": words}
    return {"object": "list", "data": data, "model": name, "usage": usage}


def _vector(text: str | list[int], body: dict[str, Any]) -> list[float] | str:
    """Return numbers that stand for the text; in base64 when asked, unless the model knows none."""
    digest = hashlib.sha256(str(text).encode()).digest()
    numbers = [byte / 256 for byte in digest[: body.get("dimensions") or DIMENSIONS]]
    if body.get("encoding_format") != "base64" or "floats-only" in body["model"]:
        return numbers
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def error_body(status: int, words: str = "") -> dict[str, Any]:
    """Return an error as OpenAI shapes it."""
    error = {
        "message": words or f"scripted {status}",
        "type": "scripted",
        "param": None,
        "code": None,
    }
    return {"error": error}


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""


def count_words(text: str) -> int:
    """Return the number of words, which are the tokens of this engine."""
    return len(text.split())


def count_prompt(body: dict[str, Any]) -> int:
    """Return the tokens of a prompt: its words, and ten that the chat template adds."""
    return 10 + sum(count_words(_plain(message.get("content"))) for message in body["messages"])


def cut(text: str, pieces: int) -> list[str]:
    """Return the text in so many pieces of nearly one length, fewer when it is too short."""
    ends = [len(text) * n // pieces for n in range(pieces + 1)]
    return [text[a:b] for a, b in pairwise(ends) if a < b] or [""]


def _sample(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [_sample(schema.get("items", {}))]
    if "properties" in schema:
        return {name: _sample(inner) for name, inner in schema["properties"].items()}
    return _SAMPLES.get(schema.get("type", "string"), {})
