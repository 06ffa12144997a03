"""A stand-in for another serving process: a real server on a unix socket, told what to answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from axon.gateway.sibling import PRESENT_PATH


class Arrived(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Arrived, asyncio.StreamWriter], Awaitable[None]]

CLOSE = b""
"""What `always` answers by closing the connection."""


class SiblingProcess:
    """Where it listens, and what it was asked; the question whether it is there is not counted."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.path = path
        self.answer = answer
        self.arrived: list[Arrived] = []
        self.connections = 0
        self.left = asyncio.Event()
        """Set once the other side has closed a connection."""
        self.serving: set[asyncio.Task[object]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests until either side closes it."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            while not writer.is_closing():
                request = await self._read(reader)
                if request is None:
                    self.left.set()
                    break
                if request.target == PRESENT_PATH:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    continue
                self.arrived.append(request)
                await self.answer(request, writer)
        except ConnectionError:
            self.left.set()
        finally:
            self.serving.discard(task)
            writer.close()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> Arrived | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, target, _ = head[0].split(" ")
            pairs = [line.partition(": ") for line in head[1:] if line]
            headers = {name: value for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return Arrived(method, target, headers, body)


def always(*answers: bytes) -> Answer:
    """Return what gives these answers one after another, the last for ever."""
    left = list(answers)

    async def answer(_request: Arrived, writer: asyncio.StreamWriter) -> None:
        data = left.pop(0) if len(left) > 1 else left[0]
        if data == CLOSE:
            writer.close()
        else:
            writer.write(data)

    return answer


def ok(body: bytes = b"", *headers: str) -> bytes:
    """Return a whole answer."""
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@asynccontextmanager
async def sibling_process(path: Path, answer: Answer) -> AsyncIterator[SiblingProcess]:
    """Run one, listening at `path`."""
    process = SiblingProcess(path, answer)
    server = await asyncio.start_unix_server(process.serve, path)
    try:
        yield process
    finally:
        server.close()
        for task in list(process.serving):
            task.cancel()
        await asyncio.sleep(0.01)  # transports are closed by the loop
