"""Asks a moderation endpoint, of OpenAI's shape, about a text.

Source: OpenAI's API reference for moderations. A POST of {"model", "input"} is answered with
{"results": [{"flagged", "categories": {name: bool}}]}.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from axon.base import KIB, MIB, Clock
from axon.inference.http.target import Proxies
from axon.inference.side_server import NotAnswered, SideServer, SideServerOptions
from axon.stores import Health
from axon.telemetry import histogram

TEXT_CHARS_MAX = MIB
"""Of one question; what is longer cannot be asked about, which is a failure."""

RUNNING_MAX = 256
"""Questions at once in one process; one more is a failure."""

_ANSWER_BYTES_MAX = 64 * KIB
_CATEGORIES_MAX = 64
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
    """clean, flagged, or why nobody knows: failed, slow, away, busy or too_large."""
    categories: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Return whether the endpoint has answered."""
        return self.outcome in ("clean", "flagged")


class _Result(msgspec.Struct):
    flagged: bool
    categories: dict[str, bool | None] = {}


class _Answer(msgspec.Struct):
    results: Annotated[list[_Result], Meta(min_length=1)]


_decode = msgspec.json.Decoder(_Answer).decode


class Moderator:
    """One for each serving process; what does not answer is left alone for a while."""

    def __init__(self, options: ModeratorOptions, proxies: Proxies, clock: Clock) -> None:
        """Blocks while trusted authorities are read; raise UpstreamAddressInvalid, OSError."""
        self._model = options.model
        self._clock = clock
        asked = SideServerOptions(
            name="moderation",
            url=options.url,
            key=options.key,
            timeout_ms=options.timeout_ms,
            running_max=RUNNING_MAX,
            answer_bytes_max=_ANSWER_BYTES_MAX,
        )
        self._server = SideServer(asked, proxies, clock)

    @property
    def health(self) -> Health:
        """Return how it stands with the endpoint."""
        return self._server.health

    async def ask(self, text: str) -> Moderated:
        """Return what the endpoint says, in at most the time that is set; never raises."""
        began_s = self._clock.monotonic()
        try:
            said = await self._ask(text)
        except NotAnswered as error:
            said = Moderated(error.outcome)
        _seconds.labels(said.outcome).observe(self._clock.monotonic() - began_s)
        return said

    async def _ask(self, text: str) -> Moderated:
        if len(text) > TEXT_CHARS_MAX:
            return Moderated("too_large")
        asked = {"model": self._model, "input": text.encode("utf-8", "replace").decode()}
        results = await self._server.ask(asked, _read)
        if not any(one.flagged for one in results):
            return Moderated("clean")
        named = [name for one in results for name, found in one.categories.items() if found]
        return Moderated("flagged", tuple([name[:40] for name in named[:_CATEGORIES_MAX]]))

    async def close(self) -> None:
        """Stop connecting and close every connection."""
        await self._server.close()


def _read(body: bytes) -> list[_Result]:
    return _decode(body).results
