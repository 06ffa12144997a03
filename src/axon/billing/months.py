"""Calendar months of a time zone, as instants."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from axon.base import utc_from_us
from axon.billing.errors import MonthWrong

_TEXT = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = (1971, 9998)
"""So that every month has one before and one after it, in every zone."""


class Month(NamedTuple):
    """A month of the calendar, whatever the zone; months compare as they follow each other."""

    year: int
    month: int

    def __str__(self) -> str:
        """Return it as 2026-10."""
        return f"{self.year:04d}-{self.month:02d}"

    def next(self) -> "Month":
        """Return the month after this one."""
        return Month(self.year + 1, 1) if self.month == 12 else Month(self.year, self.month + 1)

    def before(self) -> "Month":
        """Return the month before this one."""
        return Month(self.year - 1, 12) if self.month == 1 else Month(self.year, self.month - 1)

    def begins_us(self, zone: tzinfo) -> int:
        """Return the first instant of the month in a zone.

        Where its first midnight comes twice the first one counts; where there is none, the end of
        the gap does (PEP 495).
        """
        begins = datetime(self.year, self.month, 1, tzinfo=zone)
        return (begins.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)


def month_named(text: str) -> Month:
    """Return the month written as 2026-10; raises MonthWrong."""
    found = _TEXT.fullmatch(text)
    if found is None or not _YEARS[0] <= int(found[1]) <= _YEARS[1]:
        raise MonthWrong(text[:20])
    return Month(int(found[1]), int(found[2]))


def month_at(at_us: int, zone: tzinfo) -> Month:
    """Return the month in which an instant lies."""
    local = utc_from_us(at_us).astimezone(zone)
    return Month(local.year, local.month)
