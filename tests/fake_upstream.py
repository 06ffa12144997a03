"""A real HTTP server that answers like an OpenAI-compatible engine, and misbehaves when told to.

What it does is chosen by markers `[[name]]` or `[[name:value]]`, read from three places joined
together: `FakeUpstream.script` (holds for every request), the request's model, and the text of
the last user message. The last marker of a name wins.

    [[text:hello world]]   say this (default: "tok0 tok1 ..."); it is cut into `chunks` pieces
    [[chunks:N]]           how many content chunks are streamed (default 3)
    [[pad:N]]              make each content chunk N characters longer
    [[delay_ms:N]]         wait between chunks; 0, the default, writes the stream in one piece
    [[first_ms:N]]         wait before the first byte of the answer
    [[held:NAME]]          wait with it until POST /release has named NAME (what comes
                           after that is not held any more)
    [[usage_held:NAME]]    the same, of a stream, between its last word and its usage
    [[echo]]               the text is the JSON list of {"role", "content"} that was received
    [[tool:NAME ARGS]]     answer with a tool call; ARGS is its JSON text (only while the last
                           message is the user's, so that the tool's result ends the loop); given
                           several times, so many calls
    [[refusal:words]]      refuse with these
    [[reasoning:words]]    stream these first as `reasoning_content`
    [[finish:REASON]]      finish_reason (default stop, or tool_calls)
    [[cached:N]]           usage says that N prompt tokens were cached
    [[written:N]]          usage says that N prompt tokens were put into the cache
    [[thought:N]]          usage says that N tokens of the answer were reasoning
    [[usage:none]]         no usage at all
    [[line_end:crlf|cr]]   how lines of the stream end (default lf)
    [[fault:NNN]]          answer with this HTTP status and an OpenAI error; 429 and 503 carry
                           `retry-after: 1`
    [[error:words]]        what such an error says (default "scripted NNN")
    [[fault:hang]]         take the request and never answer
    [[fault:hang_midway]]  the same after half of the chunks
    [[fault:early_close]]  close the connection after half of the chunks (or half of the body)
    [[fault:close]]        close the connection before any answer
    [[fault:no_done]]      end the body properly, but without `data: [DONE]`
    [[fault:error_midway]] an event with an `error` object after half of the chunks, then the end
    [[fault:duplicate]]    every content chunk is sent twice
    [[fault:same_id]]      every answer has the id chatcmpl-same
    [[fault:broken_json]]  one event after half of the chunks is not JSON
    [[fault:broken_chunk]] the chunked framing breaks after half of the chunks
    [[fault:split]]        every byte of the stream is written alone
    [[fault:stale]]        answer well, then close without having said so
    [[fault:big_header]]   128 KiB of header
    [[fault:big_event:N]]  one event of N bytes; without a stream, a body of N bytes

A request with `logprobs` gets every piece of text as one token of logprob -0.5.
A request with a `response_format` of type json_schema is answered with a document of that schema.
Routes, each with and without `/v1`: POST /chat/completions, POST
/chat/completions/input_tokens (of `--tokenize llama`), POST /completions (its prompts are
read like messages), POST /embeddings (of a text always the same vector; a model named
`floats-only` ignores encoding_format), GET /models, POST /tokenize (the dialect is `tokenize`:
llama, vllm or none), GET and DELETE /ledger (every request seen, as JSON), POST /release
({"name": NAME}).
Words are tokens here. `PYTHONPATH=src python -m tests.fake_upstream --port 9000 --script "..."`
"""

import argparse
import asyncio
import json
import ssl
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self, cast
from urllib.parse import urlsplit

import httptools

from axon.base import TaskOwner
from tests.fake_reply import Reply, TextReply, count_prompt, count_words, embeddings, error_body

LEDGER_REQUESTS_MAX = 10_000


@dataclass(slots=True, kw_only=True)
class SeenRequest:
    """One line of the ledger."""

    number: int
    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: Any = None
    finished: bool = False
    dropped: bool = False
    """True when the client closed the connection before the answer was complete."""
    pieces: int = 0
    """Events with content that were streamed."""
    usage: Any = None
    """What the answer said of its tokens; None until it has."""


