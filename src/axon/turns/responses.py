"""A response: the engine's chunks retold as OpenAI's response events and items.

Source: OpenAI's API reference for the Responses API; openai-python 3.54.0 is the reference client.
Text that one read of the engine's stream delivered leaves as one delta event: never later than
the engine sent it, and one event to encode instead of many. The same reads always give the same
events, so a turn whose process died can be told again from what the bus kept.
"""

from collections.abc import Callable, Iterable

import msgspec

from axon.conversations import SUMMARY
from axon.records import TokenUsage
from axon.turns.answer import Closing, Ending, OutputItem
from axon.turns.chunks import DONE, BrokenUpstream, MessagePart, read_completion, split_events
from axon.turns.said import Said, response_logprobs
from axon.turns.spoken import KINDS, Event, Given, Spoken

_encode = msgspec.json.encode

_TERMINAL = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "cancelled": "response.incomplete",
    "failed": "response.failed",
}
"""The last event, by how the response ended; OpenAI has none of its own for a cancelled one."""


class ResponseHead(msgspec.Struct, frozen=True):
    """What a response says about itself whatever the engine answers."""

    response_id: str
    created_s: int
    echo: bytes
    """The request's parameters as the API shows them: JSON members, without braces."""
    background: bool = False
    custom_tools: frozenset[str] = frozenset()
    """Names of the tools that are no functions, though the engine was told they are."""


