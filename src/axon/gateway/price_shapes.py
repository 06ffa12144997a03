"""How prices are shown and asked for: nano-units (10^-9 of the currency) for a million tokens."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from axon.base import MICROS_PER_SECOND
from axon.metering import Nano, Price, PriceChange, Rates, Tier


class PriceRates(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Nano-units for a million model tokens of each sort; what is null costs as the plain sort."""

    input_nano: Nano
    cache_read_nano: Nano | None = None
    cache_write_nano: Nano | None = None
    output_nano: Nano
    reasoning_nano: Nano | None = None

    def read(self) -> Rates:
        """Return them as metering has them."""
        return Rates(
            input=self.input_nano,
            cache_read=self.cache_read_nano,
            cache_write=self.cache_write_nano,
            output=self.output_nano,
            reasoning=self.reasoning_nano,
        )


class PriceTier(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Other rates for the whole of a turn with more input tokens than this."""

    above_input_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    rates: PriceRates


class PriceShown(msgspec.Struct, kw_only=True):
    """A model's price for a time."""

    id: str
    object: Literal["price"] = "price"
    model: str
    org_id: str | None
    """Whose price it is; null for everyone's."""
    effective_from: int
    """Seconds since 1970, as `effective_to`."""
    effective_to: int | None
    """The first second in which it no longer holds; null while it is open."""
    currency: str
    rates: PriceRates
    per_request_nano: int
    """For each turn, beside its tokens."""
    tiers: list[PriceTier]
    source: str


class PricePage(msgspec.Struct):
    """Every price there is, those that ended too."""

    object: Literal["list"]
    data: list[PriceShown]


class PriceSet(msgspec.Struct):
    """What setting a price did."""

    object: Literal["price.change"]
    changed: bool
    """False: it was so already."""
    price: PriceShown | None
    ended: PriceShown | None
    """The one before, which ends where this begins."""


def price_shown(price: Price) -> PriceShown:
    """Return the price for JSON."""
    return PriceShown(
        id=price.price_id,
        model=price.model,
        org_id=price.org_id or None,
        effective_from=price.effective_from_us // MICROS_PER_SECOND,
        effective_to=None if price.is_open else price.effective_to_us // MICROS_PER_SECOND,
        currency=price.currency,
        rates=_rates_shown(price.rates),
        per_request_nano=price.per_request,
        tiers=[_tier_shown(tier) for tier in price.tiers],
        source=price.source,
    )


def change_shown(done: list[PriceChange]) -> PriceSet:
    """Return what setting one price did."""
    if not done:
        return PriceSet("price.change", changed=False, price=None, ended=None)
    [change] = done
    ended = None if change.ends is None else price_shown(change.ends)
    return PriceSet("price.change", changed=True, price=price_shown(change.price), ended=ended)


def read_tiers(tiers: list[PriceTier]) -> tuple[Tier, ...]:
    """Return the tiers as metering has them."""
    return tuple(
        [Tier(above_input_tokens=one.above_input_tokens, rates=one.rates.read()) for one in tiers]
    )


def _rates_shown(rates: Rates) -> PriceRates:
    return PriceRates(
        input_nano=rates.input,
        cache_read_nano=rates.cache_read,
        cache_write_nano=rates.cache_write,
        output_nano=rates.output,
        reasoning_nano=rates.reasoning,
    )


def _tier_shown(tier: Tier) -> PriceTier:
    return PriceTier(above_input_tokens=tier.above_input_tokens, rates=_rates_shown(tier.rates))
