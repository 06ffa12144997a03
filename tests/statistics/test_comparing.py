"""Differences beside tea-tasting and statsmodels, and what looking all the time does to them."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import statsmodels.stats.multitest
import statsmodels.stats.power
import statsmodels.stats.weightstats
import tea_tasting

from axon.statistics import (
    Estimate,
    MomentsWrong,
    adjusted_of,
    anytime_difference_of,
    anytime_relative_of,
    benjamini_hochberg,
    detectable_of,
    difference_of,
    holm,
    mean_of,
    ratio_of,
    relative_of,
)
from axon.statistics.moments import Moments
from tests.statistics.made_up import Values, costs, moments_of, turns

ALPHA = 0.05
EXACT = 1e-9


def _frame(control: tuple[Values, Values], treated: tuple[Values, Values]) -> pd.DataFrame:
    variants = [0] * len(control[0]) + [1] * len(treated[0])
    x, y = (np.concatenate([one, other]) for one, other in zip(control, treated, strict=True))
    return pd.DataFrame({"variant": variants, "x": x, "y": y})


def _is_theirs(one: Estimate, other: Estimate, theirs: object) -> None:
    found, span = difference_of(one, other, ALPHA), relative_of(one, other, ALPHA)
    assert found.interval is not None and span is not None
    ours = {
        "control": one.value,
        "treatment": other.value,
        "effect_size": found.difference,
        "effect_size_ci_lower": found.interval.low,
        "effect_size_ci_upper": found.interval.high,
        "pvalue": found.p,
        "rel_effect_size": found.difference / one.value,
        "rel_effect_size_ci_lower": span.low,
        "rel_effect_size_ci_upper": span.high,
    }
    for name, value in ours.items():
        assert value == pytest.approx(getattr(theirs, name), rel=EXACT), name


def _asked(frame: pd.DataFrame, metric: object) -> object:
    return tea_tasting.Experiment(it=metric).analyze(frame)["it"]


def test_means_are_tea_tastings_and_statsmodels() -> None:
    control, treated = costs(1, 3_000), costs(2, 1_000, 1.07)
    one, other = mean_of(moments_of(control[0])), mean_of(moments_of(treated[0]))
    _is_theirs(one, other, _asked(_frame(control, treated), tea_tasting.Mean("x")))
    t, p, _ = statsmodels.stats.weightstats.ttest_ind(treated[0], control[0], usevar="unequal")
    found = difference_of(one, other, ALPHA)
    assert found.p == pytest.approx(p, rel=EXACT)
    error = math.sqrt(one.error_square + other.error_square)
    assert found.difference / error == pytest.approx(t, rel=EXACT)


def test_ratios_are_tea_tastings() -> None:
    control, treated = turns(3, 900), turns(4, 1_100)
    theirs = _asked(_frame(control, treated), tea_tasting.RatioOfMeans("x", "y"))
    _is_theirs(ratio_of(moments_of(*control)), ratio_of(moments_of(*treated)), theirs)


def test_means_adjusted_by_what_was_before_are_tea_tastings() -> None:
    control, treated = costs(5, 800), costs(6, 1_200, 1.05)
    theirs = _asked(_frame(control, treated), tea_tasting.Mean("x", "y"))
    one, other = adjusted_of(moments_of(*control), moments_of(*treated))
    _is_theirs(one, other, theirs)
    assert one.variance < 0.5 * mean_of(moments_of(control[0])).variance


def test_what_can_be_found_is_what_statsmodels_says() -> None:
    one, other = mean_of(moments_of(costs(7, 500)[0])), mean_of(moments_of(costs(8, 2_000)[0]))
    same = Estimate(other.units, other.value, one.variance)
    size = detectable_of(one, same, ALPHA, 0.8) / math.sqrt(one.variance)
    # One side of alpha / 2: the chance to find the effect on its wrong side is no power.
    power = statsmodels.stats.power.NormalIndPower().power(
        effect_size=size, nobs1=one.units, alpha=ALPHA / 2, ratio=4, alternative="larger"
    )
    assert power == pytest.approx(0.8, rel=EXACT)


@pytest.mark.parametrize(("ours", "name"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_corrections_are_statsmodels(ours: Callable[[list[float]], list[float]], name: str) -> None:
    made = np.random.default_rng(9)
    for many in (1, 2, 7, 40):
        ps = [float(p) for p in made.random(many) ** 3]
        theirs = statsmodels.stats.multitest.multipletests(ps, method=name)[1]
        assert ours(ps) == pytest.approx(list(theirs), rel=EXACT)
    assert ours([]) == []


def test_sums_of_large_numbers_keep_their_digits() -> None:
    whole = [10**15 + one for one in (1, 2, 3, 4)]
    moments = Moments(units=4, x=sum(whole), xx=sum(one * one for one in whole))
    assert moments.x_variance == pytest.approx(5 / 3, rel=1e-15)


def test_sums_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(MomentsWrong):
        mean_of(Moments(units=2, x=math.nan, xx=1.0))
    with pytest.raises(MomentsWrong):
        mean_of(Moments(units=2, x=1.0, xx=math.inf))
    with pytest.raises(MomentsWrong):
        ratio_of(Moments(units=2, x=1.0, xx=1.0))


def test_units_that_are_all_alike_prove_nothing() -> None:
    one, other = Estimate(100, 1.0, 0.0), Estimate(100, 2.0, 0.0)
    assert difference_of(one, other, ALPHA) == (1.0, None, 1.0)
    assert anytime_difference_of(one, other, ALPHA, 1_000) == (1.0, None, 1.0)
    assert relative_of(one, other, ALPHA) is None
    assert anytime_relative_of(one, Estimate(100, -2.0, 1.0), ALPHA, 1_000) is None
    assert relative_of(Estimate(2, 1.0, 4e3), Estimate(2, 1.0, 4e3), ALPHA) is None


def test_the_interval_for_all_times_and_its_p_say_the_same() -> None:
    for value in np.linspace(0.9, 1.1, 101):
        one, other = Estimate(1_000, 1.0, 0.8), Estimate(3_000, float(value), 0.9)
        found = anytime_difference_of(one, other, ALPHA, 10_000)
        assert found.interval is not None
        assert (found.interval.low <= 0 <= found.interval.high) == (found.p >= ALPHA)
        once = difference_of(one, other, ALPHA).interval
        assert once is not None
        assert found.interval.low < once.low and once.high < found.interval.high


EXPERIMENTS, UNITS, FROM = 1_000, 3_000, 100
"""Looked at after each unit of the 101st to the 3,000th of each side."""


def _bounds() -> Values:
    """Return, for every look, how many standard errors away from zero a difference is found."""
    halves = []
    for units in range(FROM + 1, UNITS + 1):
        one = Estimate(units, 0.0, 0.5 * units)  # the difference's variance is 1
        found = anytime_difference_of(one, one, ALPHA, 2 * UNITS)
        assert found.interval is not None
        halves.append(found.interval.high)
    return np.array(halves)


def _distances(control: Values, treated: Values) -> Values:
    """Return, for every look, the difference in standard errors."""
    many = np.arange(FROM + 1, UNITS + 1)
    apart, square = np.zeros(len(many)), np.zeros(len(many))
    for sign, x in ((-1, control), (1, treated)):
        sums, squares = x.cumsum()[FROM:], (x * x).cumsum()[FROM:]
        apart += sign * sums / many
        square += (squares - sums * sums / many) / (many - 1) / many
    return np.abs(apart) / np.sqrt(square)


def _made(kind: str, made: np.random.Generator) -> Values:
    if kind == "normal":
        return made.normal(1.0, 1.0, UNITS)
    if kind == "cost":
        return made.lognormal(0.0, 1.0, UNITS)
    return (made.random(UNITS) < 0.1).astype(np.float64)


@pytest.mark.parametrize("kind", ["normal", "cost", "share"])
def test_who_looks_all_the_time_finds_nothing_where_nothing_is(kind: str) -> None:
    made, bounds = np.random.default_rng(10), _bounds()
    wrong = misled = 0
    for _ in range(EXPERIMENTS):
        far = _distances(_made(kind, made), _made(kind, made))
        wrong += bool((far > bounds).any())
        misled += bool((far > 1.96).any())
    print(f"A/A, {kind}: {wrong / EXPERIMENTS:.1%} false, Welch's test {misled / EXPERIMENTS:.1%}")
    assert wrong <= ALPHA * EXPERIMENTS
    assert misled > 3 * ALPHA * EXPERIMENTS  # or these looks would tempt nobody


def test_an_effect_that_is_there_is_found() -> None:
    made, bounds, effect = np.random.default_rng(11), _bounds(), 0.1
    looks = []
    for _ in range(EXPERIMENTS):
        far = _distances(_made("normal", made), _made("normal", made) + effect)
        looks.append(int(np.argmax(far > bounds)) if (far > bounds).any() else UNITS)
    power, half = float(np.mean(np.array(looks) < UNITS)), FROM + float(np.median(looks))
    one = Estimate(UNITS, 1.0, 1.0)
    least = detectable_of(one, one, ALPHA, 0.8)
    print(f"effect {effect} sd: power {power:.1%}, half of them after {half:.0f} units a side;")
    print(f"one look at {UNITS} units a side finds {least:.3f} sd with power 80%")
    assert power > 0.8 and half < 0.7 * UNITS and least < effect
