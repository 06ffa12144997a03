"""Whether a broken split is noticed, and an intact one left alone."""

import pytest

from axon.statistics import sample_ratio


def test_a_broken_split_is_told_to_the_last_digit() -> None:
    found = sample_ratio({"a": 4072, "b": 2035}, {"a": 80, "b": 20})
    assert found.p == pytest.approx(2.402e-149, rel=1e-4)
    assert found.mismatch
    assert [(row.variant, row.share, row.seen) for row in found.rows] == [
        ("a", 0.8, 4072),
        ("b", 0.2, 2035),
    ]
    assert found.rows[1].expected == pytest.approx(1221.4)


def test_an_intact_split_is_none() -> None:
    found = sample_ratio({"a": 5050, "b": 2475, "c": 2475}, {"a": 2, "b": 1, "c": 1})
    assert not found.mismatch
    assert found.p == pytest.approx(0.6065306597126334, rel=1e-12)


def test_nobody_yet_is_no_mismatch() -> None:
    assert sample_ratio({}, {"a": 1, "b": 1}).p == 1
    assert sample_ratio({"a": 5}, {"a": 1}).p == 1


def test_who_should_not_be_there_is_a_mismatch() -> None:
    assert sample_ratio({"a": 100, "b": 1}, {"a": 1, "b": 0}).mismatch
    assert not sample_ratio({"a": 100, "b": 0}, {"a": 1, "b": 0}).mismatch
