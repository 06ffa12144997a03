"""A chat completion: the engine's own bytes relayed, read once on the way through."""

import msgspec

from axon.records import TokenUsage
from axon.turns.answer import Closing, Ending, OutputItem
from axon.turns.chunks import DONE, BrokenUpstream, Relabel, read_completion, split_events
from axon.turns.said import Said, token_logprobs

_TERMINAL = b"data: [DONE]\n\n"


class ChatHead(msgspec.Struct, frozen=True):
    """What a chat completion says about itself whatever the engine answers."""

    turn_id: str
    model: str
    created_s: int


class ChatAnswer:
    """The answer of `POST /chat/completions`."""

    chunk_kind = "chat.completion.chunk"

    def __init__(self, head: ChatHead, show_usage: bool, choices: int) -> None:
        """`show_usage` is the client's `stream_options.include_usage`, `choices` its `n`."""
        self.upstream_id = ""
        self.usage: TokenUsage | None = None
        self.complete = False
        self.head = head
        self._show_usage = show_usage
        self._asked = choices
        self._relabel = Relabel(head.turn_id, head.model)
        self.choices: dict[int, Said] = {}
        self._whole = b""
        self._held = b""

    def open(self) -> bytes:
        """Return nothing: a chat stream begins with the engine's first chunk."""
        return b""

    def feed(self, data: bytes) -> bytes:
        """Return the engine's bytes under our labels; those that end the answer are held."""
        done = False
        usage_only = False
        first = None
        end = b""
        events = split_events(data)
        for event in events:
            if event == DONE:
                done = True
                end = end or event
                continue
            chunk = read_completion(event)
            if first is None:
                first = chunk
            if chunk.usage is not None:
                self.usage = chunk.usage.token_usage()
                usage_only = usage_only or not chunk.choices
            for choice in chunk.choices or ():
                said = self.choices.get(choice.index)
                if said is None:
                    said = self.choices[choice.index] = Said()
                said.hear(choice)
                if choice.finish_reason is not None:
                    end = end or event
        if first is not None:
            if not self.upstream_id:
                self.upstream_id = first.id
            if usage_only and not self._show_usage:
                data = b"".join(b"data: %b\n\n" % event for event in events if _shown(event))
            data = self._relabel(data, first)
            end = end and self._relabel(end, first)
        if self.complete:
            self._held += data
            return b""
        self.complete = done or self._all_finished()
        if not self.complete:
            return data
        begin = _line_begin(data, data.index(end))
        self._held = data[begin:]
        return data[:begin]

    def take_whole(self, data: bytes) -> None:
        """Keep the engine's answer under our labels."""
        completion = read_completion(data)
        if not completion.choices:
            raise BrokenUpstream("an answer without choices")
        for choice in completion.choices:
            self.choices.setdefault(choice.index, Said()).hear(choice)
        if completion.usage is not None:
            self.usage = completion.usage.token_usage()
        self.upstream_id = completion.id
        self._whole = self._relabel(data, completion)
        self.complete = True

    def _all_finished(self) -> bool:
        finished = [said.finish_reason is not None for said in self.choices.values()]
        return len(finished) >= self._asked and all(finished)

    def said_anything(self) -> bool:
        """Return whether any choice said something."""
        return any(said.anything for said in self.choices.values())

    def said_no(self) -> bool:
        """Return whether any choice is a refusal."""
        return any(said.is_refusal for said in self.choices.values())

    def said_text(self) -> str:
        """Return every choice's output as one text."""
        return "".join(said.estimated_text() for said in self.choices.values())

    def items(self, status: str) -> list[OutputItem]:
        """Return nothing: a chat completion is stored whole, not as items."""
        return []

    def ending(self) -> Ending:
        """Return completed: a chat completion says in `finish_reason` how it ended."""
        return Ending(status="completed")

    def close(self, ending: Ending, usage: TokenUsage) -> Closing:
        """Return the terminal bytes, or the error chunk that the SDK raises from."""
        cut = b""
        if ending.status == "incomplete":
            cut = self._cut_off(usage)
        whole = self._whole or self.put_together(usage)
        if ending.failure is None:
            shown = self._held or cut + _TERMINAL
        else:
            error = {
                "message": ending.failure.message,
                "type": ending.failure.kind,
                "param": ending.failure.param,
                "code": ending.failure.code,
            }
            shown = b"data: %b\n\n" % msgspec.json.encode({"error": error})
        return Closing(shown=shown, body=whole, kept=whole)

    def _cut_off(self, usage: TokenUsage) -> bytes:
        """Return the chunks that end every choice the engine was not let finish."""
        unfinished = [
            index for index, said in sorted(self.choices.items()) if said.finish_reason is None
        ]
        for index in unfinished:
            self.choices[index].finish_reason = "length"
        last = [self._end_of_choice(index) for index in unfinished]
        chunks = [self._chunk(last, None)] if last else []
        if self._show_usage:
            chunks.append(self._chunk([], usage_members(usage)))
        return b"".join(chunks)

    def _end_of_choice(self, index: int) -> dict[str, object]:
        """Return what ends one choice of a stream that was cut."""
        return {"index": index, "delta": {}, "finish_reason": "length"}

    def _chunk(self, choices: list[dict[str, object]], usage: dict[str, object] | None) -> bytes:
        members: dict[str, object] = {
            "id": self.head.turn_id,
            "object": self.chunk_kind,
            "created": self.head.created_s,
            "model": self.head.model,
            "choices": choices,
        }
        if usage is not None:
            members["usage"] = usage
        return b"data: %b\n\n" % msgspec.json.encode(members)

    def put_together(self, usage: TokenUsage) -> bytes:
        """Return the whole completion as an unstreamed answer has it."""
        choices = [
            {
                "index": index,
                "message": _message(said),
                "logprobs": _logprobs(said),
                "finish_reason": said.finish_reason,
            }
            for index, said in sorted(self.choices.items())
        ]
        return msgspec.json.encode(
            {
                "id": self.head.turn_id,
                "object": "chat.completion",
                "created": self.head.created_s,
                "model": self.head.model,
                "choices": choices,
                "usage": usage_members(usage),
            }
        )


def usage_members(usage: TokenUsage) -> dict[str, object]:
    """Return the usage as completions show it."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _line_begin(data: bytes, place: int) -> int:
    """Return where the line begins that `place` is in."""
    return max(data.rfind(b"\n", 0, place), data.rfind(b"\r", 0, place)) + 1


def _shown(event: bytes) -> bool:
    """Return whether a client that did not ask for usage sees this event."""
    if event == DONE:
        return True
    chunk = read_completion(event)
    return bool(chunk.choices) or chunk.usage is None


def _message(said: Said) -> dict[str, object]:
    message: dict[str, object] = {
        "role": "assistant",
        "content": "".join(said.text) if said.text else None,
        "refusal": "".join(said.refusal) if said.refusal else None,
    }
    if said.reasoning:
        message["reasoning_content"] = "".join(said.reasoning)
    if said.calls:
        message["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.arguments)},
            }
            for _, call in sorted(said.calls.items())
        ]
    elif not said.refusal:
        message["content"] = "".join(said.text)
    return message


def _logprobs(said: Said) -> dict[str, object] | None:
    if not said.logprobs:
        return None
    content = [one for raw in said.logprobs for one in token_logprobs(raw)]
    refusal = [one for raw in said.logprobs for one in token_logprobs(raw, of_refusal=True)]
    return {"content": content, "refusal": refusal or None}
