"""Asks a moderation endpoint, of OpenAI's shape, about a text.

Source: OpenAI's API reference for moderations. A POST of {"model", "input"} is answered with
{"results": [{"flagged", "categories": {name: bool}}]}.
"""

from dataclasses import dataclass

import msgspec

from axon.base import KIB, MIB, Clock, TaskOwner
from axon.inference.errors import UpstreamError
from axon.inference.http.fetch import fetch
from axon.inference.http.pool import Pool
from axon.inference.http.target import Proxies, locate
from axon.stores import Breaker, Health
from axon.telemetry import histogram, log

TEXT_CHARS_MAX = MIB
"""Of one question; what is longer cannot be asked about, which is a failure."""

RUNNING_MAX = 256
"""Questions at once in one process; one more is a failure."""

_ANSWER_BYTES_MAX = 64 * KIB
_CATEGORIES_MAX = 64
_OK = 200
_seconds = histogram(
    "axon_moderation_seconds",
    "How long asking the moderation endpoint took, by what came of it.",
    ("outcome",),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeratorOptions:
    """Where the endpoint is."""

    url: str
    """http or https, with the path that is posted to."""
    key: str = ""
    model: str = "omni-moderation-latest"
    timeout_ms: int = 2_000


class Moderated(msgspec.Struct, frozen=True):
    """What the endpoint says."""

    outcome: str
    """clean, flagged, or why nobody knows: failed, away, busy or too_large."""
    categories: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Return whether the endpoint has answered."""
        return self.outcome in ("clean", "flagged")


class _Result(msgspec.Struct):
    flagged: bool
    categories: dict[str, bool | None] = {}


class _Answer(msgspec.Struct):
    results: list[_Result]


_decode = msgspec.json.Decoder(_Answer).decode


class Moderator:
    """One for each serving process; what does not answer is left alone for a while."""

    def __init__(self, options: ModeratorOptions, proxies: Proxies, clock: Clock) -> None:
        """Blocks while trusted authorities are read; raise UpstreamAddressInvalid, OSError."""
        self._options = options
        self._clock = clock
        self._tasks = TaskOwner(_report)
        self._within_s = options.timeout_ms / 1000
        target = locate(options.url, options.key, "", proxies)
        self._pool = Pool(target, self._within_s, clock, self._tasks)
        self._breaker = Breaker("moderation", clock=clock)
        self._running = 0

    @property
    def health(self) -> Health:
        """Return how it stands with the endpoint."""
        return self._breaker.health

    async def ask(self, text: str) -> Moderated:
        """Return what the endpoint says, in at most the time that is set; never raises."""
        began_s = self._clock.monotonic()
        said = Moderated("busy")
        if self._running < RUNNING_MAX:
            self._running += 1
            try:
                said = await self._ask(text)
            finally:
                self._running -= 1
        _seconds.labels(said.outcome).observe(self._clock.monotonic() - began_s)
        return said

    async def _ask(self, text: str) -> Moderated:
        if len(text) > TEXT_CHARS_MAX:
            return Moderated("too_large")
        if not self._breaker.allow():
            return Moderated("away")
        asked = {"model": self._options.model, "input": text.encode("utf-8", "replace").decode()}
        body = msgspec.json.encode(asked)
        try:
            fetched = await fetch(self._pool, "POST", self._pool.target.path, body, self._within_s)
        except UpstreamError as error:
            self._breaker.failed(str(error))
            return Moderated("failed")
        if fetched.status != _OK or len(fetched.body) > _ANSWER_BYTES_MAX:
            self._breaker.failed(f"it answered with status {fetched.status}")
            return Moderated("failed")
        try:
            results = _decode(fetched.body).results
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._breaker.failed("its answer cannot be read")
            return Moderated("failed")
        if not results:
            self._breaker.failed("its answer says nothing")
            return Moderated("failed")
        self._breaker.succeeded()
        named = [name for one in results for name, found in one.categories.items() if found]
        if not any(one.flagged for one in results):
            return Moderated("clean")
        return Moderated("flagged", tuple([name[:40] for name in named[:_CATEGORIES_MAX]]))

    async def close(self) -> None:
        """Stop connecting and close every connection."""
        await self._tasks.cancel()
        self._pool.close()


def _report(name: str, error: BaseException) -> None:
    log.error("task-failed", f"{name}: {error!r}")
