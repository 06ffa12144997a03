import pytest

from axon.telemetry import (
    OTHER,
    SERIES_MAX,
    CounterTallies,
    counter,
    gauge,
    histogram,
    render_metrics,
)


def rendered() -> list[str]:
    return render_metrics().decode().splitlines()


def test_the_same_name_is_the_same_metric() -> None:
    first = counter("axon_test_same_total", "Counted twice.", ("kind",))
    second = counter("axon_test_same_total", "Counted twice.", ("kind",))
    first.labels("a").inc()
    second.labels("a").inc(2)
    assert 'axon_test_same_total{kind="a"} 3.0' in rendered()


def test_a_gauge_shows_what_it_was_set_to() -> None:
    gauge("axon_test_level", "A level.").set(4)
    assert "axon_test_level 4.0" in rendered()
    assert gauge("axon_test_level", "A level.") is gauge("axon_test_level", "A level.")


def test_a_histogram_has_buckets_for_durations_unless_told_otherwise() -> None:
    histogram("axon_test_wait_seconds", "A wait.").observe(0.3)
    histogram("axon_test_batch", "A batch.", buckets=(1, 10)).observe(7)
    lines = rendered()
    assert 'axon_test_wait_seconds_bucket{le="0.25"} 0.0' in lines
    assert 'axon_test_wait_seconds_bucket{le="0.5"} 1.0' in lines
    assert 'axon_test_batch_bucket{le="10.0"} 1.0' in lines


def test_a_name_cannot_change_its_kind() -> None:
    counter("axon_test_kind_a_total", "A counter.")
    gauge("axon_test_kind_b", "A gauge.")
    with pytest.raises(TypeError, match="already a counter"):
        gauge("axon_test_kind_a_total", "Not a gauge.")
    with pytest.raises(TypeError, match="already a counter"):
        histogram("axon_test_kind_a_total", "Not a histogram.")
    with pytest.raises(TypeError, match="already a gauge"):
        counter("axon_test_kind_b", "Not a counter.")


def test_a_name_cannot_change_its_labels() -> None:
    counter("axon_test_labels_total", "Labelled.", ("a",))
    with pytest.raises(ValueError, match="already has the labels"):
        counter("axon_test_labels_total", "Labelled otherwise.", ("b",))


def test_birthdays_of_series_are_not_rendered_and_the_process_is() -> None:
    counter("axon_test_born_total", "Born.").inc()
    text = render_metrics().decode()
    assert "axon_test_born_created" not in text
    assert "process_resident_memory_bytes" in text


def test_a_label_that_grows_is_counted_together_beyond_the_bound() -> None:
    grown = CounterTallies("test_grown_total", "Grows.", ("name",))
    for number in range(SERIES_MAX + 50):
        grown.series(f"n{number}").count += 1
    lines = [line for line in rendered() if line.startswith("test_grown_total{")]
    assert len(lines) == SERIES_MAX + 1
    assert f'test_grown_total{{name="{OTHER}"}} 50.0' in lines
    grown.series("n0").count += 1
    assert 'test_grown_total{name="n0"} 2.0' in rendered()
