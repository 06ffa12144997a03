from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from axon.base import MICROS_PER_SECOND, SystemClock, SystemRandomness, utc_from_us

YEAR_9999_US = 253_402_300_799 * MICROS_PER_SECOND


@given(st.integers(-(10**15), YEAR_9999_US))
def test_an_instant_keeps_every_microsecond(instant_us: int) -> None:
    instant = utc_from_us(instant_us)
    assert instant.tzinfo is UTC
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert (instant - epoch) // timedelta(microseconds=1) == instant_us


def test_the_clock_of_the_machine_shows_its_time() -> None:
    clock = SystemClock()
    before = datetime.now(UTC)
    shown = utc_from_us(clock.now_us())
    after = datetime.now(UTC)
    slack = timedelta(microseconds=1)  # the two clocks round differently
    assert before - slack <= shown <= after + slack


def test_monotonic_time_does_not_go_back() -> None:
    clock = SystemClock()
    shown = [clock.monotonic() for _ in range(1000)]
    assert shown == sorted(shown)


def test_random_bytes_have_their_length_and_differ() -> None:
    randomness = SystemRandomness()
    assert [len(randomness.bytes(count)) for count in (0, 1, 32)] == [0, 1, 32]
    assert randomness.bytes(32) != randomness.bytes(32)
