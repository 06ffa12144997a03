"""When an alert is due: pure rules over what was counted."""

from collections.abc import Sequence
from datetime import date, timedelta

from axon.alerts.alert import ANOMALY, OVERAGE, PROJECTED, THRESHOLDS, Alert, Facts, instant
from axon.base import MICROS_PER_SECOND
from axon.limits import Standing
from axon.metering import Spending

ANOMALY_DAYS = 28
"""Four weeks: each weekday counts as often as the others."""

ANOMALY_DAYS_MIN = 7
"""An organization whose first day with a cost is less long ago has no habits yet."""

ANOMALY_SIGMAS = 3

PROJECTED_FROM = 10
"""A month's run rate is believed once a tenth of the month is over."""

_DAY_US = 86_400 * MICROS_PER_SECOND


def alerts_of_limit(standing: Standing, now_us: int) -> list[Alert]:
    """Return what is due for one counter of a limit: at most one threshold, the highest passed."""
    rule, used, amount = standing.rule, standing.used, standing.rule.amount
    facts: Facts = {
        "limit": rule.rule_id,
        "counter": standing.bucket,
        "measure": rule.measure,
        "currency": rule.currency or None,
        "period": rule.period,
        "period_begins": instant(standing.period.start_us),
        "period_ends": instant(standing.period.end_us),
        "kind_of_limit": rule.kind,
        "amount": amount,
        "used": used,
    }
    found = []
    passed = [percent for percent in THRESHOLDS if used and used * 100 >= amount * percent]
    if passed:
        kind = f"limit.used.{passed[-1]}"
        found.append(_of(standing, kind, {**facts, "percent": passed[-1]}))
    if rule.kind == "overage" and used > amount:
        found.append(_of(standing, OVERAGE, {**facts, "overage": used - amount}))
    projected = _projected(standing, now_us)
    if rule.measure == "money" and rule.period == "month" and used <= amount < projected:
        found.append(_of(standing, PROJECTED, {**facts, "projected": projected}))
    return found


def _projected(standing: Standing, now_us: int) -> int:
    """Return what the whole period comes to at the rate so far; 0 while that says nothing."""
    start_us, end_us = standing.period
    elapsed_us, whole_us = now_us - start_us, end_us - start_us
    if elapsed_us * PROJECTED_FROM < whole_us:
        return 0
    return standing.used * whole_us // elapsed_us


def _of(standing: Standing, kind: str, facts: Facts) -> Alert:
    return Alert(
        kind=kind,
        org_id=standing.org_id,
        subject=standing.bucket,
        period_us=standing.period.start_us,
        data=facts,
    )


def alert_of_spending(spent: Spending, today: date, today_us: int) -> Alert | None:
    """Return the alert when today's cost is above the mean and three sigmas of the four weeks.

    In whole numbers: n·t - S > 3·√(n·Q - S²), both sides squared. Days without a cost count as 0.
    """
    before = [
        spent.nano_by_day.get(today - timedelta(days=back), 0)
        for back in range(1, ANOMALY_DAYS + 1)
    ]
    first = min(spent.nano_by_day)
    if today - first < timedelta(days=ANOMALY_DAYS_MIN):
        return None
    cost = spent.nano_by_day.get(today, 0)
    if not is_above_sigmas(cost, before):
        return None
    data: Facts = {
        "currency": spent.currency,
        "day": today.isoformat(),
        "cost_nano": cost,
        "mean_cost_nano": sum(before) // len(before),
        "days": len(before),
    }
    return Alert(
        kind=ANOMALY, org_id=spent.org_id, subject=spent.currency, period_us=today_us, data=data
    )


def is_above_sigmas(value: int, before: Sequence[int]) -> bool:
    """Return whether a value lies above the mean and ANOMALY_SIGMAS deviations of others."""
    count, total = len(before), sum(before)
    squares = sum(one * one for one in before)
    above = count * value - total
    return above > 0 and above * above > ANOMALY_SIGMAS**2 * (count * squares - total * total)


def day_of(now_us: int) -> tuple[date, int]:
    """Return the UTC day of an instant, and when it began."""
    number = now_us // _DAY_US
    return date(1970, 1, 1) + timedelta(days=number), number * _DAY_US
