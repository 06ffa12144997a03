"""An amount is rounded once, a half away from zero, to the places its currency has."""

from decimal import Decimal

import pytest

from axon.billing import minor_of, minor_text, nano_text
from axon.billing.money import to_minor
from axon.billing.splitting import split
from tests.metering.scene import price


@pytest.mark.parametrize(
    ("nano", "currency", "minor", "text"),
    [
        (4_999_999, "USD", 0, "0.00"),
        (5_000_000, "USD", 1, "0.01"),
        (-5_000_000, "USD", -1, "-0.01"),
        (-4_999_999, "USD", 0, "0.00"),
        (1_234_567_895_000_000, "EUR", 123_456_790, "1,234,567.90"),
        (1_499_999_999, "JPY", 1, "1"),
        (1_500_000_000, "JPY", 2, "2"),
        (1_000_500_000, "KWD", 1001, "1.001"),
        (123_450_000, "CLF", 1235, "0.1235"),
        (10**24 + 1, "USD", 10**17, "1,000,000,000,000,000.00"),
    ],
)
def test_rounding(nano: int, currency: str, minor: int, text: str) -> None:
    assert to_minor(nano, currency) == minor
    assert minor_text(minor, currency) == text


def test_text() -> None:
    assert nano_text(1_234_000_000_001) == "1,234.000000001"
    assert nano_text(-1_234_500_000_000, grouped=False) == "-1234.50"
    assert minor_of(Decimal("12.5"), "USD") == 1250 and minor_of(Decimal("12.505"), "USD") is None


def test_parts_add_up_to_the_whole_whatever_is_left_over() -> None:
    quantities = {"input": 10, "cached": 3, "output": 7, "request": 2}
    for cost in (0, 1, 95_014, 10**12):
        assert sum(split(cost, quantities, price(), 0).values()) == cost
    assert split(50, quantities, None, 0) == {"input": 50, "cached": 0, "output": 0, "request": 0}
    parts = split(95_014 + 750 + 3, quantities, price(), 0)
    assert parts == {"input": 25_000, "cached": 750, "output": 70_003, "request": 14}
