"""A server beside the engines that is asked one question at a time, and done without if need be.

A question is a POST of JSON that is answered with a 200 and JSON. Whatever goes wrong is one word,
for metrics and records; nobody waits longer than the time that is set.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from axon.base import Clock, TaskOwner
from axon.inference.errors import AnswerTooLarge, AnswerTooSlow, UpstreamError
from axon.inference.http.fetch import fetch
from axon.inference.http.pool import Pool
from axon.inference.http.target import Proxies, locate
from axon.stores import Breaker, Health
from axon.telemetry import log

_OK = 200

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class SideServerOptions:
    """Where the server is, and how much of it is waited for and taken."""

    name: str
    """Of the dependency, in log lines and in `/status`."""
    url: str
    """http or https, with the path that is posted to."""
    key: str
    """Sent as `authorization: Bearer`; empty sends none."""
    timeout_ms: int
    """For everything: a turn waits for it."""
    running_max: int
    """Questions at once in one process; one more is not asked."""
    answer_bytes_max: int


class NotAnswered(UpstreamError):
    """The server gave no answer that can be used."""

    def __init__(self, outcome: str) -> None:
        """`outcome` is failed, slow, away, busy, or too_large for an answer above its bound."""
        super().__init__(outcome)
        self.outcome = outcome


class SideServer:
    """One for each serving process; what does not answer is left alone for a while."""

    def __init__(self, options: SideServerOptions, proxies: Proxies, clock: Clock) -> None:
        """Blocks while trusted authorities are read; raise UpstreamAddressInvalid, OSError."""
        self._options = options
        self._tasks = TaskOwner(_report)
        self._within_s = options.timeout_ms / 1000
        target = locate(options.url, options.key, "", proxies)
        self._pool = Pool(target, self._within_s, clock, self._tasks)
        self._breaker = Breaker(options.name, clock=clock)
        self._running = 0

    @property
    def health(self) -> Health:
        """Return how it stands with the server."""
        return self._breaker.health

    async def ask(self, question: object, read: Callable[[bytes], Answer]) -> Answer:
        """Return what `read` makes of the answer; raise NotAnswered.

        `read` raises DecodeError, UnicodeDecodeError or RecursionError for what is no answer.
        """
        if self._running >= self._options.running_max:
            raise NotAnswered("busy")
        if not self._breaker.allow():
            raise NotAnswered("away")
        self._running += 1
        try:
            body = await self._post(msgspec.json.encode(question))
        finally:
            self._running -= 1
        try:
            answer = read(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._failed("its answer cannot be read") from None
        self._breaker.succeeded()
        return answer

    async def _post(self, question: bytes) -> bytes:
        """Return the body of a 200 within its bound."""
        pool = self._pool
        try:
            fetched = await fetch(pool, "POST", pool.target.path, question, self._within_s)
        except AnswerTooLarge as error:
            raise NotAnswered("too_large") from error
        except AnswerTooSlow as error:
            raise self._failed(str(error), "slow") from error
        except UpstreamError as error:
            raise self._failed(str(error)) from error
        if fetched.status != _OK:
            raise self._failed(f"it answered with status {fetched.status}")
        if len(fetched.body) > self._options.answer_bytes_max:
            raise NotAnswered("too_large")
        return fetched.body

    def _failed(self, why: str, outcome: str = "failed") -> NotAnswered:
        """Tell the breaker, and return what to raise."""
        self._breaker.failed(why)
        return NotAnswered(outcome)

    async def close(self) -> None:
        """Stop connecting and close every connection."""
        await self._tasks.cancel()
        self._pool.close()


def _report(name: str, error: BaseException) -> None:
    log.error("task-failed", f"{name}: {error!r}")
