"""The names of all models there are to use, those behind the wildcard included."""

import msgspec

from axon.base import Clock
from axon.inference.engines import Engines
from axon.inference.errors import UpstreamError
from axon.inference.http.fetch import fetch
from axon.inference.models import Model, ModelTable

FETCH_TIMEOUT_S = 3.0
"""A list of models is a page; a client that asks for it does not wait for a slow upstream."""

FRESH_S = 60.0
"""How long an upstream's list is used, and how long a failure to get it is not repeated."""

NAMES_MAX = 2000
"""Names taken from an upstream; the largest public one lists some hundreds."""


class _Entry(msgspec.Struct):
    id: str


class _List(msgspec.Struct):
    data: list[_Entry]


_decode = msgspec.json.Decoder(_List).decode


class ModelDirectory:
    """Lists the table's aliases and what the wildcard's first upstream offers beside them."""

    def __init__(self, table: ModelTable, engines: Engines, clock: Clock) -> None:
        """Nothing is fetched before the first listing."""
        self._table = table
        self._engines = engines
        self._monotonic = clock.monotonic
        self._offered: tuple[str, ...] = ()
        self._fetch_at = float("-inf")

    async def names(self) -> tuple[str, ...]:
        """Return every name, the table's own first, each once; waits FETCH_TIMEOUT_S at most.

        While the upstream is away its last list stands.
        """
        wildcard = self._table.wildcard
        if wildcard is not None and self._monotonic() >= self._fetch_at:
            self._fetch_at = self._monotonic() + FRESH_S
            self._offered = await self._fetch(wildcard)
        own = [model.alias for model in self._table.list()]
        return tuple(dict.fromkeys([*own, *self._offered]))

    async def _fetch(self, wildcard: Model) -> tuple[str, ...]:
        pool = self._engines.get(wildcard.upstreams[0]).pool
        try:
            fetched = await fetch(pool, "GET", f"{pool.target.path}/models", b"", FETCH_TIMEOUT_S)
            listed = _decode(fetched.body) if fetched.status == 200 else None
        except (UpstreamError, ValueError, RecursionError):  # it may answer with anything
            return self._offered
        return tuple(entry.id for entry in listed.data[:NAMES_MAX]) if listed else self._offered
