"""Charts as SVG that stands in a page: no script, no outside resource, colours by its classes."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from axon.statistics.comparing import Interval
from axon.statistics.results import Look
from axon.statistics.shown import change_text

BAR_WIDTH, BAR_HEIGHT = 300, 26
_PAD = 6
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 800, 230, 64, 26, 12
_TICKS = 4
_SPAN_MAX = 10.0
"""A chart shows no more than a change by the factor ten: early intervals would hide the rest."""


class Scale(NamedTuple):
    """From where to where a chart shows changes; zero is always in it."""

    low: float
    high: float

    def place(self, value: float, width: float) -> float:
        """Return where the value is between 0 and `width`; its end for what is beyond."""
        within = min(max(value, self.low), self.high)
        return (within - self.low) / (self.high - self.low) * width


def scale_of(spans: Sequence[Interval]) -> Scale:
    """Return a scale that holds all the spans, and the same to both sides where they are small."""
    low = max(min((low for low, _ in spans), default=0.0), -1.0)
    high = min(max((high for _, high in spans), default=0.0), _SPAN_MAX)
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-9:
        return Scale(-0.01, 0.01)
    edge = (high - low) * 0.06
    return Scale(low - edge, high + edge)


def bar(relative: float, interval: Interval, verdict: str, scale: Scale) -> str:
    """Return one interval with its middle, beside the line of no change."""
    width = BAR_WIDTH - 2 * _PAD
    low, high, at, zero = (
        _PAD + scale.place(value, width) for value in (interval.low, interval.high, relative, 0.0)
    )
    middle = BAR_HEIGHT / 2
    title = f"{change_text(relative)}, {change_text(interval.low)} to {change_text(interval.high)}"
    return (
        f'<svg class="bar {verdict}" viewBox="0 0 {BAR_WIDTH} {BAR_HEIGHT}" role="img">'
        f"<title>{escape(title)}</title>"
        f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{BAR_HEIGHT}"/>'
        f'<rect class="span" x="{low:.1f}" y="{middle - 5}" width="{max(high - low, 1):.1f}" '
        f'height="10" rx="5"/><circle class="dot" cx="{at:.1f}" cy="{middle}" r="4.5"/></svg>'
    )


def course_chart(looks: Sequence[Look], variants: Sequence[str], dates: tuple[str, str]) -> str:
    """Return how the change and its interval went over time; empty for fewer than two looks.

    `dates` are the texts of the first and the last instant.
    """
    times = sorted({one.at_us for one in looks})
    if len(times) < 2:
        return ""
    scale = scale_of([Interval(one.low, one.high) for one in _settled(looks, times)])
    width, height = _WIDTH - _LEFT - _PAD, _HEIGHT - _TOP - _BOTTOM

    def x(at_us: int) -> float:
        return _LEFT + (at_us - times[0]) / (times[-1] - times[0]) * width

    def y(value: float) -> float:
        return _TOP + height - scale.place(value, height)

    parts = [_axis(y(value), value) for value in _ticks(scale)]
    for number, variant in enumerate(variants):
        own = [one for one in looks if one.variant == variant]
        upper = [f"{x(one.at_us):.1f},{y(one.high):.1f}" for one in own]
        lower = [f"{x(one.at_us):.1f},{y(one.low):.1f}" for one in reversed(own)]
        line = " ".join(f"{x(one.at_us):.1f},{y(one.relative):.1f}" for one in own)
        kind = f"v{number % 6}"
        parts.append(f'<polygon class="band {kind}" points="{" ".join(upper + lower)}"/>')
        parts.append(f'<polyline class="line {kind}" points="{line}"/>')
    foot = _HEIGHT - 6
    parts.append(f'<text x="{_LEFT}" y="{foot}">{escape(dates[0])}</text>')
    parts.append(f'<text x="{_WIDTH - _PAD}" y="{foot}" class="end">{escape(dates[1])}</text>')
    label = "Change beside the control over time"
    return (
        f'<svg class="course" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _settled(looks: Sequence[Look], times: Sequence[int]) -> list[Look]:
    """Return the looks of the later four fifths: the first intervals are wider than the page."""
    begin = times[len(times) // 5]
    return [one for one in looks if one.at_us >= begin]


def _ticks(scale: Scale) -> list[float]:
    """Return round values within the scale, zero among them."""
    rough = (scale.high - scale.low) / _TICKS
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [
        number * step
        for number in range(math.ceil(scale.low / step), math.floor(scale.high / step) + 1)
    ]


def _axis(at: float, value: float) -> str:
    kind = "zero" if value == 0 else "grid"
    text = "0 %" if value == 0 else f"{value * 100:+.3g} %"
    return (
        f'<line class="{kind}" x1="{_LEFT}" x2="{_WIDTH - _PAD}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" class="end">{text}</text>'
    )
