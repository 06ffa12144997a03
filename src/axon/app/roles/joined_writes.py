"""uvicorn's HTTP protocol with its writes joined: what one round of the loop writes is one packet.

uvicorn sends an answer's head and body apart. Each write is a system call, about a tenth of what a
whole request costs us, and without Nagle's algorithm a packet of its own.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER_S = 10.0
"""How long a closed connection may take to deliver what is left; then it is reset. A client that
never reads would otherwise hold its connection, and its place among connections_max, for ever."""


class JoinedTransport:
    """A transport that writes at the end of the loop's round; everything else passes through."""

    __slots__ = ("_call_soon", "_pieces", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        """Wrap a connected transport, on its loop's thread."""
        self._transport = transport
        self._call_soon = asyncio.get_running_loop().call_soon
        self._pieces: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keep `data` for this round's write."""
        if not self._pieces:
            self._call_soon(self._flush)
        self._pieces.append(data)

    def _flush(self) -> None:
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._transport.write(data)

    def write_eof(self) -> None:
        """Write what is kept, then say that nothing follows."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Write what is kept, then close; a client that does not read is cut off soon after."""
        self._flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)


class JoiningProtocol(HttpToolsProtocol):
    """uvicorn's protocol over a JoinedTransport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by asyncio; uvicorn keeps the wrapped transport as its own."""
        super().connection_made(JoinedTransport(transport))  # type: ignore[arg-type]
