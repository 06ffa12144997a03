"""A model that costs nothing: an OpenAI-compatible engine that counts when told to.

    python -m conformance.upstream --port 9000 --delay-ms 20

Put the server under test in front of it when there is no engine at hand. It keeps no state. It
answers chat completions and stateless responses, streamed or not, one word at a time:

- "Count from 1 to N" is answered with the numbers, anything else with one short sentence;
- a forced tool is called, and a JSON schema answered, with the simplest fitting document;
- the model `echo` answers with the JSON of the messages it was given;
- `max_tokens` and its other names end the answer as `length`; `n` is honoured.

Words are its tokens. Routes, with and without /v1: POST /chat/completions, POST /responses,
GET /models, GET /health.
"""

import argparse
import asyncio
import contextlib
import json
import sys
from typing import Any

from conformance.unique import unique
from conformance.upstream_answers import Answer, Body, chat_whole, response_whole

_MODELS = ("counter", "echo")
_BODY_MAX = 64 << 20


class Upstream:
    """The server; one coroutine for each connection."""

    def __init__(self, delay_s: float) -> None:
        """Wait so long before each word."""
        self._delay_s = delay_s
        self._run = unique()
        self._answers = 0

    async def serve(self, port: int) -> None:
        """Listen on 127.0.0.1 until cancelled; print the address once it is bound."""
        server = await asyncio.start_server(self.connection, "127.0.0.1", port)
        bound = server.sockets[0].getsockname()[1]
        sys.stdout.write(f"http://127.0.0.1:{bound}/v1\n")
        sys.stdout.flush()
        async with server:
            await server.serve_forever()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until the client closes it."""
        gone = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
        with contextlib.suppress(*gone), contextlib.closing(writer):
            while await self._request(reader, writer):
                await writer.drain()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection may take another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in head[1:])}
        body = await reader.readexactly(min(int(headers.get("content-length", 0)), _BODY_MAX))
        route = path.partition("?")[0].removeprefix("/v1")
        if method == "POST" and route in ("/chat/completions", "/responses"):
            await self._generate(writer, route, json.loads(body))
        elif route == "/models":
            data = [
                {"id": name, "object": "model", "created": 1, "owned_by": "conformance"}
                for name in _MODELS
            ]
            _send(writer, 200, {"object": "list", "data": data})
        elif route == "/health":
            _send(writer, 200, {})
        else:
            error = {"message": f"no route {route}", "type": "invalid_request_error"}
            _send(writer, 404, {"error": {**error, "param": None, "code": None}})
        return headers.get("connection", "").lower() != "close"

    async def _generate(self, writer: asyncio.StreamWriter, route: str, body: Body) -> None:
        self._answers += 1
        answer = Answer(body, route == "/responses", f"{self._run}{self._answers:08x}")
        if not body.get("stream"):
            await asyncio.sleep(self._delay_s * len(answer.words))
            whole = response_whole if answer.is_response else chat_whole
            _send(writer, 200, whole(answer))
            return
        _start(writer, 200, "text/event-stream", "transfer-encoding: chunked\r\n")
        for event, is_word in answer.events():
            if is_word and self._delay_s:
                await asyncio.sleep(self._delay_s)
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
        writer.write(b"0\r\n\r\n")


def _start(writer: asyncio.StreamWriter, status: int, kind: str, more: str) -> None:
    writer.write(f"HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\n{more}\r\n".encode())


def _send(writer: asyncio.StreamWriter, status: int, body: Any) -> None:
    data = json.dumps(body).encode()
    _start(writer, status, "application/json", f"content-length: {len(data)}\r\n")
    writer.write(data)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free one")
    parser.add_argument("--delay-ms", type=float, default=20.0, help="before each word")
    chosen = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Upstream(chosen.delay_ms / 1000).serve(chosen.port))


if __name__ == "__main__":
    main()
