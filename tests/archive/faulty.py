"""An S3 that fails as a test says: enough of one for our client, with a fault in the middle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from axon.stores import ObjectsAddress

TIMEOUT_S = 0.3
"""What the tests give a call: long enough for this server, short enough to wait for."""

_REASONS = {
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    403: "Forbidden",
    404: "Not Found",
    503: "Slow Down",
    507: "Insufficient Storage",
}


@dataclass
class FaultyS3:
    """The server; set `fault` to choose how it fails."""

    fault: str = ""
    """Nothing, frozen, slow, lying, corrupt, or a status to answer with."""
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: int = 0
    _port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    thawed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> ObjectsAddress:
        return ObjectsAddress(
            url="s3://bucket",
            endpoint=f"http://127.0.0.1:{self._port}",
            access_key_id="key",
            secret_access_key="secret",
        )

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be down: whoever connects is refused."""
        assert self._server is not None
        self._server.close()
        self.thawed.set()
        for writer in list(self._open):
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")
                pairs = (line.partition(": ") for line in lines)
                headers = {name.lower(): value for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = first.split(" ")
                self.asked += 1
                if self.fault == "frozen":
                    await self.thawed.wait()
                if self.fault == "slow":
                    await asyncio.sleep(TIMEOUT_S / 6)
                status, more, content = self._answer(method, path, headers, body)
                said = f"HTTP/1.1 {status} {_REASONS[status]}\r\n{more}"
                writer.write(f"{said}content-length: {len(content)}\r\n\r\n".encode() + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, str, bytes]:
        if self.fault.isdigit():
            return int(self.fault), "", b"<Error/>"
        if method == "PUT":
            if self.fault != "lying":
                self.objects[path] = body
            return 200, 'etag: "1"\r\n', b""
        if method == "DELETE":
            self.objects.pop(path, None)
            return 204, "", b""
        found = self.objects.get(path)
        if found is None:
            return 404, "", b"<Error><Code>NoSuchKey</Code></Error>"
        first, last = map(int, headers["range"].removeprefix("bytes=").split("-"))
        piece = found[first : last + 1]
        if self.fault == "corrupt":
            piece = piece[:-9] + bytes([piece[-9] ^ 1]) + piece[-8:]
        at = f"bytes {first}-{first + len(piece) - 1}/{len(found)}"
        dated = "last-modified: Sun, 22 Nov 2026 00:00:00 GMT\r\n"
        return 206, f'etag: "1"\r\n{dated}content-range: {at}\r\n', piece


@asynccontextmanager
async def faulty_s3() -> AsyncIterator[FaultyS3]:
    """Run one within the test's own loop."""
    server = FaultyS3()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
