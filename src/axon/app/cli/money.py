"""Amounts on the command line: decimal text to nano-units and back, never through a float."""

from decimal import Decimal, InvalidOperation

import click

from axon.base import NANOS_PER_UNIT

_NANO_DIGITS = 9


class Rate(click.ParamType[int]):
    """An amount like 0.25, as nano-units."""

    name = "amount"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the nano-units; fails for what is finer than one, or no amount."""
        try:
            nano = Decimal(value) * NANOS_PER_UNIT
        except InvalidOperation:
            nano = Decimal(-1)
        if not nano.is_finite() or nano < 0 or nano != int(nano):
            self.fail(f"{value!r} is not an amount like 0.25, of nine decimal places", param, ctx)
        return int(nano)


RATE = Rate()


def money(nano: int) -> str:
    """Return an amount in units, with as many decimal places as it has, two at least."""
    units, rest = divmod(abs(nano), NANOS_PER_UNIT)
    digits = f"{rest:0{_NANO_DIGITS}d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nano < 0 else ''}{units:,}.{digits}"


def rate_text(nano: int | None) -> str:
    """Return a rate for a table; nothing for one that is not there."""
    return "" if nano is None else money(nano)
