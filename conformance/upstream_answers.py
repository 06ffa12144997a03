"""What the model that costs nothing says, as chat completions or as stateless responses."""

import json
import re
from collections.abc import Iterator
from typing import Any

Body = dict[str, Any]

_ASKED = (
    "instructions", "max_output_tokens", "max_tool_calls", "prompt_cache_key", "reasoning",
    "safety_identifier",
)  # fmt: skip
"""What a response repeats from its request, null where nothing was asked."""

_COUNT = re.compile(r"count from 1 to (\d+)", re.IGNORECASE)
_COUNT_MAX = 10_000
_SENTENCE = "Hello there, it is good to meet you."
_SAMPLES: Body = {"string": "word", "integer": 1, "number": 1.5, "boolean": True, "null": None}


class Answer:
    """One answer, decided from one request."""

    def __init__(self, body: Body, is_response: bool, mark: str) -> None:
        """Read the request; `mark` makes the ids, which no other answer may have."""
        self.body = body
        self.is_response = is_response
        self.mark = mark
        given = body.get("input", "") if is_response else body.get("messages", [])
        self.messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
        if body.get("instructions"):
            system = {"role": "system", "content": body["instructions"]}
            self.messages = [system, *self.messages]
        self.prompt_tokens = sum(1 + len(_read(message).split()) for message in self.messages)
        self.tool = self._forced_tool()
        words = re.findall(r"\S+\s*", self._text())
        limits = (body.get(x) for x in ("max_output_tokens", "max_completion_tokens", "max_tokens"))
        limit = next((limit for limit in limits if limit), len(words))
        self.words = words[:limit]
        self.is_cut = len(words) > limit
        self.choices = 1 if is_response else int(body.get("n") or 1)

    @property
    def text(self) -> str:
        """Return the whole text."""
        return "".join(self.words)

    def _text(self) -> str:
        if self.tool:
            return json.dumps(_sample(self.tool.get("parameters") or {"type": "object"}))
        if self.body.get("model") == "echo":
            return json.dumps(self.messages)
        if self.is_response:
            wanted: Body = (self.body.get("text") or {}).get("format") or {}
        else:
            form: Body = self.body.get("response_format") or {}
            wanted = {"type": form.get("type"), **(form.get("json_schema") or {})}
        if wanted.get("type") == "json_schema":
            return json.dumps(_sample(wanted.get("schema") or {}))
        users = [message for message in self.messages if message.get("role") == "user"]
        told = _COUNT.search(_plain(users[-1].get("content")) if users else "")
        if told:
            return " ".join(str(n + 1) for n in range(min(int(told[1]), _COUNT_MAX)))
        return _SENTENCE

    def _forced_tool(self) -> Body | None:
        """Return the tool that must be called: name and parameters."""
        tools = [tool.get("function") or tool for tool in self.body.get("tools") or []]
        choice = self.body.get("tool_choice")
        if choice == "required" and tools:
            return dict(tools[0])
        if not isinstance(choice, dict):
            return None
        name = (choice.get("function") or choice).get("name")
        return next((dict(tool) for tool in tools if tool.get("name") == name), None)

    def usage(self) -> Body:
        """Return the usage of the answer's own API."""
        read, written = self.prompt_tokens, len(self.words) * self.choices
        if not self.is_response:
            counts = {"prompt_tokens": read, "completion_tokens": written}
            return {**counts, "total_tokens": read + written}
        return {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + written,
        }

    def events(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the stream's events, and whether each carries a word."""
        if not self.is_response:
            yield from _chat_events(self)
            return
        for number, event in enumerate(_response_events(self)):
            kind = str(event["type"])
            data = json.dumps({**event, "sequence_number": number})
            yield f"event: {kind}\ndata: {data}\n\n".encode(), kind.endswith(".delta")


def _plain(content: Any) -> str:
    """Return the text of a message's content in any of its forms."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def _read(message: Body) -> str:
    """Return what the model reads of an item: what was said, called, or returned."""
    parts = [_plain(message.get("content")), message.get("arguments"), message.get("output")]
    calls = message.get("tool_calls") or []
    parts += [call.get("function", {}).get("arguments") for call in calls]
    return " ".join(str(part) for part in parts if part)


def _sample(schema: Body) -> Any:
    """Return the simplest document of a JSON schema."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: _sample(part) for name, part in (schema.get("properties") or {}).items()}
    return [] if kind == "array" else _SAMPLES.get(kind)


def _call_id(answer: Answer) -> str:
    return f"call_{answer.mark}"


def chat_whole(answer: Answer) -> Body:
    """Return the unstreamed chat completion."""
    message: Body = {"role": "assistant", "content": answer.text}
    if answer.tool:
        function = {"name": answer.tool["name"], "arguments": answer.text}
        call = {"id": _call_id(answer), "type": "function", "function": function}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choices = [
        {"index": i, "message": message, "logprobs": None, "finish_reason": _finish(answer)}
        for i in range(answer.choices)
    ]
    return {**_chat(answer, "chat.completion", choices), "usage": answer.usage()}


def _finish(answer: Answer) -> str:
    return "tool_calls" if answer.tool else "length" if answer.is_cut else "stop"


def _chat(answer: Answer, kind: str, choices: list[Body]) -> Body:
    head = {"id": f"chatcmpl-{answer.mark}", "object": kind, "created": 1_760_000_000}
    return {**head, "model": answer.body.get("model"), "choices": choices}


def _chat_events(answer: Answer) -> Iterator[tuple[bytes, bool]]:
    def chunk(delta: Body, finish: str | None) -> bytes:
        choices = [
            {"index": i, "delta": delta, "logprobs": None, "finish_reason": finish}
            for i in range(answer.choices)
        ]
        return f"data: {json.dumps(_chat(answer, 'chat.completion.chunk', choices))}\n\n".encode()

    if answer.tool:
        function = {"name": answer.tool["name"], "arguments": ""}
        call = {"index": 0, "id": _call_id(answer), "type": "function", "function": function}
        yield chunk({"role": "assistant", "content": None, "tool_calls": [call]}, None), False
    else:
        yield chunk({"role": "assistant", "content": ""}, None), False
    for word in answer.words:
        piece = {"index": 0, "function": {"arguments": word}}
        yield chunk({"tool_calls": [piece]} if answer.tool else {"content": word}, None), True
    yield chunk({}, _finish(answer)), False
    if (answer.body.get("stream_options") or {}).get("include_usage"):
        last = {**_chat(answer, "chat.completion.chunk", []), "usage": answer.usage()}
        yield f"data: {json.dumps(last)}\n\n".encode(), False
    yield b"data: [DONE]\n\n", False


def _item(answer: Answer, status: str, text: str) -> Body:
    if answer.tool:
        call = {"id": f"fc_{answer.mark}", "type": "function_call", "status": status}
        name = answer.tool["name"]
        return {**call, "call_id": _call_id(answer), "name": name, "arguments": text}
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {"id": f"msg_{answer.mark}", "type": "message", "role": "assistant"}
    return {**message, "status": status, "content": [part] if text else []}


def _response(answer: Answer, status: str, output: list[Body]) -> Body:
    body = answer.body
    ended = status != "in_progress"
    why = {"reason": "max_output_tokens"} if status == "incomplete" else None
    asked = {name: body.get(name) for name in _ASKED}
    return {
        **asked,
        "id": f"resp_{answer.mark}",
        "object": "response",
        "created_at": 1_760_000_000,
        "status": status,
        "completed_at": 1_760_000_001 if ended else None,
        "error": None,
        "incomplete_details": why,
        "metadata": body.get("metadata") or {},
        "model": body.get("model"),
        "output": output,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "temperature": body.get("temperature", 1.0),
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "frequency_penalty": body.get("frequency_penalty", 0.0),
        "presence_penalty": body.get("presence_penalty", 0.0),
        "top_logprobs": body.get("top_logprobs", 0),
        "service_tier": "default",
        "background": False,
        "conversation": None,
        "previous_response_id": None,
        "store": body.get("store", True),
        "text": body.get("text") or {"format": {"type": "text"}},
        "truncation": body.get("truncation") or "disabled",
        "usage": answer.usage() if ended else None,
    }


def response_whole(answer: Answer) -> Body:
    """Return the unstreamed response."""
    status = "incomplete" if answer.is_cut else "completed"
    return _response(answer, status, [_item(answer, status, answer.text)])


def _response_events(answer: Answer) -> Iterator[Body]:
    item_id = _item(answer, "", "")["id"]
    at: Body = {"output_index": 0, "item_id": item_id}
    part: Body = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    begun = _response(answer, "in_progress", [])
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    item = _item(answer, "in_progress", "")
    yield {"type": "response.output_item.added", "output_index": 0, "item": item}
    name = "response.function_call_arguments" if answer.tool else "response.output_text"
    if not answer.tool:
        at["content_index"] = 0
        yield {"type": "response.content_part.added", **at, "part": part}
    more: Body = {} if answer.tool else {"logprobs": []}
    for word in answer.words:
        yield {"type": f"{name}.delta", **at, "delta": word, **more}
    text = "arguments" if answer.tool else "text"
    if answer.tool:
        more = {"name": answer.tool["name"]}
    yield {"type": f"{name}.done", **at, text: answer.text, **more}
    if not answer.tool:
        yield {"type": "response.content_part.done", **at, "part": {**part, "text": answer.text}}
    whole = response_whole(answer)
    yield {"type": "response.output_item.done", "output_index": 0, "item": whole["output"][0]}
    yield {"type": f"response.{whole['status']}", "response": whole}
