"""A receiver of webhooks: real HTTPS on this machine, which can be down, slow, or answer badly."""

import asyncio
import ssl
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from axon.alerts import Allowed
from tests.stores.tls_proxy import make_certificate

LOOPBACK = Allowed(networks=(ip_network("127.0.0.0/8"),))


class Received:
    """One request as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode().split("\r\n")
        self.request = lines[0]
        self.headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        self.body = body

    def verified(self, secret: str) -> Any:
        """Return the message as the published verifier lets it pass; raises its error."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """Answers `answer` to every request; None never answers."""

    def __init__(self, folder: Path) -> None:
        self.ca_path, key = make_certificate(folder)
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(self.ca_path, key)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.got: list[Received] = []
        self.answer: bytes | None = b"HTTP/1.1 204 No Content\r\n\r\n"

    @classmethod
    async def started(cls, folder: Path) -> "Receiver":
        made = cls(folder)
        await made.start()
        return made

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/hook?of=axon"

    async def start(self) -> None:
        """Listen, on the port it had before."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            received = Received(head, b"")
            received.body = await reader.readexactly(int(received.headers["content-length"]))
            self.got.append(received)
            if self.answer is None:
                await reader.read()
            else:
                writer.write(self.answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            self._open.discard(writer)
            writer.close()
