"""Every price this process knows, by model and organization: a look-up, never a query."""

from collections.abc import Iterable

from axon.metering.overage import with_overage
from axon.metering.price import Price, is_owed, rate, rate_at_most
from axon.records import Charge, TokenUsage, TurnHead
from axon.telemetry import CounterTallies

_unpriced = CounterTallies(
    "axon_metering_turns_without_price_total",
    "Turns that cost nothing because their model had no price.",
).series()

_FREE = Charge()


class PriceBook:
    """Says what a turn costs; follows nothing by itself, see PriceFollower."""

    def __init__(self, prices: Iterable[Price] = ()) -> None:
        """It knows these prices."""
        self._prices: dict[str, Price] = {}
        self._lines: dict[tuple[str, str], list[Price]] = {}
        """The prices of an organization and model, the newest first."""
        self.put(prices)

    def __len__(self) -> int:
        """Return how many prices are known."""
        return len(self._prices)

    def all(self) -> tuple[Price, ...]:
        """Return every price, in no order."""
        return tuple(self._prices.values())

    def put(self, prices: Iterable[Price]) -> None:
        """Know these prices, in place of what was known under their ids."""
        touched = set()
        for price in prices:
            if price.version >= self._prices.get(price.price_id, price).version:
                self._prices[price.price_id] = price
                touched.add((price.org_id, price.model))
        if not touched:
            return
        lines: dict[tuple[str, str], list[Price]] = {key: [] for key in touched}
        for price in self._prices.values():
            line = lines.get((price.org_id, price.model))
            if line is not None and not price.is_withdrawn:
                line.append(price)
        for line in lines.values():
            line.sort(key=lambda price: price.effective_from_us, reverse=True)
        self._lines |= lines

    def clear(self) -> None:
        """Forget every price."""
        self._prices.clear()
        self._lines.clear()

    def price_of(self, org_id: str, model: str, at_us: int) -> Price | None:
        """Return the price in force at an instant, the organization's own before everyone's."""
        for key in ((org_id, model), ("", model)):
            for price in self._lines.get(key, ()):
                if price.effective_from_us <= at_us:
                    if at_us < price.effective_to_us or price.effective_to_us == 0:
                        return price
                    break  # the older ones of the line ended before this one began
        return None

    def charge(self, head: TurnHead, status: str, usage: TokenUsage) -> Charge:
        """Return what a turn costs at the price in force when it was accepted, and its overage.

        Nothing without a price, which is counted, and nothing for a turn that failed with nothing.
        """
        if not is_owed(status, usage):
            return _FREE
        price = self.price_of(head.org_id, head.runs_on, head.accepted_us)
        if price is None:
            _unpriced.count += 1
            return _FREE
        charge = Charge(price.price_id, price.currency, rate(price, usage))
        return with_overage(charge, head.holds, usage) if head.holds else charge

    def charge_at_most(self, head: TurnHead, input_tokens: int, output_tokens: int) -> Charge:
        """Return the most that a turn with so many tokens can cost; nothing without a price."""
        price = self.price_of(head.org_id, head.runs_on, head.accepted_us)
        if price is None:
            return _FREE
        at_most = rate_at_most(price, input_tokens, output_tokens)
        return Charge(price.price_id, price.currency, at_most)
