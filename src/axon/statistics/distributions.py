"""The three distributions that tests need: normal, Student's t and chi-square.

They are written out because a server of its own should not carry a hundred megabytes of
mathematics for four functions of one number; the tests hold them against SciPy (docs/adr/0026).
"""

import math
from statistics import NormalDist

_NORMAL = NormalDist()

_TERMS_MAX = 10_000
"""Of the continued fraction: it needs about the root of the degrees of freedom, of which there are
no more than _NEARLY_NORMAL."""

_NEARLY_NORMAL = 1e6
"""From so many degrees of freedom on the first two terms of Fisher's expansion around the normal
distribution are exact to 1e-13, and the fraction would lose digits."""

_CLOSE = 1e-15
"""A factor this near to one no longer changes a double."""

_TINY = 1e-300
"""What stands in for a zero that would be divided by."""

_SERIES_FROM = 50.0
"""From here on five terms of the series of Γ(a + 1/2) / Γ(a) are exact in a double."""

_STEPS_MAX = 100
"""Of the search for a quantile: it doubles its digits with each, and halves its range at worst."""


def normal_two_sided(z: float) -> float:
    """Return how likely a normal value is to be at least as far from zero as `z`."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def normal_quantile(probability: float) -> float:
    """Return the value that a normal one stays below with this probability, 0 < it < 1."""
    return _NORMAL.inv_cdf(probability)


def chi_square_above(value: float, degrees: int) -> float:
    """Return how likely a chi-square value of whole degrees of freedom (>= 1) is to exceed `value`.

    The sum is finite and has no differences in it, so it is exact in its far tail too.
    """
    if value <= 0:
        return 1.0
    half = value / 2
    if degrees % 2:
        above, term, steps = math.erfc(math.sqrt(half)), math.sqrt(half / math.pi) * 2, 1.5
        first = 1
    else:
        above, term, steps = math.exp(-half), half, 2.0
        first = 2
    tail = 0.0
    for _ in range(first, degrees - 1, 2):
        tail += term
        term *= half / steps
        steps += 1
    return above + math.exp(-half) * tail


def student_two_sided(t: float, degrees: float) -> float:
    """Return how likely a value of Student's t is to be at least as far from zero as `t`.

    `degrees` > 0 need not be whole, and infinitely many make it normal.
    """
    if math.isinf(degrees):
        return normal_two_sided(t)
    if math.isinf(t):
        return 0.0
    if degrees > _NEARLY_NORMAL:
        return _nearly_normal_two_sided(abs(t), degrees)
    square = t * t
    return _beta_share(degrees / (degrees + square), square / (degrees + square), degrees / 2)


def _nearly_normal_two_sided(t: float, degrees: float) -> float:
    density = math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    first = t * (t**2 + 1) / (4 * degrees)
    second = t * (3 * t**6 - 7 * t**4 - 5 * t**2 - 3) / (96 * degrees**2)
    return normal_two_sided(t) + 2 * density * (first + second)


def student_quantile(probability: float, degrees: float) -> float:
    """Return the value that Student's t stays below with this probability, 0.5 <= it < 1."""
    at = normal_quantile(probability)
    if math.isinf(degrees) or at <= 0:
        return at
    wanted = 2 * (1 - probability)
    low, high = at, math.inf
    for _ in range(_STEPS_MAX):
        beyond = student_two_sided(at, degrees)
        low, high = (at, high) if beyond > wanted else (low, at)
        # In logarithms the tail is nearly straight, so Newton's step hardly overshoots.
        step = math.log(beyond / wanted) * beyond / (2 * _student_density(at, degrees))
        reached = at + step
        if not low <= reached <= high:
            reached = (low + high) / 2 if math.isfinite(high) else 2 * low
        if abs(reached - at) <= 4e-16 * abs(reached) or reached == at:
            return reached
        at = reached
    return at


def _student_density(t: float, degrees: float) -> float:
    half = degrees / 2
    top = -(half + 0.5) * math.log1p(t * t / degrees)
    return _gamma_step(half) / math.sqrt(math.pi * degrees) * math.exp(top)


def _gamma_step(a: float) -> float:
    """Return Γ(a + 1/2) / Γ(a): the difference of two large logarithms would lose its digits."""
    if a < _SERIES_FROM:
        return math.exp(math.lgamma(a + 0.5) - math.lgamma(a))
    terms = (1.0, -1 / 8, 1 / 128, 5 / 1024, -21 / 32768, -399 / 262144)
    return math.sqrt(a) * sum(term / a**power for power, term in enumerate(terms))


def _beta_share(x: float, rest: float, a: float) -> float:
    """Return the regularized incomplete beta function at x (`rest` is 1 - x) for a and 1/2."""
    if rest == 0:
        return 1.0
    # Γ(a + 1/2) / (Γ(a) Γ(1/2)), and the powers in logarithms: x is close to one for many units.
    log_x = math.log1p(-rest) if rest < 0.5 else math.log(x)
    front = _gamma_step(a) / math.sqrt(math.pi) * math.exp(a * log_x) * math.sqrt(rest)
    if x < (a + 1) / (a + 2.5):
        return front * _fraction(x, a, 0.5) / a
    return 1.0 - front * _fraction(rest, 0.5, a) / 0.5


def _fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / _kept(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, _TERMS_MAX):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _kept(1 + even * d), _kept(1 + even / c)
        found *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _kept(1 + odd * d), _kept(1 + odd / c)
        found *= d * c
        if abs(d * c - 1) < _CLOSE:
            break
    return found


def _kept(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
