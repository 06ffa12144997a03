"""Reading PostgreSQL without a stampede: the same question is asked once, and few at a time.

After an outage of the cache every device of every person comes back at once. Whoever asks what is
being asked already shares the answer; of different questions a few are asked at a time, in the
order in which they came.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from axon.conversations.errors import HistoryAway, LoadsBusy
from axon.telemetry import counter

Answer = TypeVar("Answer")

LOADS_AT_ONCE = 6
"""Fewer than the connections of the pool, so that accounts, keys and feeds have some too."""

LOADS_WAITING_MAX = 512
"""More than are served within LOADS_WAIT_S at some ten milliseconds each would only time out."""

LOADS_WAIT_S = 3.0
"""How long a load waits for those before it; then the client hears 503 and when to come back.
Longer than a load may take, so that who waits behind a frozen server learns that it is away."""

_shared = counter(
    "axon_conversation_reads_shared_total", "Reads of conversations answered by one under way"
)
_refused = counter(
    "axon_conversation_loads_refused_total", "Reads of conversations refused: too many at once"
)


class Loads:
    """Lets a few loads at a time to PostgreSQL, first come first served."""

    def __init__(
        self,
        at_once: int = LOADS_AT_ONCE,
        waiting_max: int = LOADS_WAITING_MAX,
        wait_s: float = LOADS_WAIT_S,
        available: Callable[[], bool] = lambda: True,
    ) -> None:
        """`at_once` go in, `waiting_max` wait for at most `wait_s` seconds.

        `available` tells whether what is loaded from is there at all.
        """
        self._available = available
        self._slots = asyncio.Semaphore(at_once)
        self._waiting_max = waiting_max
        self._wait_s = wait_s
        self._waiting = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot; raises LoadsBusy when none is free in time or too many wait, HistoryAway
        when that is because there is nobody to ask."""
        if self._slots.locked():
            await self._wait()
        else:
            await self._slots.acquire()  # at once
        try:
            yield
        finally:
            self._slots.release()

    async def _wait(self) -> None:
        if self._waiting >= self._waiting_max:
            raise self._refusal()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._slots.acquire()
        except TimeoutError:
            raise self._refusal() from None
        finally:
            self._waiting -= 1

    def _refusal(self) -> LoadsBusy | HistoryAway:
        if not self._available():
            return HistoryAway("PostgreSQL is away")
        _refused.inc()
        return LoadsBusy()


class SharedReads:
    """Gives those who ask the same of a conversation at the same time one answer.

    Nobody is given an answer from before a record that was durable when they asked: whoever notes
    a record calls `forget`. Bounded by the callers: each read under way has one that waits for it.
    """

    def __init__(self) -> None:
        """Start with nothing under way."""
        self.running: dict[str, dict[Hashable, asyncio.Future[Any]]] = {}
        """The reads under way that may be shared."""

    async def read(
        self, conversation_id: str, question: Hashable, ask: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """Return what `ask` returns or raises, or what somebody's who asks already does."""
        while (running := self.running.get(conversation_id, {}).get(question)) is not None:
            _shared.inc()
            await asyncio.wait([running])
            if not running.cancelled():
                answer: Answer = running.result()
                return answer  # else who asked went away, and somebody else must ask
        return await self._ask(conversation_id, question, ask)

    async def _ask(
        self, conversation_id: str, question: Hashable, ask: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        asking: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.running.setdefault(conversation_id, {})[question] = asking
        try:
            answer = await ask()
        except asyncio.CancelledError:
            asking.cancel()
            raise
        except Exception as error:
            asking.set_exception(error)
            asking.exception()  # it is retrieved: perhaps nobody else asked
            raise
        else:
            asking.set_result(answer)
            return answer
        finally:
            self._end(conversation_id, question, asking)

    def _end(self, conversation_id: str, question: Hashable, asking: asyncio.Future[Any]) -> None:
        theirs = self.running.get(conversation_id)
        if theirs is not None and theirs.get(question) is asking:
            del theirs[question]
            if not theirs:
                del self.running[conversation_id]

    def forget(self, conversation_id: str) -> None:
        """Say that a record was added: what is being read now is shared with nobody else."""
        self.running.pop(conversation_id, None)
