"""Which engine a job goes to next: by order, within an order by weight."""

from collections.abc import Collection
from itertools import groupby

import msgspec

from axon.inference.engines import Engine, Engines
from axon.inference.models import Model, Upstream


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The engine to use, or, when it is None, those of which one must become free.

    With neither there is nothing left to try.
    """

    engine: Engine | None = None
    full: tuple[Engine, ...] = ()


class Route:
    """The engines of one lane, as its jobs choose among them.

    Weights are kept by smooth weighted round robin (Igor Sysoev, nginx 1.3.1): in every run of
    choices as long as the sum of the weights each engine is chosen exactly by its weight, spread
    evenly, and no randomness is needed.
    """

    def __init__(self, model: Model, engines: Engines) -> None:
        """Take the upstreams of the lane's model."""
        ordered = sorted(model.upstreams, key=_order)
        self._groups = [
            [_Lot(engines.get(upstream), upstream.weight) for upstream in group]
            for _, group in groupby(ordered, key=_order)
        ]

    def choose(self, tried: Collection[Engine]) -> Choice:
        """Return the next engine for a job that has tried some.

        An order is left when each of its engines was tried or has an open breaker; one that is
        merely full is waited for, because orders say what to do in a failure, not under load.
        """
        for lots in self._groups:
            if len(lots) == 1 and not tried:  # by far the most: one upstream, first try
                engine = lots[0].engine
                if engine.free_slots > 0 and engine.breaker.allow():
                    return Choice(engine=engine)
            left = [lot for lot in lots if lot.engine not in tried] if tried else lots
            free = [lot for lot in left if lot.engine.free_slots > 0]
            full = tuple(lot.engine for lot in left if lot.engine.free_slots <= 0)
            while free:
                lot = _next(free)
                if lot.engine.breaker.allow():
                    return Choice(engine=lot.engine)
                free.remove(lot)
            if full:
                return Choice(full=full)
        return Choice()


class _Lot:
    """An engine's weight and its credit, which grows until it is chosen."""

    __slots__ = ("credit", "engine", "weight")

    def __init__(self, engine: Engine, weight: int) -> None:
        self.engine = engine
        self.weight = weight
        self.credit = 0


def _next(lots: list[_Lot]) -> _Lot:
    if len(lots) == 1:
        return lots[0]
    for lot in lots:
        lot.credit += lot.weight
    chosen = max(lots, key=_credit)
    chosen.credit -= sum(lot.weight for lot in lots)
    return chosen


def _credit(lot: _Lot) -> int:
    return lot.credit


def _order(upstream: Upstream) -> int:
    return upstream.order
