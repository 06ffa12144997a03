"""One whole request and answer, for the calls that are not completions."""

import asyncio

import msgspec

from axon.base import MIB
from axon.inference.errors import AnswerBroken, AnswerTooLarge, AnswerTooSlow, UpstreamError
from axon.inference.http.pool import Pool

FETCHED_BYTES_MAX = 4 * MIB
"""A list of models, or the model tokens of one long text."""


class Fetched(msgspec.Struct, frozen=True):
    """An answer, whole."""

    status: int
    body: bytes


async def fetch(pool: Pool, method: str, path: str, body: bytes, within_s: float) -> Fetched:
    """Return the answer, whatever its status.

    Raises UpstreamError: no connection, a broken or too large answer, or none within `within_s`.
    """
    sink = _Whole()
    request = b"%b%d\r\n\r\n%b" % (pool.target.head(method, path), len(body), body)
    exchange = pool.send(request, sink)
    try:
        async with asyncio.timeout(within_s):
            return await sink.answer
    except TimeoutError:
        raise AnswerTooSlow(f"not within {within_s:g} s") from None
    finally:
        exchange.abort()


class _Whole:
    """Collects an answer for the one who waits."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._body = bytearray()

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """Note the status."""
        self._status = status

    def on_data(self, data: bytes) -> None:
        """Keep the bytes."""
        self._body += data
        if len(self._body) > FETCHED_BYTES_MAX:
            self.on_broken(AnswerTooLarge(f"a body of more than {FETCHED_BYTES_MAX} bytes"))

    def on_end(self, certain: bool) -> None:
        """Answer."""
        if not certain:
            self.on_broken(AnswerBroken("the connection was closed, and the body had no length"))
        elif not self.answer.done():
            self.answer.set_result(Fetched(self._status, bytes(self._body)))

    def on_broken(self, error: UpstreamError) -> None:
        """Fail."""
        if not self.answer.done():
            self.answer.set_exception(error)
