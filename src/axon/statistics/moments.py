"""What a variant's units add up to, and the estimates that are made of it."""

import math
from fractions import Fraction
from typing import NamedTuple

import msgspec

from axon.statistics.errors import MomentsWrong


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the units of one variant: all that statistics need, however many units there are.

    `x` is a unit's metric; `y` is its denominator (of a ratio) or its metric before the experiment
    (of a metric that is adjusted by it), else 0. Whole numbers are calculated exactly: money is
    best given in nano-units and time in microseconds.
    """

    units: int
    x: int | float = 0
    y: int | float = 0
    xx: int | float = 0
    yy: int | float = 0
    xy: int | float = 0

    def joined(self, other: "Moments") -> "Moments":
        """Return the sums over the units of both."""
        return Moments(
            units=self.units + other.units,
            x=self.x + other.x,
            y=self.y + other.y,
            xx=self.xx + other.xx,
            yy=self.yy + other.yy,
            xy=self.xy + other.xy,
        )

    @property
    def x_mean(self) -> float:
        """Return the mean of x; raises ZeroDivisionError without units."""
        return self.x / self.units

    @property
    def y_mean(self) -> float:
        """Return the mean of y; raises ZeroDivisionError without units."""
        return self.y / self.units

    @property
    def x_variance(self) -> float:
        """Return the sample variance of x, of two units or more; raises MomentsWrong."""
        return max(self._covariance(self.x, self.x, self.xx), 0.0)

    @property
    def y_variance(self) -> float:
        """Return the sample variance of y, of two units or more; raises MomentsWrong."""
        return max(self._covariance(self.y, self.y, self.yy), 0.0)

    @property
    def covariance(self) -> float:
        """Return the sample covariance of x and y, of two units or more; raises MomentsWrong."""
        return self._covariance(self.x, self.y, self.xy)

    def _covariance(self, one: float, other: float, product: float) -> float:
        # In fractions: the difference of two large sums would have no digits left in a double.
        try:
            apart = self.units * Fraction(product) - Fraction(one) * Fraction(other)
            return float(apart / (self.units * (self.units - 1)))
        except (OverflowError, ValueError) as error:
            raise MomentsWrong(str(error)) from error


class Estimate(NamedTuple):
    """A variant's value, and how sure it is."""

    units: int
    value: float
    variance: float
    """Of one unit's part in it: that of the value itself is this by the units."""

    @property
    def error_square(self) -> float:
        """Return the variance of the value."""
        return self.variance / self.units


def mean_of(moments: Moments) -> Estimate:
    """Return the mean of x by unit; of two units or more. Raises MomentsWrong."""
    return Estimate(moments.units, moments.x_mean, moments.x_variance)


def ratio_of(moments: Moments) -> Estimate:
    """Return the sum of x by the sum of y, its variance by the delta method; raises MomentsWrong.

    Units are independent of each other, what they did is not: so a ratio over turns is one of
    sums by unit, never a mean over turns.
    """
    if moments.y == 0:
        raise MomentsWrong("a ratio whose denominators add up to nothing")
    value = moments.x / moments.y
    spread = (
        moments.x_variance - 2 * value * moments.covariance + value * value * moments.y_variance
    )
    return Estimate(moments.units, value, max(spread, 0.0) / moments.y_mean**2)


def adjusted_of(control: Moments, treated: Moments) -> tuple[Estimate, Estimate]:
    """Return both means, freed of what the metric before the experiment explains (CUPED).

    Both lose the same slope times their distance from the common mean of y, so their difference is
    without bias whatever the slope; raises MomentsWrong.
    """
    both = control.joined(treated)
    slope = both.covariance / both.y_variance if both.y_variance > 0 else 0.0
    return _adjusted(control, slope, both.y_mean), _adjusted(treated, slope, both.y_mean)


def _adjusted(moments: Moments, slope: float, y_mean: float) -> Estimate:
    spread = (
        moments.x_variance - 2 * slope * moments.covariance + slope * slope * moments.y_variance
    )
    value = moments.x_mean - slope * (moments.y_mean - y_mean)
    return Estimate(moments.units, value, max(spread, 0.0))


def welch_degrees(one: Estimate, other: Estimate) -> float:
    """Return the degrees of freedom of their difference (Welch and Satterthwaite)."""
    total = one.error_square + other.error_square
    if total == 0:
        return math.inf
    parts = (one.error_square / total) ** 2 / (one.units - 1) + (
        other.error_square / total
    ) ** 2 / (other.units - 1)
    return 1 / parts
