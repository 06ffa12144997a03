"""What a model costs, and what a turn costs: integers all the way, rounded once."""

from typing import Annotated

import msgspec
from msgspec import Meta

from axon.records import TokenUsage

TOKENS_PER_RATE = 1_000_000
"""A rate is for a million model tokens, as every price list has it."""

Nano = Annotated[int, Meta(ge=0, le=10**15)]
"""At most a million units for a million tokens: a unit a token."""

TIERS_MAX = 16
"""More than any price list has; a turn looks at each."""


class Rates(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Nano-units for a million model tokens of each sort; what is None costs as the plain sort."""

    input: Nano
    cache_read: Nano | None = None
    cache_write: Nano | None = None
    output: Nano
    reasoning: Nano | None = None


class Tier(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Other rates for the whole of a turn with a long input."""

    above_input_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    """The tier counts for a turn with more input tokens than this."""
    rates: Rates


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """A model's price for a time; once it is there, only its end may change."""

    price_id: str
    org_id: str = ""
    """Whose price it is; empty for everyone's."""
    model: str
    """The alias that clients name."""
    effective_from_us: int
    effective_to_us: int = 0
    """The first instant it no longer holds; 0 while it is open. One that ends where it begins was
    replaced before it could hold."""
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    """ISO 4217."""
    rates: Rates
    per_request: Nano = 0
    """Nano-units for each turn, beside its tokens."""
    tiers: Annotated[tuple[Tier, ...], Meta(max_length=TIERS_MAX)] = ()
    """By their input tokens, rising."""
    source: str = ""
    """Where it was taken from, in words."""
    version: int = 0
    """Number of the change that wrote it."""

    def holds_at(self, at_us: int) -> bool:
        """Return whether the price is in force at an instant."""
        return self.effective_from_us <= at_us and (at_us < self.effective_to_us or self.is_open)

    @property
    def is_open(self) -> bool:
        """Return whether the price has no end yet."""
        return self.effective_to_us == 0

    @property
    def is_withdrawn(self) -> bool:
        """Return whether the price was replaced before it could hold."""
        return self.effective_to_us == self.effective_from_us and not self.is_open

    def costs_the_same(self, other: "Price") -> bool:
        """Return whether every turn costs as much by the other price."""
        mine = (self.currency, self.rates, self.per_request, self.tiers)
        return mine == (other.currency, other.rates, other.per_request, other.tiers)


def rate(price: Price, usage: TokenUsage) -> int:
    """Return what a turn with this usage costs, in nano-units, rounded half up once.

    Cached and cache-write tokens are part of the input and reasoning tokens part of the output:
    what an engine reports beyond that is not charged twice.
    """
    rates = price.rates
    tokens_in, tokens_out = usage.input_tokens, usage.output_tokens
    for tier in price.tiers:
        if tokens_in > tier.above_input_tokens:
            rates = tier.rates
    units = tokens_in * rates.input + tokens_out * rates.output
    if usage.cached_tokens and rates.cache_read is not None:
        cached = min(usage.cached_tokens, tokens_in)
        units += cached * (rates.cache_read - rates.input)
    if usage.cache_write_tokens and rates.cache_write is not None:
        written = min(usage.cache_write_tokens, max(0, tokens_in - usage.cached_tokens))
        units += written * (rates.cache_write - rates.input)
    if usage.reasoning_tokens and rates.reasoning is not None:
        thought = min(usage.reasoning_tokens, tokens_out)
        units += thought * (rates.reasoning - rates.output)
    half = TOKENS_PER_RATE // 2
    return (units + half) // TOKENS_PER_RATE + price.per_request


def rate_at_most(price: Price, input_tokens: int, output_tokens: int) -> int:
    """Return what no turn costs more than that has at most so many tokens, in nano-units.

    Every token counts as the dearest of its sort, in the dearest tier that the turn can come into.
    """
    within = [tier.rates for tier in price.tiers if input_tokens > tier.above_input_tokens]
    units = max(
        input_tokens * max(rates.input, rates.cache_read or 0, rates.cache_write or 0)
        + output_tokens * max(rates.output, rates.reasoning or 0)
        for rates in (price.rates, *within)
    )
    half = TOKENS_PER_RATE // 2
    return (units + half) // TOKENS_PER_RATE + price.per_request


def is_owed(status: str, usage: TokenUsage) -> bool:
    """Return whether a turn that ended like this is charged: not one that failed with nothing."""
    return status != "failed" or usage.input_tokens + usage.output_tokens > 0
