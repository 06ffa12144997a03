"""Asks a retriever, over HTTP, for passages that may help a model with a question.

A POST of {"query", "passages_max", "org", "user"} is answered with {"passages": [{"text",
"source"}]}, the best first. Whatever goes wrong, there are no passages: a turn never fails for it.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from axon.base import KIB, Clock, TaskOwner
from axon.inference.errors import AnswerTooLarge, AnswerTooSlow, UpstreamError
from axon.inference.http.fetch import fetch
from axon.inference.http.pool import Pool
from axon.inference.http.target import Proxies, locate
from axon.stores import Breaker, Health
from axon.telemetry import counter, histogram, log

QUERY_CHARS_MAX = 4_000
"""Of a question; what is longer is cut, for no index is asked with a book."""

RUNNING_MAX = 64
"""Retrievals at once in one process; one more turn goes on without."""

_OK = 200
_seconds = histogram(
    "axon_retrieval_seconds",
    "How long looking for passages took, by what came of it.",
    ("outcome",),
)
_found = counter("axon_retrieved_passages_total", "Passages that models were given.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieverOptions:
    """Where the retriever is, and how much of it is waited for and taken."""

    url: str
    """http or https, with the path that is posted to."""
    key: str = ""
    """Sent as `authorization: Bearer`; empty sends none."""
    timeout_ms: int = 800
    """For everything: a turn waits for it."""
    passages_max: int = 6
    bytes_max: int = 32 * KIB
    """Of an answer; a longer one is not used."""


class Passage(msgspec.Struct, frozen=True, array_like=True):
    """A piece of text, and where it is from."""

    text: str
    source: str


class Found(msgspec.Struct, frozen=True):
    """What came of a question."""

    outcome: str
    """found, nothing, failed, slow, away, busy or too_large."""
    took_us: int
    passages: tuple[Passage, ...] = ()


class _Passage(msgspec.Struct):
    text: Annotated[str, Meta(min_length=1)]
    source: str = ""


class _Answer(msgspec.Struct):
    passages: list[_Passage]


_decode = msgspec.json.Decoder(_Answer).decode


class Retriever:
    """One for each serving process; what does not answer is left alone for a while."""

    def __init__(self, options: RetrieverOptions, proxies: Proxies, clock: Clock) -> None:
        """Blocks while trusted authorities are read; raise UpstreamAddressInvalid, OSError."""
        self._options = options
        self._clock = clock
        self._tasks = TaskOwner(_report)
        self._within_s = options.timeout_ms / 1000
        target = locate(options.url, options.key, "", proxies)
        self._pool = Pool(target, self._within_s, clock, self._tasks)
        self._breaker = Breaker("retriever", clock=clock)
        self._running = 0

    @property
    def health(self) -> Health:
        """Return how it stands with the retriever."""
        return self._breaker.health

    async def find(self, query: str, org_id: str, user: str) -> Found:
        """Return what was found, in at most the time that is set; never raises."""
        began_s = self._clock.monotonic()
        outcome, passages = "busy", tuple[Passage, ...]()
        if self._running < RUNNING_MAX:
            self._running += 1
            try:
                outcome, passages = await self._ask(query, org_id, user)
            finally:
                self._running -= 1
        took_s = self._clock.monotonic() - began_s
        _seconds.labels(outcome).observe(took_s)
        _found.inc(len(passages))
        return Found(outcome, int(took_s * 1e6), passages)

    async def _ask(self, query: str, org_id: str, user: str) -> tuple[str, tuple[Passage, ...]]:
        options, breaker = self._options, self._breaker
        if not breaker.allow():
            return "away", ()
        asked = {
            "query": query[:QUERY_CHARS_MAX],
            "passages_max": options.passages_max,
            "org": org_id,
            "user": user,
        }
        body = msgspec.json.encode(asked)
        try:
            fetched = await fetch(self._pool, "POST", self._pool.target.path, body, self._within_s)
        except AnswerTooLarge:
            return "too_large", ()
        except AnswerTooSlow as error:
            breaker.failed(str(error))
            return "slow", ()
        except UpstreamError as error:
            breaker.failed(str(error))
            return "failed", ()
        if fetched.status != _OK:
            breaker.failed(f"it answered with status {fetched.status}")
            return "failed", ()
        breaker.succeeded()
        if len(fetched.body) > options.bytes_max:
            return "too_large", ()
        return self._read(fetched.body)

    def _read(self, body: bytes) -> tuple[str, tuple[Passage, ...]]:
        try:
            found = _decode(body).passages[: self._options.passages_max]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "failed", ()
        return ("found" if found else "nothing"), tuple(
            [Passage(one.text, one.source) for one in found]
        )

    async def close(self) -> None:
        """Stop connecting and close every connection."""
        await self._tasks.cancel()
        self._pool.close()


def _report(name: str, error: BaseException) -> None:
    log.error("task-failed", f"{name}: {error!r}")
