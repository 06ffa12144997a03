"""What an invoice asks for, as Stripe counts it: items in whole minor units that add up to it."""

from typing import NamedTuple

from axon.base import NANOS_PER_UNIT
from axon.billing.invoice import Invoice
from axon.billing.money import minor_digits
from axon.billing.stripe_api import StripeRefused

ITEMS_MAX = 100
"""Stripe takes 250 on an invoice; what is beyond these is one item, the last."""

OTHERS = "other models"

_DIGITS_TAKEN = (0, 2)
"""Stripe has no fourth decimal, and wants the third to be 0."""

_HUNDREDFOLD = frozenset({"ISK", "UGX"})
"""They have no minor unit, and Stripe wants two zeros all the same."""

_COUNTED_OTHERWISE = frozenset({"MGA"})
"""Stripe counts in units what ISO 4217 counts in minor units."""


class Item(NamedTuple):
    """A line of Stripe's invoice."""

    name: str
    """The model."""
    amount: int
    """In Stripe's smallest unit of the currency; below 0 takes something off."""


def items_of(invoice: Invoice) -> list[Item]:
    """Return an item for each model, the dearest first, which add up to the invoice's total.

    Each is the model's exact amount, rounded down or up to a minor unit so that the sum is the
    total that was rounded once (largest remainder). Raises StripeRefused for a currency that
    Stripe does not count as we do.
    """
    times = _times(invoice.currency)
    nano_per_minor = NANOS_PER_UNIT // 10 ** minor_digits(invoice.currency)
    exact: dict[str, int] = {}
    for line in invoice.lines:
        exact[line.model] = exact.get(line.model, 0) + line.amount_nano
    ranked = sorted(exact.items(), key=lambda one: (-abs(one[1]), one[0]))
    if len(ranked) > ITEMS_MAX:
        rest = sum(nano for _, nano in ranked[ITEMS_MAX - 1 :])
        ranked = [*ranked[: ITEMS_MAX - 1], (OTHERS, rest)]
    parts = [divmod(nano, nano_per_minor) for _, nano in ranked]
    left = invoice.total_minor - sum(whole for whole, _ in parts)
    by_rest = sorted(range(len(parts)), key=lambda place: -parts[place][1])
    raised = set(by_rest[:left])
    amounts = [whole + (place in raised) for place, (whole, _) in enumerate(parts)]
    items = [Item(name, amount * times) for (name, _), amount in zip(ranked, amounts, strict=True)]
    return [item for item in items if item.amount]


def total_of(invoice: Invoice) -> int:
    """Return the invoice's total in Stripe's smallest unit of the currency."""
    return at_stripe(invoice.total_minor, invoice.currency)


def at_stripe(minor: int, currency: str) -> int:
    """Return an amount of minor units in Stripe's smallest unit; raises StripeRefused."""
    return minor * _times(currency)


def _times(currency: str) -> int:
    if minor_digits(currency) not in _DIGITS_TAKEN or currency in _COUNTED_OTHERWISE:
        raise StripeRefused(f"it does not count {currency} as this invoice does")
    return 100 if currency in _HUNDREDFOLD else 1
