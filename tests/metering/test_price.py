"""A turn's cost is exact, whatever the figures: checked against fractions."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.metering import PriceBook, Rates, Tier, is_owed, rate, rate_at_most
from axon.metering.price import Nano
from axon.records import Charge, TokenUsage
from tests.metering.scene import MODEL, ORG, START_US, ended, price

COUNTS = st.integers(0, 2**31 - 1)
NANOS = st.integers(0, 10**15)
RATES = st.builds(
    Rates,
    input=NANOS,
    cache_read=st.none() | NANOS,
    cache_write=st.none() | NANOS,
    output=NANOS,
    reasoning=st.none() | NANOS,
)
USAGES = st.builds(
    TokenUsage,
    input_tokens=COUNTS,
    cached_tokens=COUNTS,
    output_tokens=COUNTS,
    reasoning_tokens=COUNTS,
    estimated=st.booleans(),
    cache_write_tokens=COUNTS,
)


def exact(rates: Rates, usage: TokenUsage) -> Fraction:
    """Return the cost without rounding, as the words of the documentation have it."""
    cached = min(usage.cached_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - cached)
    thought = min(usage.reasoning_tokens, usage.output_tokens)

    def sort(tokens: int, own: int | None, plain: int) -> Fraction:
        return Fraction(tokens * (plain if own is None else own), 1_000_000)

    return (
        sort(usage.input_tokens - cached - written, None, rates.input)
        + sort(cached, rates.cache_read, rates.input)
        + sort(written, rates.cache_write, rates.input)
        + sort(usage.output_tokens - thought, None, rates.output)
        + sort(thought, rates.reasoning, rates.output)
    )


def half_up(value: Fraction) -> int:
    return (value + Fraction(1, 2)).__floor__()


@given(rates=RATES, usage=USAGES, per_request=NANOS)
def test_a_turn_costs_the_exact_sum_rounded_half_up_once(
    rates: Rates, usage: TokenUsage, per_request: int
) -> None:
    one = price(rates=rates, tiers=(), per_request=per_request)
    cost = rate(one, usage)
    assert cost == half_up(exact(rates, usage)) + per_request
    assert cost >= 0


@given(usage=USAGES)
def test_a_tier_counts_for_the_whole_turn_above_its_bound(usage: TokenUsage) -> None:
    one = price()
    rates = one.tiers[0].rates if usage.input_tokens > 1000 else one.rates
    assert rate(one, usage) == half_up(exact(rates, usage)) + one.per_request


@given(
    rates=RATES,
    above=st.tuples(COUNTS, RATES),
    usage=USAGES,
    more=st.tuples(COUNTS, COUNTS),
    per_request=NANOS,
)
def test_no_turn_costs_more_than_one_of_its_size_can(
    rates: Rates,
    above: tuple[int, Rates],
    usage: TokenUsage,
    more: tuple[int, int],
    per_request: int,
) -> None:
    tier = Tier(above_input_tokens=above[0], rates=above[1])
    one = price(rates=rates, tiers=(tier,), per_request=per_request)
    at_most = rate_at_most(one, usage.input_tokens + more[0], usage.output_tokens + more[1])
    assert rate(one, usage) <= at_most


def test_the_most_a_turn_can_cost_is_what_the_dearest_one_does() -> None:
    one = price(rates=Rates(input=2, cache_write=3, output=5, reasoning=4), tiers=(), per_request=7)
    dearest = TokenUsage(input_tokens=10**6, cache_write_tokens=10**6, output_tokens=10**6)
    assert rate_at_most(one, 10**6, 10**6) == rate(one, dearest) == 3 + 5 + 7


def test_half_a_nano_is_rounded_up() -> None:
    one = price(rates=Rates(input=1, output=0), tiers=(), per_request=0)
    assert rate(one, TokenUsage(input_tokens=499_999)) == 0
    assert rate(one, TokenUsage(input_tokens=500_000)) == 1


def test_a_turn_that_failed_with_nothing_is_not_charged() -> None:
    nothing, some = TokenUsage(), TokenUsage(output_tokens=1)
    assert not is_owed("failed", nothing)
    assert is_owed("failed", some)
    assert is_owed("completed", nothing)  # embeddings from memory: the fee for the request
    book = PriceBook([price()])
    assert ended("chatcmpl_1", book, status="failed", usage=nothing).charge == Charge()
    assert ended("chatcmpl_2", book, usage=nothing).charge == Charge("price_1", "USD", 7)


def test_an_organizations_own_price_goes_before_everyones() -> None:
    ours = price(price_id="price_ours", org_id=ORG, effective_from_us=10, effective_to_us=20)
    old = price(price_id="price_old", effective_to_us=15)
    new = price(price_id="price_new", effective_from_us=15)
    gone = price(price_id="price_gone", effective_from_us=15, effective_to_us=15, version=9)
    book = PriceBook([new, gone, old, ours])

    def at(org_id: str, at_us: int) -> str:
        found = book.price_of(org_id, MODEL, at_us)
        return found.price_id if found is not None else ""

    assert [at(ORG, us) for us in (9, 10, 19, 20)] == [
        "price_old", "price_ours", "price_ours", "price_new",
    ]  # fmt: skip
    assert [at("org_9", us) for us in (-1, 0, 14, 15)] == [
        "", "price_old", "price_old", "price_new",
    ]  # fmt: skip
    assert book.price_of(ORG, "unknown", START_US) is None


def test_a_price_that_came_again_in_an_older_version_changes_nothing() -> None:
    book = PriceBook([price(version=3, effective_to_us=5)])
    book.put([price(version=2)])
    assert book.price_of(ORG, MODEL, 6) is None


def test_rates_out_of_bounds_are_refused() -> None:
    assert msgspec.convert(10**15, Nano) == 10**15
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(10**15 + 1, Nano)
