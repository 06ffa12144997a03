"""Whether a figure that was sampled for a while grows: a least-squares line and its error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_HOUR_S = 3600.0
_CERTAINTY = 2.0
"""Standard errors by which a slope must pass its bound before it counts as growth."""

_MEMORY_MAX = 0.99
"""Of residuals; beyond it every sample says what the one before it said."""

POINTS_MIN = 8
"""Fewer say nothing about a slope and its error."""

Point = tuple[float, float]
"""Seconds since the start, and the value then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The growth that is none: a part of the figure's own mean, or so much, whichever is more."""

    share_per_h: float
    amount_per_h: float

    def per_h(self, mean: float) -> float:
        """Return the bound for a figure of this mean, in its unit per hour."""
        return max(self.share_per_h * mean, self.amount_per_h)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A line through points: its values at both ends, and its slope in units per hour."""

    start: float
    end: float
    mean: float
    per_h: float
    error_per_h: float

    def verdict(self, bound: Bound) -> str:
        """Return `grows`, `flat`, or `unclear` when the error hides a slope beyond the bound."""
        most = bound.per_h(self.mean)
        if self.per_h - _CERTAINTY * self.error_per_h > most:
            return "grows"
        return "flat" if self.per_h <= most else "unclear"


def fit(points: Sequence[Point]) -> Trend:
    """Return the least-squares line; raises ValueError when there are fewer than POINTS_MIN.

    The standard error is that of the slope (sum of squares over n - 2), widened by
    sqrt((1 + r) / (1 - r)) for the correlation r of each residual with the next: memory moves in
    steps, so neighbouring samples are not independent.
    """
    if len(points) < POINTS_MIN:
        raise ValueError(f"{len(points)} points; a trend needs {POINTS_MIN}")
    times = [at_s for at_s, _ in points]
    values = [value for _, value in points]
    middle_s, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((at_s - middle_s) ** 2 for at_s in times)
    slope = sum((at_s - middle_s) * (value - mean) for at_s, value in points) / spread
    residuals = [value - mean - slope * (at_s - middle_s) for at_s, value in points]
    squares = sum(residual**2 for residual in residuals)
    error = math.sqrt(squares / (len(points) - 2) / spread)
    neighbours = sum(one * other for one, other in pairwise(residuals))
    memory = min(max(neighbours / squares, 0.0), _MEMORY_MAX) if squares else 0.0
    return Trend(
        start=mean + slope * (times[0] - middle_s),
        end=mean + slope * (times[-1] - middle_s),
        mean=mean,
        per_h=slope * _HOUR_S,
        error_per_h=error * math.sqrt((1 + memory) / (1 - memory)) * _HOUR_S,
    )
