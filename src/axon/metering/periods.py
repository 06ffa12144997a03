"""Minutes, hours, days and months of a time zone, as instants."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from axon.metering.errors import RangeWrong

Width = Literal["minute", "hour", "day", "month"]

PERIODS_MAX = 10_000
"""A year of hours; who wants more asks again."""

_FIXED = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def zone_named(name: str) -> tzinfo:
    """Return the time zone of the IANA database; raises RangeWrong."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RangeWrong(f"{name} is no time zone") from error


def edges_of(start_us: int, end_us: int, width: Width, zone: tzinfo) -> list[int]:
    """Return where the periods from `start_us` up to `end_us` begin, and where the last one ends.

    The first is the one in which `start_us` lies. Days and months are the zone's own: a day may
    have 23 or 25 hours. Raises RangeWrong for a range that is empty or has too many periods.
    """
    if start_us >= end_us:
        raise RangeWrong("it ends before it begins")
    begins = _begin(_at(start_us, zone), width)
    edges = [_us(begins)]
    while edges[-1] < end_us:
        if len(edges) > PERIODS_MAX:
            raise RangeWrong(f"it has more than {PERIODS_MAX} periods")
        begins = _next(begins, width, zone)
        edges.append(_us(begins))
    return edges


class Period(NamedTuple):
    """From the first instant to just before the last, in microseconds since 1970."""

    start_us: int
    end_us: int


def period_of(at_us: int, width: Width, zone: tzinfo) -> Period:
    """Return the period in which an instant lies, by the zone's calendar; raises RangeWrong."""
    start_us, end_us = edges_of(at_us, at_us + 1, width, zone)
    return Period(start_us, end_us)


def _begin(at: datetime, width: Width) -> datetime:
    """Return where the period begins in which an instant lies."""
    if width in _FIXED:
        offset = at.utcoffset() or timedelta()
        since = at.astimezone(UTC) + offset - _EPOCH
        return at.astimezone(UTC) - since % _FIXED[width]
    local = at.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return local.replace(day=1) if width == "month" else local


def _next(begins: datetime, width: Width, zone: tzinfo) -> datetime:
    if width in _FIXED:
        return begins + _FIXED[width]
    days = 32 if width == "month" else 1
    naive = begins.replace(tzinfo=None) + timedelta(days=days)  # on the wall's calendar
    if width == "month":
        naive = naive.replace(day=1)
    return naive.replace(tzinfo=zone)


def _at(us: int, zone: tzinfo) -> datetime:
    try:
        return (_EPOCH + timedelta(microseconds=us)).astimezone(zone)
    except OverflowError as error:
        raise RangeWrong("it is outside the calendar") from error


def _us(at: datetime) -> int:
    return (at.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
