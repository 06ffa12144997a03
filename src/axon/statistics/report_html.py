"""An experiment's results as one page of HTML that needs nothing else: to read, print or send."""

from html import escape

from axon.base import utc_from_us
from axon.statistics.charts import Scale, bar, course_chart, scale_of
from axon.statistics.comparing import Interval
from axon.statistics.judging import UNITS_MIN
from axon.statistics.report_style import STYLE
from axon.statistics.report_table import split_text
from axon.statistics.results import Comparison, MetricResult, Results, VariantResult
from axon.statistics.shown import (
    NOTHING,
    PURPOSES,
    detectable_text,
    difference_texts,
    p_text,
    value_text,
    verdict_text,
)


def report_html(results: Results) -> str:
    """Return the page; whatever people named is text in it."""
    question = results.question
    sections = "".join(_section(results, purpose) for purpose in PURPOSES)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(question.experiment)}: results</title>
<style>{STYLE}</style></head>
<body><main>
{_head(results)}
{_split(results)}
{sections}
{_method(results)}
</main></body></html>
"""


def _head(results: Results) -> str:
    question = results.question
    state = "running" if question.stopped_us is None else "stopped"
    until = "now" if question.stopped_us is None else _instant(question.stopped_us)
    decision = ""
    if question.decision:
        decision = f'<p class="decision"><b>Decision</b> {escape(question.decision)}</p>'
    units = sum(row.seen for row in results.sample_ratio.rows)
    return f"""<header><h1>{escape(question.experiment)}
<span class="state {state}">{state}</span></h1>
<p class="hypothesis">{escape(question.hypothesis)}</p></header>
<dl><div><dt>From</dt><dd>{_instant(question.started_us)}</dd></div>
<div><dt>Until</dt><dd>{until}</dd></div>
<div><dt>Units</dt><dd>{units:,}
<span class="soft">of {question.planned_units:,} planned</span></dd></div>
<div><dt>Calculated</dt><dd>{_instant(results.calculated_us)}</dd></div></dl>{decision}"""


def _split(results: Results) -> str:
    split = results.sample_ratio
    kind = "broken" if split.mismatch else "kept"
    whole = sum(row.seen for row in split.rows) or 1
    parts = "".join(
        f'<i class="v{number % 6}" style="flex:{row.seen}"></i>'
        for number, row in enumerate(split.rows)
    )
    legend = "".join(
        f'<span><b class="v{number % 6}"></b>{escape(row.variant)} '
        f'<span class="soft">{row.seen / whole:.1%} of {row.share:.1%} planned</span></span>'
        for number, row in enumerate(split.rows)
    )
    return f"""<div class="split {kind}"><p>{escape(split_text(results))}</p>
<div class="parts">{parts}</div><div class="legend">{legend}</div></div>"""


def _section(results: Results, purpose: str) -> str:
    found = [one for one in results.metrics if one.metric.purpose == purpose]
    if not found:
        return ""
    title = {
        "primary": "What the decision hangs on",
        "guardrail": "What must not get worse",
        "secondary": "What else was looked at",
    }[purpose]
    body = "".join(_metric(results, one) for one in found)
    return f"<section><h2>{title}</h2>{body}</section>"


def _metric(results: Results, found: MetricResult) -> str:
    question, metric = results.question, found.metric
    scale = scale_of([span for row in found.rows if (span := _span(row)) is not None])
    rows = "".join(_row(results, found, row, scale) for row in found.rows)
    chart = ""
    if metric.purpose == "primary" and found.course:
        variants = [row.variant for row in found.rows]
        first, last = (pick(one.at_us for one in found.course) for pick in (min, max))
        # The control has no line; its number keeps the colours those of the split.
        chart = course_chart(found.course, variants, (_instant(first), _instant(last)))
    saved = [row.comparison.saved_variance for row in found.rows if row.comparison is not None]
    adjusted = ""
    if metric.kind == "cuped" and saved:
        adjusted = f" · adjusted by the time before, which explains {max(saved):.0%} of it"
    ratio = " · a ratio" if metric.kind == "ratio" else ""
    return f"""<article><h3>{escape(metric.title)} <small>{metric.better} is better{ratio}{adjusted}
</small></h3><div class="wide"><table><thead><tr><th>Variant</th><th>Units</th><th>Value</th>
<th>Change</th><th class="chart">Interval at {1 - question.alpha:.0%}, at all times</th><th>p</th>
<th>Detectable</th><th>Verdict</th></tr></thead><tbody>{rows}</tbody></table></div>{chart}</article>"""


def _row(results: Results, found: MetricResult, row: VariantResult, scale: Scale) -> str:
    compared, currency = row.comparison, results.question.currency
    change, text, drawn = NOTHING, NOTHING, ""
    if compared is not None:
        change, text = difference_texts(compared, found.metric, results.question)
        drawn = _drawn(compared, scale)
    verdict = compared.verdict if compared is not None else "open"
    said = "control" if row is found.rows[0] else verdict_text(row, UNITS_MIN)
    return f"""<tr><td>{escape(row.variant)}</td><td>{row.units:,}</td>
<td>{escape(value_text(row.value, found.metric, currency))}</td><td><b>{escape(change)}</b></td>
<td class="chart">{drawn}<small>{escape(text) if compared is not None else ""}</small></td>
<td>{p_text(compared.adjusted_p) if compared is not None else NOTHING}</td>
<td>{detectable_text(row, found.rows[0])}</td>
<td><span class="verdict {verdict if said != "control" else "control"}">{said}</span></td></tr>"""


def _drawn(compared: Comparison, scale: Scale) -> str:
    span = compared.anytime_relative_interval
    if compared.relative is None or span is None:
        return ""
    return bar(compared.relative, span, compared.verdict, scale)


def _span(row: VariantResult) -> Interval | None:
    compared = row.comparison
    return compared.anytime_relative_interval if compared is not None else None


def _method(results: Results) -> str:
    question = results.question
    return f"""<details><summary>How this was calculated</summary>
<p>The unit is who was assigned; values are sums by unit. Intervals and p hold however often this
page is looked at: they are asymptotic confidence sequences with an error of {question.alpha:.3g},
tightest at {question.planned_units:,} units. p of primary metrics are corrected by Holm (no false
finding among them), of secondary ones by Benjamini and Hochberg (few among the findings); a
guardrail's is its own, and so are intervals.
Ratios have their variance by the delta method. “Detectable” is the smallest change that one look at
so many units finds with a power of {question.power:.0%}. Below {UNITS_MIN} units a side nothing is
said. The split is tested by chi-square and called broken at p &lt; 0.001.</p></details>"""


def _instant(at_us: int) -> str:
    return utc_from_us(at_us).strftime("%Y-%m-%d %H:%M UTC")
