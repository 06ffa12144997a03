"""From sums to answers: every variant beside the control, in every metric."""

from collections.abc import Mapping

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.statistics.comparing import (
    anytime_difference_of,
    anytime_relative_of,
    benjamini_hochberg,
    detectable_of,
    difference_of,
    holm,
    relative_of,
)
from axon.statistics.errors import QuestionWrong
from axon.statistics.moments import Estimate, Moments, adjusted_of, mean_of, ratio_of
from axon.statistics.results import (
    Comparison,
    Look,
    Metric,
    MetricResult,
    Question,
    Results,
    VariantResult,
)
from axon.statistics.sample_ratio import sample_ratio

UNITS_MIN = 100
"""Of each side, before anything is said: fewer are no normal mean, which all intervals assume."""

LOOKS_MAX = 120
"""Of one variant in one metric: a chart needs no more, and results stay small."""

VARIANTS_MAX = 32
METRICS_MAX = 64

_THIN = 2
"""Every such look is kept when there are too many; the latest always."""

_LOOK_APART_US = 60 * MICROS_PER_SECOND
"""Looks closer together than this are one."""

_NOTHING = Moments(units=0)

Sums = Mapping[str, Mapping[str, Moments]]
"""By metric and variant."""


def judge(
    question: Question, seen: Mapping[str, int], sums: Sums, now_us: int, before: Results | None
) -> Results:
    """Return what the sums say now; `before` is the last answer, whose course is carried on.

    `seen` counts the units that were assigned, by variant. Raises QuestionWrong and
    MomentsWrong; takes about 0.1 ms for each comparison.
    """
    _check(question)
    found = [_metric(question, metric, sums.get(metric.name, {})) for metric in question.metrics]
    adjusted = _adjusted_ps(found)
    courses = {one.metric.name: one.course for one in before.metrics} if before else {}
    metrics = []
    for one in found:
        rows = tuple(_decided(question, one.metric, row, adjusted) for row in one.rows)
        course = _course(courses.get(one.metric.name, ()), rows, now_us)
        metrics.append(MetricResult(metric=one.metric, rows=rows, course=course))
    return Results(
        question=question,
        calculated_us=now_us,
        sample_ratio=sample_ratio(seen, question.shares),
        metrics=tuple(metrics),
    )


def _check(question: Question) -> None:
    shares = question.shares
    if question.control not in shares or not 2 <= len(shares) <= VARIANTS_MAX:
        raise QuestionWrong("the control and 1 to 31 other variants have shares")
    if min(shares.values()) < 0 or sum(shares.values()) <= 0:
        raise QuestionWrong("shares are not negative, and one is not zero")
    if not 0 < question.alpha < 1 or not 0 < question.power < 1 or question.planned_units < 1:
        raise QuestionWrong("alpha and power are between 0 and 1, and at least 1 unit is planned")
    names = {metric.name for metric in question.metrics}
    if len(names) < len(question.metrics) or len(names) > METRICS_MAX:
        raise QuestionWrong(f"at most {METRICS_MAX} metrics, each with a name of its own")


def _metric(question: Question, metric: Metric, sums: Mapping[str, Moments]) -> MetricResult:
    control = sums.get(question.control, _NOTHING)
    others = [variant for variant in question.shares if variant != question.control]
    rows = [_alone(metric, question.control, control)]
    for variant in others:
        treated = sums.get(variant, _NOTHING)
        row = _alone(metric, variant, treated)
        if min(control.units, treated.units) >= UNITS_MIN and None not in (
            rows[0].value,
            row.value,
        ):
            comparison = _compared(question, metric, control, treated)
            row = msgspec.structs.replace(row, comparison=comparison)
        rows.append(row)
    return MetricResult(metric=metric, rows=tuple(rows))


def _alone(metric: Metric, variant: str, moments: Moments) -> VariantResult:
    value = None
    if metric.kind == "ratio" and moments.y:
        value = moments.x / moments.y
    elif metric.kind != "ratio" and moments.units:
        value = moments.x_mean
    return VariantResult(variant=variant, units=moments.units, value=value, comparison=None)


def _compared(question: Question, metric: Metric, control: Moments, treated: Moments) -> Comparison:
    one, other, saved = _estimates(metric, control, treated)
    alpha, planned = question.alpha, question.planned_units
    once = difference_of(one, other, alpha)
    anytime = anytime_difference_of(one, other, alpha, planned)
    return Comparison(
        difference=once.difference,
        relative=once.difference / one.value if one.value else None,
        interval=once.interval,
        relative_interval=relative_of(one, other, alpha),
        p=once.p,
        anytime_interval=anytime.interval,
        anytime_relative_interval=anytime_relative_of(one, other, alpha, planned),
        anytime_p=anytime.p,
        adjusted_p=anytime.p,
        detectable=detectable_of(one, other, alpha, question.power),
        saved_variance=saved,
        verdict="open",
    )


def _estimates(
    metric: Metric, control: Moments, treated: Moments
) -> tuple[Estimate, Estimate, float]:
    """Return both estimates, and the part of the variance that an adjustment took away."""
    if metric.kind == "ratio":
        return ratio_of(control), ratio_of(treated), 0.0
    plain = mean_of(control), mean_of(treated)
    if metric.kind == "mean":
        return *plain, 0.0
    one, other = adjusted_of(control, treated)
    before = plain[0].error_square + plain[1].error_square
    after = one.error_square + other.error_square
    return one, other, 1 - after / before if before else 0.0


_Key = tuple[str, str]
"""A metric and a variant."""


def _adjusted_ps(found: list[MetricResult]) -> dict[_Key, float]:
    """Return each comparison's p, corrected for the others of its purpose."""
    adjusted: dict[_Key, float] = {}
    for purpose, correct in (
        ("primary", holm),
        ("secondary", benjamini_hochberg),
        ("guardrail", list),  # a harm that is missed costs more than one that is not there
    ):
        ps = {
            (one.metric.name, row.variant): row.comparison.anytime_p
            for one in found
            if one.metric.purpose == purpose
            for row in one.rows
            if row.comparison is not None
        }
        adjusted.update(zip(ps, correct(list(ps.values())), strict=True))
    return adjusted


def _decided(
    question: Question, metric: Metric, row: VariantResult, adjusted: Mapping[_Key, float]
) -> VariantResult:
    comparison = row.comparison
    if comparison is None:
        return row
    p, verdict = adjusted[metric.name, row.variant], "open"
    if p < question.alpha:
        verdict = (
            "better" if (comparison.difference > 0) == (metric.better == "higher") else "worse"
        )
    decided = msgspec.structs.replace(comparison, adjusted_p=p, verdict=verdict)
    return msgspec.structs.replace(row, comparison=decided)


def _course(
    before: tuple[Look, ...], rows: tuple[VariantResult, ...], now_us: int
) -> tuple[Look, ...]:
    """Return the looks with today's, of every variant at most LOOKS_MAX."""
    looks: list[Look] = []
    for row in rows[1:]:
        own = [one for one in before if one.variant == row.variant]
        now = _look(row, now_us)
        if now is not None:
            if len(own) > 1 and now_us - own[-2].at_us < _LOOK_APART_US:
                own.pop()
            own.append(now)
        if len(own) > LOOKS_MAX:
            own = [*own[:-1:_THIN], own[-1]]
        looks += own
    return tuple(looks)


def _look(row: VariantResult, now_us: int) -> Look | None:
    comparison = row.comparison
    if comparison is None or comparison.relative is None:
        return None
    span = comparison.anytime_relative_interval
    if span is None:
        return None
    return Look(now_us, row.variant, comparison.relative, span.low, span.high)
