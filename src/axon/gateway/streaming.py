"""Sending a running turn's stream to a client, and letting go of clients that are too slow."""

import asyncio
from collections.abc import AsyncIterator

from axon.base import KIB, Clock
from axon.gateway.call import Call
from axon.telemetry import counter

_CHECK_EVERY_S = 5.0
"""How often slow clients are looked for; the bound itself is a setting."""

_PIECE_BYTES = 64 * KIB
"""How much of a stored stream is sent at once."""

_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]
_cut = counter("axon_slow_clients_cut_total", "Streams ended because their client did not read.")


class Streams:
    """The streams being sent by this process.

    A stream only waits inside `send_piece`; one reaper looks at all of them, so that sending
    needs no timer. The turn itself is not touched: it goes on and is stored.
    """

    def __init__(self, clock: Clock, slow_client_s: float) -> None:
        """`slow_client_s` is how long one piece may wait for its client."""
        self._clock = clock
        self._slow_client_s = slow_client_s
        self._sending: dict[asyncio.Task[object], float] = {}
        self._cut: set[asyncio.Task[object]] = set()

    async def send_stored(self, call: Call, data: bytes) -> None:
        """Send a stream that has ended, as `send` does."""
        await self.send(call, _pieces(data))

    async def send(self, call: Call, pieces: AsyncIterator[tuple[bytes, bool]]) -> None:
        """Send every piece up to the one marked as the last, or until the client is too slow."""
        await call.begin_stream(_STREAM)
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream is sent from a task")
        try:
            async for data, last in pieces:
                self._sending[task] = self._clock.monotonic()
                await call.send_piece(data, last)
                del self._sending[task]
        except asyncio.CancelledError:
            if task not in self._cut:
                raise
            task.uncancel()
            _cut.inc()
            call.log["axon.cut"] = "slow client"
        finally:
            self._sending.pop(task, None)
            self._cut.discard(task)

    async def cut_slow_clients(self) -> None:
        """Let go of clients that do not read, for ever; run as a background task."""
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            late_s = self._clock.monotonic() - self._slow_client_s
            for task, since_s in list(self._sending.items()):
                if since_s < late_s and task not in self._cut:
                    self._cut.add(task)
                    task.cancel()


async def _pieces(data: bytes) -> AsyncIterator[tuple[bytes, bool]]:
    for start in range(0, len(data), _PIECE_BYTES):
        yield data[start : start + _PIECE_BYTES], False
    yield b"", True
