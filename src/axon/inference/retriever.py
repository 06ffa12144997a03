"""Asks a retriever, over HTTP, for passages that may help a model with a question.

A POST of {"query", "passages_max", "org", "user"} is answered with {"passages": [{"text",
"source"}]}, the best first. Whatever goes wrong, there are no passages: a turn never fails for it.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from axon.base import KIB, Clock
from axon.inference.http.target import Proxies
from axon.inference.side_server import NotAnswered, SideServer, SideServerOptions
from axon.stores import Health
from axon.telemetry import counter, histogram

QUERY_CHARS_MAX = 4_000
"""Of a question; what is longer is cut, for no index is asked with a book."""

RUNNING_MAX = 64
"""Retrievals at once in one process; one more turn goes on without."""

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
        self._passages_max = options.passages_max
        self._clock = clock
        asked = SideServerOptions(
            name="retriever",
            url=options.url,
            key=options.key,
            timeout_ms=options.timeout_ms,
            running_max=RUNNING_MAX,
            answer_bytes_max=options.bytes_max,
        )
        self._server = SideServer(asked, proxies, clock)

    @property
    def health(self) -> Health:
        """Return how it stands with the retriever."""
        return self._server.health

    async def find(self, query: str, org_id: str, user: str) -> Found:
        """Return what was found, in at most the time that is set; never raises."""
        began_s = self._clock.monotonic()
        passages = tuple[Passage, ...]()
        asked = {
            "query": query[:QUERY_CHARS_MAX],
            "passages_max": self._passages_max,
            "org": org_id,
            "user": user,
        }
        try:
            passages = await self._server.ask(asked, self._read)
            outcome = "found" if passages else "nothing"
        except NotAnswered as error:
            outcome = error.outcome
        took_s = self._clock.monotonic() - began_s
        _seconds.labels(outcome).observe(took_s)
        _found.inc(len(passages))
        return Found(outcome, int(took_s * 1e6), passages)

    def _read(self, body: bytes) -> tuple[Passage, ...]:
        found = _decode(body).passages[: self._passages_max]
        return tuple([Passage(one.text, one.source) for one in found])

    async def close(self) -> None:
        """Stop connecting and close every connection."""
        await self._server.close()
