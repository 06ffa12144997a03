"""Amounts of money: nano-units to minor units, rounded once, and text for people."""

from decimal import Decimal

from axon.base import NANOS_PER_UNIT

_NANO_DIGITS = 9

_DIGITS = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
         "VUV", "XAF", "XOF", "XPF"), 0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}  # fmt: skip
"""Decimal places of the currencies that have not two (ISO 4217, list one)."""


def minor_digits(currency: str) -> int:
    """Return how many decimal places a currency has."""
    return _DIGITS.get(currency, 2)


def to_minor(nano: int, currency: str) -> int:
    """Return an amount in the currency's minor units, a half rounded away from zero."""
    nanos_per_minor: int = NANOS_PER_UNIT // 10 ** minor_digits(currency)
    rounded = (abs(nano) * 2 + nanos_per_minor) // (nanos_per_minor * 2)
    return -rounded if nano < 0 else rounded


def minor_of(amount: Decimal, currency: str) -> int | None:
    """Return an amount given in units as minor units; None when it is finer than those."""
    minor = amount.scaleb(minor_digits(currency))
    return int(minor) if minor == minor.to_integral_value() else None


def minor_text(minor: int, currency: str) -> str:
    """Return an amount of minor units as 1,234.50, without its currency."""
    digits = minor_digits(currency)
    units, rest = divmod(abs(minor), 10**digits)
    fraction = f".{rest:0{digits}d}" if digits else ""
    return f"{'-' if minor < 0 else ''}{units:,}{fraction}"


def nano_text(nano: int, grouped: bool = True) -> str:
    """Return an amount of nano-units in units, with as many decimal places as it has, two at least.

    With `grouped` thousands are told apart by commas.
    """
    units, rest = divmod(abs(nano), NANOS_PER_UNIT)
    digits = f"{rest:0{_NANO_DIGITS}d}".rstrip("0").ljust(2, "0")
    whole = f"{units:,}" if grouped else str(units)
    return f"{'-' if nano < 0 else ''}{whole}.{digits}"
