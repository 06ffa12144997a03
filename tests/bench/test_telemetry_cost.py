"""What the bench of telemetry says of its rounds."""

import pytest

from bench.telemetry import median_interval


@pytest.mark.parametrize(
    ("count", "left_out"), [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (11, 1), (12, 2), (15, 3)]
)
def test_the_interval_of_a_median_leaves_out_as_many_as_the_binomial_lets(
    count: int, left_out: int
) -> None:
    values = [float(place) for place in range(count)]
    assert median_interval(values[::-1]) == (left_out, count - 1 - left_out)
