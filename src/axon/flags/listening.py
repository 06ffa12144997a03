"""Who waits for changes of the flags in this process: one for each open stream."""

import asyncio
from collections.abc import AsyncIterator, Callable

from axon.flags.refusals import TooManyListeners

LISTENERS_MAX = 2048
"""Each has a connection open."""


class Listener:
    """Hears that something changed; several changes at once are one."""

    def __init__(self, number: Callable[[], int], over: Callable[["Listener"], None]) -> None:
        """`over` is called once it is closed."""
        self._number = number
        self._over = over
        self._closed = False
        self.news = asyncio.Event()

    async def numbers(self, keep_alive_s: float) -> AsyncIterator[int | None]:
        """Yield the newest change's number, and again when it moves; None when it was quiet.

        Ends once it is closed.
        """
        told = -1
        while not self._closed:
            self.news.clear()
            if (number := self._number()) != told:
                told = number
                yield told
                continue
            try:
                async with asyncio.timeout(keep_alive_s):
                    await self.news.wait()
            except TimeoutError:
                yield None

    def close(self) -> None:
        """Listen no more; may be repeated."""
        self._closed = True
        self.news.set()
        self._over(self)


class Listeners:
    """All of them."""

    def __init__(self, number: Callable[[], int]) -> None:
        """`number` tells the newest change."""
        self._number = number
        self._open: set[Listener] = set()
        self._closed = False

    def listen(self) -> Listener:
        """Return one more, which its caller closes; raises TooManyListeners."""
        if len(self._open) >= LISTENERS_MAX:
            raise TooManyListeners
        one = Listener(self._number, self._open.discard)
        self._open.add(one)
        if self._closed:
            one.close()
        return one

    def tell(self) -> None:
        """Say that the number moved."""
        for one in self._open:
            one.news.set()

    def close(self) -> None:
        """Let all go, and whoever comes."""
        self._closed = True
        for one in [*self._open]:
            one.close()
