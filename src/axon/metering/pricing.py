"""Setting prices: a new one ends the one before it, and nothing that was charged ever changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from axon.base import Clock, Randomness
from axon.deeds import Actor, acting
from axon.metering.errors import PriceWrong
from axon.metering.price import Price
from axon.metering.price_store import (
    all_prices,
    close_price,
    exclude_others,
    insert_price,
    prices_of,
)
from axon.stores import Postgres

TIMEOUT_S = 30.0
"""An administrator waits longer than a request does, but not for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """What setting a price does, or did."""

    price: Price
    """The new one; without an id as long as it is only planned."""
    ends: Price | None
    """The one in force before, as it was; None when there was none."""

    @property
    def is_needed(self) -> bool:
        """Return whether any turn may cost something else, or cost nothing any more."""
        before = self.ends
        if before is None or not before.costs_the_same(self.price):
            return True
        return before.effective_to_us != self.price.effective_to_us


class Prices:
    """Lists and changes the prices in PostgreSQL; every process follows within a second.

    Every method may raise PostgresAway, and then the change may or may not have been made.
    """

    def __init__(
        self,
        postgres: Postgres,
        clock: Clock,
        randomness: Randomness,
        actor: Actor | None = None,
    ) -> None:
        """`postgres` is started and stopped by its owner; `actor` is who makes the changes."""
        self._postgres = postgres
        self._clock = clock
        self._randomness = randomness
        self._actor = actor

    def by(self, actor: Actor) -> "Prices":
        """Return the same in the hands of somebody, whose changes they are."""
        return Prices(self._postgres, self._clock, self._randomness, actor)

    async def list_all(self) -> list[Price]:
        """Return every price there ever was, by model, organization and beginning."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            found = await all_prices(connection)
        return sorted(found, key=lambda price: (price.model, price.org_id, *_span(price)))

    async def plan(self, wanted: Sequence[Price]) -> list[PriceChange]:
        """Return what setting these prices would change; raises PriceWrong."""
        for price in wanted:
            _check(price)
        async with self._postgres.connection(TIMEOUT_S) as connection:
            lines = await prices_of(connection, {(one.org_id, one.model) for one in wanted})
        return [_fit(price, lines[price.org_id, price.model]) for price in wanted]

    async def set_all(self, wanted: Sequence[Price]) -> list[PriceChange]:
        """Set these prices, in one step, where they change anything; return what was done.

        Of `wanted` the id and version are ours to give. Raises PriceWrong.
        """
        for price in wanted:
            _check(price)
        done = []
        async with self._postgres.connection(TIMEOUT_S) as connection, connection.transaction():
            if self._actor is not None:
                await acting(connection, self._actor)
            version = await exclude_others(connection)
            lines = await prices_of(connection, {(one.org_id, one.model) for one in wanted})
            for price in wanted:
                line = lines[price.org_id, price.model]
                change = _fit(price, line)
                if not change.is_needed:
                    continue
                if change.ends is not None:
                    version += 1
                    begins_us = change.price.effective_from_us
                    await close_price(connection, change.ends.price_id, begins_us, version)
                    line.remove(change.ends)
                    line.append(msgspec.structs.replace(change.ends, effective_to_us=begins_us))
                version += 1
                new = msgspec.structs.replace(
                    change.price, price_id=self._new_id(), version=version
                )
                await insert_price(connection, new)
                line.append(new)
                done.append(PriceChange(price=new, ends=change.ends))
        return done

    def _new_id(self) -> str:
        """Return an id that sorts by time and is short, because it is part of every record."""
        now_ms = self._clock.now_us() // 1000
        return f"price_{now_ms.to_bytes(6, 'big').hex()}{self._randomness.bytes(6).hex()}"


def _check(price: Price) -> None:
    """Raise PriceWrong for what PostgreSQL or a reader could not take."""
    try:
        msgspec.convert(msgspec.to_builtins(price), Price)
    except msgspec.ValidationError as error:
        raise PriceWrong(str(error)) from error
    bounds = [tier.above_input_tokens for tier in price.tiers]
    if bounds != sorted(set(bounds)):
        raise PriceWrong("its tiers must rise by their input tokens")
    if price.effective_from_us <= 0:
        raise PriceWrong("it begins before 1970")
    if price.effective_to_us and price.effective_to_us <= price.effective_from_us:
        raise PriceWrong("it ends before it begins")
    if not price.model:
        raise PriceWrong("it names no model")
    if any("\0" in text for text in (price.model, price.org_id, price.source)):
        raise PriceWrong("a name holds the character 0")


def _fit(price: Price, line: Sequence[Price]) -> PriceChange:
    """Return the price with its end where the next one begins, and the one that it ends."""
    begins_us = price.effective_from_us
    alive = [one for one in line if not one.is_withdrawn]
    ends = next((one for one in alive if one.holds_at(begins_us)), None)
    later = [one.effective_from_us for one in alive if one.effective_from_us > begins_us]
    bounds = [*later, *([price.effective_to_us] if price.effective_to_us else [])]
    fitted = msgspec.structs.replace(price, effective_to_us=min(bounds, default=0))
    return PriceChange(price=fitted, ends=ends)


def _span(price: Price) -> tuple[int, int]:
    return price.effective_from_us, price.version


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceFault:
    """Something about the prices that somebody should know."""

    model: str
    org_id: str
    finding: str


def check_prices(prices: Sequence[Price], models: Sequence[str], now_us: int) -> list[PriceFault]:
    """Return what is wrong: models without a price, prices that overlap, prices that end."""
    lines: dict[tuple[str, str], list[Price]] = {}
    for price in sorted(prices, key=_span):
        if not price.is_withdrawn:
            lines.setdefault((price.org_id, price.model), []).append(price)
    faults = [
        PriceFault(model=model, org_id="", finding="it has no price now")
        for model in models
        if not any(one.holds_at(now_us) for one in lines.get(("", model), ()))
    ]
    for (org_id, model), line in lines.items():
        for index, price in enumerate(line):
            following = line[index + 1] if index + 1 < len(line) else None
            finding = _fault(price, following, now_us)
            if finding:
                faults.append(PriceFault(model=model, org_id=org_id, finding=finding))
    return faults


def _fault(price: Price, following: Price | None, now_us: int) -> str:
    ends_us = price.effective_to_us
    if following is not None and (not ends_us or ends_us > following.effective_from_us):
        return f"{price.price_id} and {following.price_id} hold at one time"
    if ends_us > now_us and (following is None or following.effective_from_us > ends_us):
        return f"{price.price_id} ends, and none follows it at once"
    return ""
