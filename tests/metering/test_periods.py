"""Days and months are the time zone's own, in both directions of its clocks."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.metering import RangeWrong, Width, zone_named
from axon.metering.periods import edges_of

HOUR_US = 3_600_000_000


def us(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**6


@pytest.mark.parametrize(
    ("zone", "start", "end", "hours"),
    [
        ("Europe/Berlin", "2026-03-28", "2026-03-31", [24, 23, 24]),
        ("Europe/Berlin", "2026-10-24", "2026-10-27", [24, 25, 24]),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-06", [24.5]),
        ("Pacific/Kiritimati", "2026-12-31", "2027-01-02", [24, 24]),
        ("Etc/GMT+12", "2026-12-31", "2027-01-02", [24, 24]),
        ("Asia/Kolkata", "2028-02-28", "2028-03-02", [24, 24, 24]),
        ("Africa/Cairo", "2026-04-24", "2026-04-26", [23, 24]),  # a day without a midnight
        ("America/Havana", "2026-11-01", "2026-11-02", [25]),  # a day with two midnights
    ],
)
def test_a_day_is_as_long_as_on_the_wall(
    zone: str, start: str, end: str, hours: list[float]
) -> None:
    edges = edges_of(us(start, zone), us(end, zone), "day", zone_named(zone))
    assert [(b - a) / HOUR_US for a, b in pairwise(edges)] == hours
    assert edges[0] <= us(start, zone) and edges[-1] == us(end, zone)


def test_months_have_their_lengths_and_leap_days() -> None:
    edges = edges_of(us("2028-01-15"), us("2028-03-01"), "month", UTC)
    assert edges == [us("2028-01-01"), us("2028-02-01"), us("2028-03-01")]
    tonga = edges_of(
        us("2026-12-31T10:00"), us("2026-12-31T11:00"), "month", zone_named("Pacific/Kiritimati")
    )
    assert tonga == [us("2027-01-01", "Pacific/Kiritimati"), us("2027-02-01", "Pacific/Kiritimati")]


ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu", "Asia/Kolkata"]
)


@given(
    zone=ZONES,
    width=st.sampled_from(["minute", "hour", "day", "month"]),
    start=st.integers(us("2000-01-01"), us("2060-01-01")),
    lasts=st.integers(1, 90 * 60_000_000),
)
def test_periods_follow_each_other_and_hold_the_range(
    zone: str, width: Width, start: int, lasts: int
) -> None:
    edges = edges_of(start, start + lasts, width, zone_named(zone))
    assert edges == sorted(set(edges))
    assert edges[0] <= start < edges[1]
    assert edges[-2] < start + lasts <= edges[-1]
    if width != "minute":
        assert all(edge % (HOUR_US // 4) == 0 for edge in edges)


def test_a_range_has_bounds() -> None:
    with pytest.raises(RangeWrong, match="before it begins"):
        edges_of(10, 10, "day", UTC)
    with pytest.raises(RangeWrong, match="more than"):
        edges_of(0, 20_000 * 60_000_000, "minute", UTC)
    with pytest.raises(RangeWrong, match="outside"):
        edges_of(-(2**62), 0, "day", UTC)
    with pytest.raises(RangeWrong, match="no time zone"):
        zone_named("Europe/../etc")
    with pytest.raises(RangeWrong, match="no time zone"):
        zone_named("Mars/Olympus")
