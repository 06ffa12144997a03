"""Stripe's items of an invoice add up to it, in whole units that Stripe counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.billing import Invoice, Line, StripeRefused
from axon.billing.stripe_items import ITEMS_MAX, OTHERS, items_of, total_of

NANOS = 10**7
"""Of a cent."""


def invoice(amounts: list[tuple[str, int]], currency: str = "USD") -> Invoice:
    lines = tuple(
        Line(
            line=number, origin="usage", month="2026-11", model=model, price_id="price_1", tier=0,
            kind="input", quantity=1, rate_nano=None, amount_nano=nano, positions=(),
        )
        for number, (model, nano) in enumerate(amounts, 1)
    )  # fmt: skip
    return Invoice(
        invoice_id="inv_1", number=1, org_id="org_1", org_name="acme", month="2026-11",
        time_zone="UTC", starts_us=1, ends_us=2, currency=currency, state="final", made_us=1,
        amount_nano=sum(nano for _, nano in amounts), lines=lines,
    )  # fmt: skip


MODELS = st.sampled_from([f"model-{number}" for number in range(12)])


@given(st.lists(st.tuples(MODELS, st.integers(-(10**12), 10**13)), max_size=40))
def test_items_add_up_to_what_was_rounded_once(amounts: list[tuple[str, int]]) -> None:
    made = invoice(amounts)
    items = items_of(made)
    assert sum(item.amount for item in items) == made.total_minor == total_of(made)
    exact: dict[str, int] = {}
    for model, nano in amounts:
        exact[model] = exact.get(model, 0) + nano
    shown = {item.name: item.amount for item in items}
    assert len(shown) == len(items) and shown.keys() <= exact.keys()
    for model, nano in exact.items():
        assert abs(shown.get(model, 0) * NANOS - nano) <= NANOS


def test_more_models_than_stripe_takes_are_one_item() -> None:
    made = invoice([(f"model-{number}", number * NANOS + 1) for number in range(1, 300)])
    items = items_of(made)
    assert len(items) == ITEMS_MAX and items[-1].name == OTHERS
    assert sum(item.amount for item in items) == made.total_minor


@pytest.mark.parametrize(
    ("currency", "amount"), [("JPY", 3), ("USD", 250), ("HUF", 250), ("ISK", 300), ("UGX", 300)]
)
def test_each_currency_is_counted_as_stripe_counts_it(currency: str, amount: int) -> None:
    made = invoice([("small", 2_500_000_000)], currency)
    assert [item.amount for item in items_of(made)] == [amount] == [total_of(made)]


@pytest.mark.parametrize("currency", ["KWD", "CLF", "MGA"])
def test_what_stripe_counts_otherwise_is_refused(currency: str) -> None:
    for ask in (items_of, total_of):
        with pytest.raises(StripeRefused, match=currency):
            ask(invoice([("small", 2_500_000_000)], currency))
