"""Two estimates compared: once, at the planned end, or as often as anybody likes to look."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from axon.statistics.distributions import normal_quantile, student_quantile, student_two_sided
from axon.statistics.moments import Estimate, welch_degrees

_LOGARITHM_MAX = 20.0
"""Half of an interval, as a logarithm: beyond a factor of 500 million it says nothing."""


class Interval(NamedTuple):
    """From where to where a value may be."""

    low: float
    high: float


class Difference(NamedTuple):
    """How far a variant is from the control."""

    difference: float
    interval: Interval | None
    """None where all units of both are alike: nothing says what else may be."""
    p: float
    """How likely a difference so large is without any effect; 1 where nothing can be said."""


def difference_of(control: Estimate, treated: Estimate, alpha: float) -> Difference:
    """Return the difference by Welch's test: right for one look, at an end that was planned.

    Who looks again and again until p is small finds effects that are not there: see
    `anytime_difference_of`.
    """
    apart = treated.value - control.value
    error = _error(control, treated)
    if error == 0:
        return _alike(apart)
    degrees = welch_degrees(control, treated)
    half = student_quantile(1 - alpha / 2, degrees) * error
    return Difference(
        apart, Interval(apart - half, apart + half), student_two_sided(apart / error, degrees)
    )


def relative_of(control: Estimate, treated: Estimate, alpha: float) -> Interval | None:
    """Return the interval of the relative difference, by the delta method on the logarithm of the
    quotient; None where that means nothing: values of two signs, a zero, or units that are all
    alike."""
    scaled = _scaled(control, treated)
    if scaled is None:
        return None
    half = student_quantile(1 - alpha / 2, welch_degrees(*scaled)) * _error(*scaled)
    return _around(treated.value / control.value, half)


def anytime_difference_of(
    control: Estimate, treated: Estimate, alpha: float, planned_units: int
) -> Difference:
    """Return the difference with an interval and a p that hold at all times at once.

    The method is the asymptotic confidence sequence of Waudby-Smith and others, a normal mixture
    (Robbins; the mSPRT inverted): over the whole life of an experiment without effect, the
    interval leaves zero out with a probability of at most alpha, however often it is looked at and
    whenever it is stopped. It is tightest at `planned_units`, of both sides together, and wider
    than Welch's everywhere. Asymptotic: it needs enough units that means are about normal.
    """
    apart = treated.value - control.value
    error = _error(control, treated)
    if error == 0:
        return _alike(apart)
    weight = _weight(control, treated, alpha, planned_units)
    half = _anytime_factor(weight, alpha) * error
    z_square = (apart / error) ** 2
    log_p = (math.log1p(weight) - z_square * weight / (weight + 1)) / 2
    return Difference(apart, Interval(apart - half, apart + half), math.exp(min(log_p, 0.0)))


def anytime_relative_of(
    control: Estimate, treated: Estimate, alpha: float, planned_units: int
) -> Interval | None:
    """Return the relative difference's interval that holds at all times; None as `relative_of`."""
    scaled = _scaled(control, treated)
    if scaled is None:
        return None
    weight = _weight(control, treated, alpha, planned_units)
    return _around(treated.value / control.value, _anytime_factor(weight, alpha) * _error(*scaled))


def detectable_of(control: Estimate, treated: Estimate, alpha: float, power: float) -> float:
    """Return the smallest difference that one look at so many units finds with this power."""
    return (normal_quantile(1 - alpha / 2) + normal_quantile(power)) * _error(control, treated)


def holm(ps: Sequence[float]) -> list[float]:
    """Return the p of each of some questions, corrected so that the chance of even one false
    finding among them stays at alpha (Holm): for what a decision hangs on."""
    order = sorted(range(len(ps)), key=ps.__getitem__)
    found, least = [0.0] * len(ps), 0.0
    for rank, at in enumerate(order):
        least = max(least, min(1.0, (len(ps) - rank) * ps[at]))
        found[at] = least
    return found


def benjamini_hochberg(ps: Sequence[float]) -> list[float]:
    """Return the p of each, corrected so that of all findings about alpha are false (Benjamini and
    Hochberg): for what is only looked through."""
    order = sorted(range(len(ps)), key=ps.__getitem__, reverse=True)
    found, most = [0.0] * len(ps), 1.0
    for rank, at in enumerate(order):
        most = min(most, ps[at] * len(ps) / (len(ps) - rank))
        found[at] = most
    return found


def _error(control: Estimate, treated: Estimate) -> float:
    return math.sqrt(control.error_square + treated.error_square)


def _alike(apart: float) -> Difference:
    """Return the difference of two variants whose units are all alike, as the first few may be by
    chance: that must not look like proof."""
    return Difference(apart, None, 1.0)


def _scaled(control: Estimate, treated: Estimate) -> tuple[Estimate, Estimate] | None:
    """Return both as shares of their own values; None where `relative_of` is."""
    if control.value * treated.value <= 0 or _error(control, treated) == 0:
        return None
    one, other = (
        Estimate(each.units, 1.0, each.variance / each.value**2) for each in (control, treated)
    )
    return one, other


def _around(quotient: float, half: float) -> Interval | None:
    if half > _LOGARITHM_MAX:
        return None
    return Interval(quotient / math.exp(half) - 1, quotient * math.exp(half) - 1)


def _weight(control: Estimate, treated: Estimate, alpha: float, planned_units: int) -> float:
    """Return the units so far times the mixture's variance, which is best at the planned ones."""
    doubt = -2 * math.log(alpha)
    best = doubt + math.log(doubt + 1)
    return best * (control.units + treated.units) / planned_units


def _anytime_factor(weight: float, alpha: float) -> float:
    return math.sqrt((weight + 1) / weight * (math.log1p(weight) - 2 * math.log(alpha)))
