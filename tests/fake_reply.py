"""What the fake upstream says to one chat completion request; see fake_upstream for the markers."""

import json
import re
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
        wanted = self.markers.get("tool") if messages[-1]["role"] == "user" else None
        self.tool = wanted.partition(" ") if wanted else None
        self.text = self._text(messages)
        self.finish = self.markers.get("finish", "tool_calls" if self.tool else "stop")
        prompt = sum(count_words(_plain(message.get("content"))) for message in messages)
        cached = {"cached_tokens": int(self.markers.get("cached", 0))}
        self.usage = {
            "prompt_tokens": prompt,
            "completion_tokens": self.count,
            "total_tokens": prompt + self.count,
            "prompt_tokens_details": cached,
        }

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
        if self.tool:
            message |= {"content": None, "tool_calls": [self._tool_call()]}
        choices = [
            {"index": i, "message": message, "logprobs": None, "finish_reason": self.finish}
            for i in range(self.request.get("n") or 1)
        ]
        usage = {} if self.markers.get("usage") == "none" else {"usage": self.usage}
        return self._envelope("chat.completion", choices) | usage

    def events(self) -> Iterator[bytes]:
        """Yield the stream's events; an empty one is where a fault takes over."""
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
        if self.tool:
            call = self._tool_call() | {"index": 0}
            arguments = call["function"]["arguments"]
            first = call | {"function": {"name": call["function"]["name"], "arguments": ""}}
            yield {"role": "assistant", "content": None, "tool_calls": [first]}
            for piece in _cut(arguments, self.count):
                yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
            return
        for place, piece in enumerate(_cut(self.text, self.count)):
            yield ({"role": "assistant"} if place == 0 else {}) | {"content": piece + self.pad}

    def _chunk(self, delta: dict[str, Any], finish: str | None) -> str:
        choices = [
            {"index": i, "delta": delta, "logprobs": None, "finish_reason": finish}
            for i in range(self.request.get("n") or 1)
        ]
        return json.dumps(self._envelope("chat.completion.chunk", choices))

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        head = {"id": self.id, "object": kind, "created": 1_760_000_000}
        head |= {"model": self.request["model"], "choices": choices}
        return head | {"system_fingerprint": self.fingerprint}

    def _tool_call(self) -> dict[str, Any]:
        assert self.tool is not None
        function = {"name": self.tool[0], "arguments": self.tool[2] or "{}"}
        return {"id": f"call_{self.id}", "type": "function", "function": function}


def error_body(status: int) -> dict[str, Any]:
    """Return an error as OpenAI shapes it."""
    error = {"message": f"scripted {status}", "type": "scripted", "param": None, "code": None}
    return {"error": error}


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""


def count_words(text: str) -> int:
    """Return the number of words, which are the tokens of this engine."""
    return len(text.split())


def _cut(text: str, pieces: int) -> list[str]:
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