class ResponsesAnswer:
    """The answer of `POST /responses`."""

    def __init__(
        self,
        head: ResponseHead,
        item_id: Callable[[str, int], str],
        now_s: Callable[[], int],
        told: bool,
    ) -> None:
        """`item_id(prefix, place)` names the items; events are built only when `told`."""
        self.upstream_id = ""
        self.usage: TokenUsage | None = None
        self.complete = False
        self._head = head
        self._item_id = item_id
        self._now_s = now_s
        self._told = told
        self._said = Said()
        self._items: list[Spoken | Given] = []
        self._calls: dict[int, Spoken] = {}
        self._events_sent = 0
        self._closing_from: int | None = None
        self._out: list[bytes] = []

    def begin_with(self, item: bytes) -> None:
        """Put an item, JSON without an id, before everything the engine says."""
        place = len(self._items)
        self._items.append(Given(SUMMARY, self._item_id("cmp", place), place, item))

    def open(self) -> bytes:
        """Return the events before the first output; a background response is queued first."""
        running = b'"response":' + self._response("in_progress", b"[]", b"")
        if self._head.background:
            queued = b'"response":' + self._response("queued", b"[]", b"")
            self._send([("response.created", queued), ("response.queued", queued)])
        else:
            self._send([("response.created", running)])
        self._send([("response.in_progress", running)])
        for given in self._items:
            self._send(given.begin())
        return self._flush()

    def so_far(self, status: str) -> bytes:
        """Return the response as it stands, queued or in_progress."""
        items = b",".join(item.content for item in self.items("in_progress"))
        return self._response(status, b"[%b]" % items, b"")

    def feed(self, data: bytes) -> bytes:
        """Return the events for what these chunks add."""
        for event in split_events(data):
            if event == DONE:
                self.complete = True
                continue
            chunk = read_completion(event)
            self.upstream_id = self.upstream_id or chunk.id
            if chunk.usage is not None:
                self.usage = chunk.usage.token_usage()
            for choice in chunk.choices or ():
                part = self._said.hear(choice)
                if part is not None:
                    self._speak(part, choice.logprobs)
        self.complete = self.complete or self._said.finish_reason is not None
        if not self._told:
            return b""
        for spoken in self._items:
            if spoken.fresh:
                self._send(spoken.tell())
        return self._flush()

    def take_whole(self, data: bytes) -> None:
        """Take the engine's one answer apart into items."""
        completion = read_completion(data)
        if not completion.choices:
            raise BrokenUpstream("an answer without choices")
        self.upstream_id = completion.id
        if completion.usage is not None:
            self.usage = completion.usage.token_usage()
        choice = completion.choices[0]
        part = self._said.hear(choice)
        if part is not None:
            self._speak(part, choice.logprobs)
        self.complete = True

    def _speak(self, part: MessagePart, logprobs: msgspec.Raw) -> None:
        thought = part.reasoning_content or part.reasoning
        if thought:
            self._continue("reasoning").add(thought)
        if part.content:
            spoken = self._continue("text")
            spoken.add(part.content)
            spoken.probable += response_logprobs(logprobs)
        if part.refusal:
            self._continue("refusal").add(part.refusal)
        for place, piece in enumerate(part.tool_calls or ()):
            index = place if piece.index is None else piece.index
            called = self._calls.get(index)
            if called is None:
                custom = self._said.calls[index].name in self._head.custom_tools
                kind = "custom_tool_call" if custom else "function_call"
                called = self._calls[index] = self._begin(kind, index)
            if piece.function is not None and piece.function.arguments:
                if called.finished:
                    raise BrokenUpstream("more of a call after the next had begun")
                called.add(piece.function.arguments)

    def _continue(self, kind: str) -> Spoken:
        """Return the item being said when it is of this kind, else begin one."""
        last = self._items[-1] if self._items else None
        if isinstance(last, Spoken) and last.kind == kind and not last.finished:
            return last
        return self._begin(kind, None)

    def _begin(self, kind: str, call_index: int | None) -> Spoken:
        if self._items and not self._items[-1].finished:
            self._finish(self._items[-1], "completed")
        call = None if call_index is None else self._said.calls[call_index]
        place = len(self._items)
        spoken = Spoken(kind, self._item_id(KINDS[kind].prefix, place), place, call)
        self._items.append(spoken)
        if self._told:
            self._send(spoken.begin())
        return spoken

    def _finish(self, spoken: Spoken | Given, status: str) -> None:
        if self._told:
            self._send(spoken.finish(status))
        spoken.finished = True

    def said_anything(self) -> bool:
        """Return whether there is any output."""
        return any(spoken.kind != SUMMARY for spoken in self._items)

    def said_no(self) -> bool:
        """Return whether the answer is a refusal."""
        return self._said.is_refusal

    def said_text(self) -> str:
        """Return the output as one text."""
        return self._said.estimated_text()

    def items(self, status: str) -> list[OutputItem]:
        """Return the items so far; the one being said, and open calls, are marked `status`."""
        return [
            OutputItem(
                item_id=spoken.item_id,
                kind="message" if spoken.kind in ("text", "refusal") else spoken.kind,
                author="assistant",
                content=spoken.item("completed" if spoken.finished else status),
            )
            for spoken in self._items
        ]

    def ending(self) -> Ending:
        """Return incomplete when the engine ran into its output cap or its filter."""
        if self._said.finish_reason == "length":
            return Ending(status="incomplete", reason="max_output_tokens")
        if self._said.finish_reason == "content_filter":
            return Ending(status="incomplete", reason="content_filter")
        return Ending(status="completed")

    def close(self, ending: Ending, usage: TokenUsage) -> Closing:
        """Return the last events, the terminal one at the end.

        Closing again, with another ending, takes back what the first closing would have shown.
        """
        if self._closing_from is None:
            self._closing_from = self._events_sent
        self._events_sent = self._closing_from
        item_status = "completed" if ending.status == "completed" else "incomplete"
        items = self.items(item_status)
        for spoken in self._items:
            if not spoken.finished:
                self._finish(spoken, item_status)
        output = b"[%b]" % b",".join([item.content for item in items])
        details = self._details(ending, usage)
        body = self._response(ending.status, output, details)
        self._end(ending, body)
        kept = self._response(ending.status, b"[]", details)
        return Closing(shown=self._flush(), body=body, kept=kept, output=items)

    def _end(self, ending: Ending, body: bytes) -> None:
        if self._told:
            self._send([(_TERMINAL[ending.status], b'"response":' + body)])

    def cut_off(self, ending: Ending, usage: TokenUsage, events: int, output: bytes) -> Closing:
        """Return the end of a response whose process died.

        A follower was shown `events` events and, so far as is known, `output`, a JSON array.
        """
        self._events_sent = events
        details = self._details(ending, usage)
        body = self._response(ending.status, output, details)
        self._end(ending, body)
        kept = self._response(ending.status, b"[]", details)
        return Closing(shown=self._flush(), body=body, kept=kept)

    def _details(self, ending: Ending, usage: TokenUsage) -> bytes:
        error: object = None
        if ending.failure is not None:
            error = {"code": ending.failure.code, "message": ending.failure.message}
        incomplete = {"reason": ending.reason} if ending.status == "incomplete" else None
        completed_s = self._now_s() if ending.status == "completed" else None
        return b'"completed_at":%b,"error":%b,"incomplete_details":%b,"usage":%b,' % (
            _encode(completed_s),
            _encode(error),
            _encode(incomplete),
            usage_json(usage),
        )

    def _response(self, status: str, output: bytes, details: bytes) -> bytes:
        head = self._head
        if not details:
            details = b'"completed_at":null,"error":null,"incomplete_details":null,"usage":null,'
        return b'{"id":%b,"object":"response","created_at":%d,"status":%b,%b"output":%b,%b}' % (
            _encode(head.response_id),
            head.created_s,
            _encode(status),
            details,
            output,
            head.echo,
        )

    def _send(self, events: Iterable[Event]) -> None:
        for kind, members in events:
            name = kind.encode()
            self._out.append(
                b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n'
                % (name, name, self._events_sent, members)
            )
            self._events_sent += 1

    def _flush(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data


def usage_json(usage: TokenUsage) -> bytes:
    """Return the usage of a response as the API shows it."""
    return (
        b'{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d},'
        b'"output_tokens":%d,"output_tokens_details":{"reasoning_tokens":%d},"total_tokens":%d}'
        % (
            usage.input_tokens,
            usage.cached_tokens,
            usage.cache_write_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
            usage.input_tokens + usage.output_tokens,
        )
    )
