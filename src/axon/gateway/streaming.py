"""Sending a turn's stream to a client; who does not read it is cut off by the server."""

from collections.abc import AsyncIterator

from axon.base import KIB
from axon.gateway.call import Call

_PIECE_BYTES = 64 * KIB
"""How much of a stored stream is sent at once."""

_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]


class Streams:
    """The streams being sent by this process.

    Sending waits while the client is slower than we are, and needs no timer: the server looks at
    all connections at once. The turn itself is not touched: it goes on and is stored.
    """

    async def send_stored(self, call: Call, data: bytes) -> None:
        """Send a stream that has ended, as `send` does."""
        await self.send(call, _pieces(data))

    async def send(self, call: Call, pieces: AsyncIterator[tuple[bytes, bool]]) -> None:
        """Send every piece up to the one marked as the last."""
        await call.begin_stream(_STREAM)
        async for data, last in pieces:
            await call.send_piece(data, last)


async def _pieces(data: bytes) -> AsyncIterator[tuple[bytes, bool]]:
    for start in range(0, len(data), _PIECE_BYTES):
        yield data[start : start + _PIECE_BYTES], False
    yield b"", True
