"""What a running turn has shown so far: one log of bytes that any number of clients follow.

The turn appends and never waits; each follower keeps only its own place. A slow client therefore
costs nothing but its place, and the engine never waits for anybody.
"""

import asyncio
from collections.abc import AsyncIterator

_EVENT_END = b"\n\n"
"""Ends a server-sent event; JSON has no line breaks of its own."""


class TurnStream:
    """The bytes of one streamed answer, growing until the turn ends."""

    __slots__ = ("_chunks", "_ended", "_waiters")

    def __init__(self) -> None:
        """Start with nothing shown."""
        self._chunks: list[bytes] = []
        self._ended = False
        self._waiters: list[asyncio.Future[None]] = []

    def show(self, data: bytes) -> None:
        """Append whole events that every follower shall see; the caller bounds how many."""
        if data:
            self._chunks.append(data)
            self._wake()

    def end(self) -> None:
        """Say that nothing more will come."""
        self._ended = True
        self._wake()

    def so_far(self, after: int = 0) -> tuple[bytes, int]:
        """Return what was shown behind place `after`, and the place it ends at."""
        return b"".join(self._chunks[after:]), len(self._chunks)

    async def begun(self) -> None:
        """Return when there is something to show, or the turn has ended without anything."""
        while not self._chunks and not self._ended:
            await self._change()

    async def over(self) -> None:
        """Return when everything has been shown."""
        while not self._ended:
            await self._change()

    def _wake(self) -> None:
        waiters = self._waiters
        if waiters:
            self._waiters = []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def follow(self, skipped: int = 0) -> AsyncIterator[tuple[bytes, bool]]:
        """Yield everything shown behind the first `skipped` events, and whether it was the last.

        All that has come since the last step is joined into one piece, so a burst is one write.
        """
        place = 0
        while True:
            if place < len(self._chunks):
                fresh, place = self.so_far(place)
                if skipped:
                    fresh, skipped = skip_events(fresh, skipped)
                if fresh or self._ended:
                    yield fresh, self._ended
                if self._ended and place == len(self._chunks):
                    return
            elif self._ended:
                yield b"", True
                return
            else:
                await self._change()

    def _change(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter


def count_events(data: bytes) -> int:
    """Return how many whole events there are."""
    return data.count(_EVENT_END)


def skip_events(data: bytes, count: int) -> tuple[bytes, int]:
    """Return what follows the first `count` events, and how many are still to be skipped."""
    there = count_events(data)
    if there <= count:
        return b"", count - there
    return data.split(_EVENT_END, count)[-1], 0