class FakeUpstream:
    """The server; `async with FakeUpstream() as upstream:` starts and stops it."""

    def __init__(
        self,
        name: str = "fake",
        script: str = "",
        tokenize: str = "none",
        remember: int = LEDGER_REQUESTS_MAX,
    ) -> None:
        """`name` is in every answer's `system_fingerprint` and owns the model `<name>-model`.

        The ledger keeps the last `remember` requests.
        """
        self.name = name
        self.script = script
        self.tokenize = tokenize
        self.ledger: deque[SeenRequest] = deque(maxlen=remember)
        self.requests = 0
        self.connections = 0
        self.open: set[asyncio.Transport] = set()
        self.blocked = 0
        """Connections whose client does not read."""
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.tasks = TaskOwner(lambda name, error: None)
        self.port = 0
        self._scheme = "http"
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def origin(self) -> str:
        """The address without a path, for example http://127.0.0.1:40001."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The address an OpenAI client takes."""
        return f"{self.origin}/v1"

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> Self:
        """Listen on 127.0.0.1; port 0 takes a free one, a port given again after stop() works."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), "127.0.0.1", port, ssl=tls, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._scheme = "https" if tls else "http"
        return self

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for transport in list(self.open):
            transport.abort()
        await self.tasks.cancel()
        await self.until(lambda: not self.open)

    async def __aenter__(self) -> Self:
        """Start on a free port unless already started."""
        return self if self._server else await self.start()

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    def close_idle(self) -> None:
        """Close every connection politely, as an engine does whose keep-alive time is over."""
        for transport in list(self.open):
            transport.close()

    async def until(self, condition: Callable[[], bool], within_s: float = 10) -> None:
        """Wait until the condition holds; it is looked at after every request, answer, close."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def touch(self) -> None:
        """Wake those who wait in `until`."""
        self._changed.set()


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: FakeUpstream) -> None:
        self.upstream = upstream
        upstream.connections += 1
        self.number = upstream.connections
        self.resumed = asyncio.Event()
        self.resumed.set()
        self.seen: SeenRequest | None = None
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpRequestParser(self)
        self.upstream.open.add(self.transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.upstream.open.discard(self.transport)
        self.resumed.set()
        if self.seen is not None and not self.seen.finished:
            self.seen.dropped = True
        if self.task is not None:
            self.task.cancel()
        self.upstream.touch()

    def pause_writing(self) -> None:
        self.resumed.clear()
        self.upstream.blocked += 1
        self.upstream.touch()

    def resume_writing(self) -> None:
        self.resumed.set()
        self.upstream.blocked -= 1

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.path, self.headers, self.content = b"", dict[str, str](), b""

    def on_url(self, url: bytes) -> None:
        self.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, data: bytes) -> None:
        self.content += data

    def on_message_complete(self) -> None:
        up = self.upstream
        up.requests += 1
        self.seen = seen = SeenRequest(
            number=up.requests,
            connection=self.number,
            method=self.parser.get_method().decode(),
            path=self.path.decode(),
            headers=self.headers,
            body=json.loads(self.content) if self.content else None,
        )
        if seen.path != "/ledger":
            up.ledger.append(seen)
        self.task = up.tasks.start(self.answer(seen), f"request {seen.number}")

    async def answer(self, seen: SeenRequest) -> None:
        """Answer as an engine does, a request it cannot read included."""
        try:
            await self.answer_sense(seen)
        except (AttributeError, LookupError, TypeError, ValueError):
            self.send(400, error_body(400))
            self.transport.close()

    async def answer_sense(self, seen: SeenRequest) -> None:
        self.upstream.touch()
        up, path = self.upstream, urlsplit(seen.path).path.removeprefix("/v1")
        if path in ("/chat/completions", "/completions"):
            if not await self.chat(seen, Reply if path.startswith("/chat") else TextReply):
                return
        elif path == "/embeddings":
            self.send(200, embeddings(up.name, seen.body))
        elif path == "/models":
            one = {"id": f"{up.name}-model", "object": "model", "created": 1, "owned_by": up.name}
            self.send(200, {"object": "list", "data": [one]})
        elif path == "/ledger":
            if seen.method == "DELETE":
                up.ledger.clear()
            self.send(200, [asdict(line) for line in up.ledger])
        elif path == "/release":
            up.gates[seen.body["name"]].set()
            self.send(200, {})
        elif path == "/tokenize" and up.tokenize != "none":
            self.count_tokens(seen.body)
        elif path == "/chat/completions/input_tokens" and up.tokenize == "llama":
            self.send(
                200, {"object": "response.input_tokens", "input_tokens": count_prompt(seen.body)}
            )
        else:
            self.send(404, error_body(404))
        seen.finished = True
        up.touch()

    def count_tokens(self, body: dict[str, Any]) -> None:
        llama = self.upstream.tokenize == "llama"
        if "messages" in body and not llama:
            self.send(200, {"count": count_prompt(body)})
            return
        text = body.get("content" if llama else "prompt")
        if text is None:
            self.send(400, error_body(400))
            return
        tokens = list(range(count_words(text)))
        more = {} if llama else {"count": len(tokens), "max_model_len": 4096}
        self.send(200, {"tokens": tokens} | more)

    def send(self, status: int, body: Any, extra: str = "") -> None:
        data = json.dumps(body).encode()
        self.transport.write(_head(status, f"content-length: {len(data)}\r\n{extra}") + data)

    async def chat(self, seen: SeenRequest, kind: type[Reply]) -> bool:
        """Return True when the answer was sent whole."""
        up = self.upstream
        reply = kind(up.name, up.script, seen.number, seen.body)
        fault = reply.fault
        await asyncio.sleep(int(reply.markers.get("first_ms", 0)) / 1000)
        if "held" in reply.markers:
            await up.gates[reply.markers["held"]].wait()
        if fault == "hang":
            await asyncio.Event().wait()
        if fault == "close":
            self.transport.abort()
            return False
        if fault.isdigit():
            retry = "retry-after: 1\r\n" if fault in ("429", "503") else ""
            self.send(int(fault), error_body(int(fault), reply.markers.get("error", "")), retry)
            return True
        extra = f"x-padding: {'p' * 131_072}\r\n" if fault == "big_header" else ""
        whole = (
            await self.stream(seen, reply, extra)
            if reply.streamed
            else self.body(seen, reply, extra)
        )
        if fault == "stale":
            seen.finished = True
            self.transport.close()
        return whole

    def body(self, seen: SeenRequest, reply: Reply, extra: str) -> bool:
        if reply.fault != "early_close":
            completion = reply.completion()
            seen.usage = completion.get("usage")
            self.send(200, completion, extra)
            return True
        data = json.dumps(reply.completion()).encode()
        head = _head(200, f"content-length: {len(data)}\r\n")
        self.transport.write(head + data[: len(data) // 2])
        self.transport.close()
        return False

    async def stream(self, seen: SeenRequest, reply: Reply, extra: str) -> bool:
        head = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
        out = bytearray(_head(200, head + extra))
        delay_s = int(reply.markers.get("delay_ms", 0)) / 1000
        for event in reply.events():
            out += b"%x\r\n%b\r\n" % (len(event), event) if event else b""
            seen.pieces += b'"content"' in event
            if b'"usage"' in event:
                seen.usage = reply.usage
            fault = "" if event else reply.fault
            if fault == "broken_chunk":
                out += b"not a chunk size\r\n"
            if delay_s or not event or len(out) > 65536:
                await self.write(out, reply.fault == "split")
                out.clear()
                await asyncio.sleep(delay_s)
            if fault == "hang_midway":
                await asyncio.Event().wait()
            elif fault:
                self.transport.close()
                return False
            elif not event:
                await self.upstream.gates[reply.markers["usage_held"]].wait()
        await self.write(out + b"0\r\n\r\n", reply.fault == "split")
        return True

    async def write(self, data: bytearray, split: bool) -> None:
        for piece in (bytes(data[i : i + 1]) for i in range(len(data))) if split else [bytes(data)]:
            self.transport.write(piece)
            await asyncio.sleep(0)
        await self.resumed.wait()


def _head(status: int, headers: str) -> bytes:
    kind = "" if "content-type" in headers else "content-type: application/json\r\n"
    return f"HTTP/1.1 {status} Said\r\nx-request-id: fake\r\n{kind}{headers}\r\n".encode()


async def _serve(arguments: argparse.Namespace) -> None:
    upstream = FakeUpstream("fake", arguments.script, arguments.tokenize, arguments.remember)
    await upstream.start(arguments.port)
    print(upstream.base_url, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible upstream.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", default="", help="markers that hold for every request")
    parser.add_argument("--tokenize", default="none", choices=["none", "llama", "vllm"])
    parser.add_argument("--remember", type=int, default=LEDGER_REQUESTS_MAX, help="requests")
    asyncio.run(_serve(parser.parse_args()))
