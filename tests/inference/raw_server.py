"""A server that answers each request with exactly the bytes it was given."""

import asyncio
from typing import Self


class RawServer:
    """Writes the next of `answers` to whoever sends a request; None closes without a byte.

    After the last answer, and after each one when `close` is set, it closes the connection.
    """

    def __init__(self, *answers: bytes | None, close: bool = True) -> None:
        self.answers = list(answers)
        self.close = close
        self.requests: list[bytes] = []
        self.connections = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._transports: set[asyncio.BaseTransport] = set()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Answering(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for transport in list(self._transports):
            transport.close()
        while self._transports:
            await asyncio.sleep(0)


class _Answering(asyncio.Protocol):
    def __init__(self, server: RawServer) -> None:
        self.server = server
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.server._transports.add(transport)
        self.server.connections += 1

    def connection_lost(self, error: Exception | None) -> None:
        self.server._transports.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.rpartition(b"content-length: ")[2]):
            return
        self.server.requests.append(self.received)
        self.received = b""
        answer = self.server.answers.pop(0)
        if answer is not None:
            self.transport.write(answer)  # type: ignore[attr-defined]  # uvloop's base has no write
        if self.server.close or answer is None or not self.server.answers:
            self.transport.close()


def stream(*events: str, framing: str = "transfer-encoding: chunked\r\n") -> bytes:
    """Return an event stream's head and, chunked, its events; without the last chunk."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{framing}\r\n".encode()
    if not framing:
        return head + "".join(events).encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(event), event.encode()) for event in events)


LAST_CHUNK = b"0\r\n\r\n"


def whole(body: str, status: str = "200 OK", extra: str = "") -> bytes:
    """Return a JSON answer with its length."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{extra}"
    return f"{head}content-length: {len(body)}\r\n\r\n{body}".encode()
