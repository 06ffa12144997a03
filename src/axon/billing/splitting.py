"""Divides what turns were charged among the kinds of things that they were charged for."""

from collections.abc import Mapping

from axon.billing.invoice import KINDS
from axon.metering import Price, Rates

_TOKENS_PER_RATE = 1_000_000


def split(
    cost_nano: int, quantities: Mapping[str, int], price: Price | None, tier: int
) -> dict[str, int]:
    """Return each kind's part of a cost without overage; the parts add up to it exactly.

    A part is quantity times rate, cut to whole nano-units. Each turn was rounded by itself when it
    was charged, so a few nano-units are left over: they go to the largest part.
    """
    parts = dict.fromkeys(quantities, 0)
    if price is not None:
        for kind, quantity in quantities.items():
            parts[kind] = quantity * kind_rate(price, tier, kind)
            if kind != "request":
                parts[kind] //= _TOKENS_PER_RATE
    largest = max(parts, key=lambda kind: (parts[kind], -KINDS.index(kind)))
    parts[largest] += cost_nano - sum(parts.values())
    return parts


def kind_rate(price: Price, tier: int, kind: str) -> int:
    """Return nano-units for a million tokens of a kind, or for a request; tiers count from 1."""
    if kind == "request":
        return price.per_request
    rates: Rates = price.tiers[tier - 1].rates if tier else price.rates
    if kind == "cached":
        return rates.input if rates.cache_read is None else rates.cache_read
    if kind == "cache_write":
        return rates.input if rates.cache_write is None else rates.cache_write
    if kind == "reasoning":
        return rates.output if rates.reasoning is None else rates.reasoning
    return rates.input if kind == "input" else rates.output
