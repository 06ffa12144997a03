"""What going beyond limits adds to a charge, from the record of the turn alone."""

import pytest

from axon.metering import PriceBook, Rates
from axon.records import Charge, Hold, TokenUsage
from tests.metering.scene import ended, price

PLAIN = price(rates=Rates(input=1_000_000, output=1_000_000), per_request=0, tiers=())
USAGE = TokenUsage(input_tokens=70, output_tokens=30)
"""Costs a hundred nano-units by that price."""


def hold(measure: str, within: int, percent: int, currency: str = "") -> Hold:
    return Hold(measure, measure, "month", 1, 9, currency, within=within, overage_percent=percent)


@pytest.mark.parametrize(
    ("holds", "more"),
    [
        ([hold("tokens", 100, 50)], 0),
        ([hold("tokens", 99, 50)], 1),  # half a nano-unit, rounded up
        ([hold("tokens", 99, 49)], 0),
        ([hold("tokens", 60, 50)], 20),
        ([hold("tokens", 0, 1000)], 1000),
        ([hold("requests", 1, 50)], 0),
        ([hold("requests", 0, 50)], 50),
        ([hold("money", 25, 20, "USD")], 15),
        ([hold("money", 25, 20, "EUR")], 0),
        ([hold("tokens", 60, 50), hold("requests", 0, 50), hold("money", 0, 7, "USD")], 77),
        ([Hold("hard", "tokens", "day", 1, 100)], 0),
    ],
)
def test_the_part_that_goes_beyond_costs_more(holds: list[Hold], more: int) -> None:
    one = ended("chatcmpl_1", PriceBook([PLAIN]), usage=USAGE, holds=holds)
    assert one.charge == Charge("price_1", "USD", 100 + more, more)


def test_what_costs_nothing_has_no_overage() -> None:
    assert ended("chatcmpl_1", PriceBook(), holds=[hold("requests", 0, 50)]).charge == Charge()
