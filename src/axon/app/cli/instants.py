"""Instants on the command line: a date or a time, in UTC unless it says otherwise."""

import re
from datetime import UTC, datetime

import click

from axon.base import MICROS_PER_SECOND, SystemClock


class Instant(click.ParamType[int]):
    """A date or time like 2026-11-01 or 2026-11-01T12:00+01:00, as microseconds since 1970."""

    name = "time"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the microseconds; fails with the forms that are understood."""
        try:
            at = datetime.fromisoformat(str(value))
            at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
            return round(at.timestamp()) * MICROS_PER_SECOND
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time like 2026-11-01 or 2026-11-01T12:00", param, ctx)


INSTANT = Instant()

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO = re.compile(r"(\d{1,6})([smhdw])")


class Ago(click.ParamType[int]):
    """An instant, or a time ago like 7d."""

    name = "time"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return microseconds since 1970; fails with the forms that are understood."""
        ago = _AGO.fullmatch(str(value))
        if ago is None:
            return INSTANT.convert(value, param, ctx)
        back_us = int(ago[1]) * _SECONDS[ago[2]] * MICROS_PER_SECOND
        return max(SystemClock().now_us() - back_us, 0)


AGO_OR_INSTANT = Ago()
