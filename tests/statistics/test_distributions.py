"""Our distributions beside SciPy's."""

import math

import pytest
import scipy.stats

from axon.statistics.distributions import (
    chi_square_above,
    normal_quantile,
    normal_two_sided,
    student_quantile,
    student_two_sided,
)

DEGREES = (1, 1.5, 2, 3.7, 10, 29.9, 99, 100, 101, 1000, 1e5, 1e6, 1e6 + 1, 1e8)


@pytest.mark.parametrize("degrees", DEGREES)
def test_the_tails_of_student_are_scipys(degrees: float) -> None:
    for t in (0.0, 1e-3, 0.1, 0.5, 1.0, 1.7, 1.96, 2.5, 5.0, 10.0):
        assert student_two_sided(t, degrees) == pytest.approx(
            2 * scipy.stats.t.sf(t, degrees), rel=1e-9
        )
        assert student_two_sided(-t, degrees) == student_two_sided(t, degrees)


@pytest.mark.parametrize("degrees", DEGREES)
def test_the_quantiles_of_student_are_scipys(degrees: float) -> None:
    for probability in (0.5, 0.6, 0.9, 0.975, 0.995, 0.99999):
        expected = scipy.stats.t.ppf(probability, degrees)
        assert student_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9)


def test_infinitely_many_degrees_are_normal() -> None:
    assert student_two_sided(1.96, math.inf) == normal_two_sided(1.96)
    assert student_quantile(0.975, math.inf) == normal_quantile(0.975)
    assert student_two_sided(math.inf, 5.0) == 0


@pytest.mark.parametrize("degrees", range(1, 32))
def test_the_tails_of_chi_square_are_scipys_however_far_out(degrees: int) -> None:
    for value in (0.0, 1e-5, 0.1, 1.0, 5.0, 50.0, 500.0, 1400.0):
        assert chi_square_above(value, degrees) == pytest.approx(
            scipy.stats.chi2.sf(value, degrees), rel=1e-11
        )
