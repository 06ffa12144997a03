"""Values as people read them."""

from collections.abc import Callable

from axon.base import MICROS_PER_SECOND
from axon.statistics.comparing import Interval
from axon.statistics.results import Comparison, Metric, Purpose, Question, VariantResult

NOTHING = "-"
_NANO = 1_000_000_000
_MILLI = 1_000

PURPOSES: dict[Purpose, str] = {
    "primary": "Primary",
    "guardrail": "Guardrail",
    "secondary": "Secondary",
}
"""In the order in which they are shown."""


def value_text(value: float | None, metric: Metric, currency: str) -> str:
    """Return a value with its unit, at four digits that count."""
    if value is None:
        return NOTHING
    if metric.measure == "share":
        return f"{value * 100:.4g} %"
    if metric.measure == "microseconds":
        seconds = value / MICROS_PER_SECOND
        return f"{_digits(seconds * _MILLI)} ms" if abs(seconds) < 1 else f"{_digits(seconds)} s"
    if metric.measure == "nano_money":
        return f"{_digits(value / _NANO)} {currency}".rstrip()
    return _digits(value)


def change_text(relative: float | None) -> str:
    """Return a relative difference as a percentage with its sign."""
    if relative is None:
        return NOTHING
    percent = relative * 100
    if abs(percent) >= 1_000:
        return f"{percent:+,.0f} %"
    return f"{percent:+.1f} %" if abs(percent) >= 10 else f"{percent:+.2f} %"


def span_text(interval: Interval | None, shown: Callable[[float], str]) -> str:
    """Return from where to where, each end as `shown` says."""
    if interval is None:
        return NOTHING
    return f"{shown(interval.low)} to {shown(interval.high)}"


def difference_texts(comparison: Comparison, metric: Metric, question: Question) -> tuple[str, str]:
    """Return a difference and its interval that holds at all times: relative where that means
    something, else as the metric is counted."""
    if comparison.relative is not None and comparison.anytime_relative_interval is not None:
        span = span_text(comparison.anytime_relative_interval, change_text)
        return change_text(comparison.relative), span

    def signed(value: float) -> str:
        text = value_text(value, metric, question.currency)
        return text if value < 0 else f"+{text}"

    span = span_text(comparison.anytime_interval, signed)
    return signed(comparison.difference), span


def detectable_text(row: VariantResult, control: VariantResult) -> str:
    """Return the smallest effect that so many units show, relative to the control."""
    if row.comparison is None or not control.value:
        return NOTHING
    return change_text(row.comparison.detectable / abs(control.value)).replace("+", "±")


def p_text(p: float) -> str:
    """Return a probability; tiny ones as a bound."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def verdict_text(row: VariantResult, units_min: int) -> str:
    """Return what may be said of the row."""
    if row.comparison is None:
        return f"needs {units_min} units a side" if row.units < units_min else NOTHING
    return {"better": "better", "worse": "worse", "open": "not decided"}[row.comparison.verdict]


def _digits(value: float) -> str:
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 0.0001 or value == 0 else f"{value:.3e}"
