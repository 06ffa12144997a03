"""Prices from the package genai-prices: its decimals for a million tokens, as integers.

The package is an extra, `axon[prices]`. Only the list inside it is read; nothing is fetched.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from axon.base import MICROS_PER_SECOND, NANOS_PER_UNIT, AxonError
from axon.metering import Price, Rates, Tier

_REQUESTS_PER_RATE = 1000
"""The package has the price of a thousand requests."""


class PricesExtraMissing(AxonError):
    """The package genai-prices is not installed: pip install 'axon[prices]'."""


class PriceTooFine(AxonError):
    """A price of the package is no whole number of nano-units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What the package says of the models asked for."""

    prices: list[Price]
    """Everyone's, from now on, without ids."""
    unknown: list[str]
    """The models it has no price for."""


def import_prices(names: Sequence[str], now_us: int) -> Imported:
    """Return the package's prices of these models as of now; raises PricesExtraMissing.

    A name is a model's alias here, or `ALIAS=MODEL` or `ALIAS=PROVIDER/MODEL` where the package
    knows it by another name.
    """
    try:
        package = importlib.import_module("genai_prices")
        snapshots = importlib.import_module("genai_prices.data_snapshot")
    except ImportError as error:
        raise PricesExtraMissing(str(error)) from error
    snapshot = snapshots.get_snapshot()
    found, unknown = [], []
    for name in names:
        alias, _, reference = name.partition("=")
        provider, _, model = (reference or alias).rpartition("/")
        try:
            _, info = snapshot.find_provider_model(model, None, provider or None, None)
        except LookupError:
            unknown.append(name)
            continue
        at = datetime.fromtimestamp(now_us // MICROS_PER_SECOND, UTC)
        price = _price(alias, info.get_prices(at), now_us, f"genai-prices {package.__version__}")
        if price is None:
            unknown.append(name)
        else:
            found.append(price)
    return Imported(prices=found, unknown=unknown)


def _price(alias: str, listed: Any, now_us: int, source: str) -> Price | None:
    """Return a price; None for a model that is not charged by tokens of text."""
    if getattr(listed, "input_mtok", None) is None:
        return None
    bounds = sorted(
        {tier.start for value in vars(listed).values() for tier in getattr(value, "tiers", ())}
    )
    per_request = getattr(listed, "requests_kcount", None)
    return Price(
        price_id="",
        model=alias,
        effective_from_us=now_us,
        currency="USD",
        rates=_rates(listed, -1),
        per_request=_nano(Decimal(_at(per_request, -1)) / _REQUESTS_PER_RATE) if per_request else 0,
        tiers=tuple(
            Tier(above_input_tokens=bound, rates=_rates(listed, bound)) for bound in bounds
        ),
        source=source,
    )


def _rates(listed: Any, bound: int) -> Rates:
    """Return the rates above a bound of input tokens; -1 for those of the shortest input."""

    def rate(name: str) -> int | None:
        value = getattr(listed, name, None)
        return None if value is None else _nano(_at(value, bound))

    output = rate("output_mtok")
    return Rates(
        input=rate("input_mtok") or 0,
        cache_read=rate("cache_read_mtok"),
        cache_write=rate("cache_write_mtok"),
        output=0 if output is None else output,
        reasoning=rate("output_reasoning_mtok"),
    )


def _at(value: Any, bound: int) -> Decimal:
    """Return a price that may have tiers, above a bound of input tokens."""
    found: Decimal = getattr(value, "base", value)
    for tier in getattr(value, "tiers", ()):
        if tier.start <= bound:
            found = tier.price
    return found


def _nano(amount: Decimal) -> int:
    nano = amount * NANOS_PER_UNIT
    if nano != int(nano):
        raise PriceTooFine(str(amount))
    return int(nano)
