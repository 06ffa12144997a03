"""The periods of limits: minutes, days and months as a time zone's calendar has them."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from axon.base import MICROS_PER_SECOND, utc_from_us

PERIODS = ("minute", "day", "month")
MINUTE_US = 60 * MICROS_PER_SECOND
DAY_US = 1440 * MINUTE_US

LASTS_US = {"": DAY_US, "minute": DAY_US, "day": 2 * DAY_US, "month": 32 * DAY_US}
"""How long at most a period is from its beginning, generously; concurrent turns have none."""

_QUARTER_US = 15 * MINUTE_US
"""No zone's day begins within a quarter of an hour."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAYS_KEPT = 4096
"""Days of different zones remembered: an organization has one, and it lasts a day."""


class Period(NamedTuple):
    """From the first instant to just before the last, in microseconds since 1970."""

    start_us: int
    end_us: int


def period_at(name: str, at_us: int, time_zone: str) -> Period:
    """Return the minute, day or month in which an instant lies.

    Days and months begin at the zone's midnight, so a day has 23 to 25 hours where the clocks are
    put forward and back. Raises ZoneInfoNotFoundError for an unknown zone.
    """
    if name == "minute":
        start_us = at_us - at_us % MINUTE_US
        return Period(start_us, start_us + MINUTE_US)
    return _calendar_period(name, at_us - at_us % _QUARTER_US, time_zone)


@lru_cache(maxsize=_DAYS_KEPT)
def _calendar_period(name: str, at_us: int, time_zone: str) -> Period:
    """Return the period of the instant."""
    zone = ZoneInfo(time_zone)
    local = utc_from_us(at_us).astimezone(zone)
    if name == "day":
        first = local.date()
        last = first + timedelta(days=1)
    elif name == "month":
        first = local.date().replace(day=1)
        last = (first + timedelta(days=31)).replace(day=1)
    else:
        raise ValueError(f"{name} is no period")
    return Period(
        _midnight_us(first.year, first.month, first.day, zone),
        _midnight_us(last.year, last.month, last.day, zone),
    )


def _midnight_us(year: int, month: int, day: int, zone: ZoneInfo) -> int:
    """Return when a day begins: where there is no midnight, at the end of the gap (PEP 495)."""
    # In the gap of a clock put forward at midnight the offset before it counts (PEP 495), which
    # gives the gap's own instant; of two midnights the first counts.
    midnight = datetime(year, month, day, tzinfo=zone)
    return (midnight.astimezone(UTC) - _EPOCH) // _MICROSECOND
