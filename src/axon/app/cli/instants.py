"""Instants on the command line: a date or a time, in UTC unless it says otherwise."""

from datetime import UTC, datetime

import click

from axon.base import MICROS_PER_SECOND


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
