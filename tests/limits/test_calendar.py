"""Days and months as people's calendars have them."""

from datetime import UTC, datetime

import pytest

from axon.limits import period_at


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("name", "zone", "at", "start", "end"),
    [
        ("minute", "UTC", "2026-11-22T09:16:42", "2026-11-22T09:16:00", "2026-11-22T09:17:00"),
        ("day", "UTC", "2026-11-22T09:16:42", "2026-11-22", "2026-11-23"),
        ("month", "UTC", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("month", "UTC", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
        ("month", "UTC", "2026-02-28T23:59:59", "2026-02-01", "2026-03-01"),
        ("day", "UTC", "2028-02-29T12:00:00", "2028-02-29", "2028-03-01"),
        # Kiritimati, +14: its day begins ten hours into the day before.
        ("day", "Pacific/Kiritimati", "2026-12-31T10:00:00", "2026-12-31T10:00:00",
         "2027-01-01T10:00:00"),
        ("month", "Pacific/Kiritimati", "2026-12-31T10:00:00", "2026-12-31T10:00:00",
         "2027-01-31T10:00:00"),
        # -12, by the convention of the tz database Etc/GMT+12.
        ("day", "Etc/GMT+12", "2027-01-01T11:59:59", "2026-12-31T12:00:00", "2027-01-01T12:00:00"),
        ("month", "Etc/GMT+12", "2027-01-01T11:59:59", "2026-12-01T12:00:00",
         "2027-01-01T12:00:00"),
        # Madrid puts its clocks forward on 2026-03-29 and back on 2026-10-25: 23 and 25 hours.
        ("day", "Europe/Madrid", "2026-03-29T12:00:00", "2026-03-28T23:00:00",
         "2026-03-29T22:00:00"),
        ("day", "Europe/Madrid", "2026-10-25T12:00:00", "2026-10-24T22:00:00",
         "2026-10-25T23:00:00"),
        ("month", "Europe/Madrid", "2026-03-31T22:00:00", "2026-03-31T22:00:00",
         "2026-04-30T22:00:00"),
        ("month", "Europe/Madrid", "2026-10-25T12:00:00", "2026-09-30T22:00:00",
         "2026-10-31T23:00:00"),
        # Cairo has no midnight on 2026-04-24: its day begins at 01:00.
        ("day", "Africa/Cairo", "2026-04-24T12:00:00", "2026-04-23T22:00:00",
         "2026-04-24T21:00:00"),
        # Havana has midnight twice on 2026-11-01.
        ("day", "America/Havana", "2026-11-01T12:00:00", "2026-11-01T04:00:00",
         "2026-11-02T05:00:00"),
        # Kathmandu is 5:45 ahead.
        ("day", "Asia/Kathmandu", "2026-11-22T18:14:59", "2026-11-21T18:15:00",
         "2026-11-22T18:15:00"),
    ],
)  # fmt: skip
def test_periods(name: str, zone: str, at: str, start: str, end: str) -> None:
    assert period_at(name, us(at), zone) == (us(start), us(end))


@pytest.mark.parametrize("zone", ["Europe/Madrid", "Africa/Cairo", "America/Havana", "Asia/Beirut"])
@pytest.mark.parametrize("name", ["day", "month"])
def test_periods_follow_each_other_without_gap(zone: str, name: str) -> None:
    at = us("2026-01-01T12:00:00")
    period = period_at(name, at, zone)
    for _ in range(366 if name == "day" else 12):
        following = period_at(name, period.end_us, zone)
        assert following.start_us == period.end_us
        assert period_at(name, period.end_us - 1, zone) == period
        period = following
