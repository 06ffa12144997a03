"""When an alert is due, by counts alone."""

import statistics
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.alerts.alert import ANOMALY, OVERAGE, PROJECTED
from axon.alerts.rules import alert_of_spending, alerts_of_limit, is_above_sigmas
from axon.limits import Period, Rule, Standing
from axon.metering import Spending

DAY_US = 86_400_000_000
MONTH = Period(0, 30 * DAY_US)
TODAY = date(2026, 11, 22)


def standing(used: int, **rule: Any) -> Standing:
    usual = {"rule_id": "r", "measure": "tokens", "period": "month", "amount": 1000}
    return Standing(
        org_id="org_1", rule=Rule(**{**usual, **rule}), bucket="r", period=MONTH, used=used
    )


def kinds(used: int, now_us: int = DAY_US, **rule: Any) -> list[str]:
    return [alert.kind for alert in alerts_of_limit(standing(used, **rule), now_us)]


@pytest.mark.parametrize(
    ("used", "due"),
    [
        (0, []),
        (499, []),
        (500, ["limit.used.50"]),
        (799, ["limit.used.50"]),
        (800, ["limit.used.80"]),
        (999, ["limit.used.80"]),
        (1000, ["limit.used.100"]),
        (5000, ["limit.used.100"]),
    ],
)
def test_only_the_highest_threshold_that_was_passed_is_due(used: int, due: list[str]) -> None:
    assert kinds(used) == due


def test_a_limit_of_nothing_is_used_up_by_anything() -> None:
    assert kinds(1, amount=0) == ["limit.used.100"]
    assert kinds(0, amount=0) == []


def test_overage_begins_beyond_the_amount_and_only_where_it_is_sold() -> None:
    assert kinds(1000, kind="overage") == ["limit.used.100"]
    assert kinds(1001, kind="overage") == ["limit.used.100", OVERAGE]
    assert kinds(1001, kind="soft") == ["limit.used.100"]


def test_a_month_at_this_rate_passes_its_budget() -> None:
    money = {"measure": "money", "currency": "USD"}
    assert kinds(101, 3 * DAY_US, **money) == [PROJECTED]
    assert kinds(100, 3 * DAY_US, **money) == [], "exactly the budget"
    assert kinds(101, 3 * DAY_US - 1, **money) == [], "the month has only begun"
    assert PROJECTED not in kinds(1001, 29 * DAY_US, **money), "it is passed, not projected"
    assert PROJECTED not in kinds(101, 3 * DAY_US, measure="tokens"), "no money"
    assert PROJECTED not in kinds(101, 3 * DAY_US, **{**money, "period": "day"})
    (alert,) = alerts_of_limit(standing(101, **money), 3 * DAY_US)
    assert alert.data["projected"] == 1010


def spent(today: int, before: list[int]) -> list[str]:
    days = {TODAY - timedelta(days=back): cost for back, cost in enumerate(before, start=1)}
    one = Spending(org_id="org_1", currency="USD", nano_by_day={**days, TODAY: today})
    alert = alert_of_spending(one, TODAY, 0)
    return [] if alert is None else [alert.kind]


def test_a_day_beyond_three_sigmas_is_an_anomaly() -> None:
    calm = [100, 110, 90, 105, 95, 100, 100] * 4
    assert spent(120, calm) == [ANOMALY]
    assert spent(115, calm) == []
    assert spent(101, [100] * 28) == [ANOMALY], "where no day ever differed"
    assert spent(100, [100] * 28) == []


def test_who_began_this_week_has_no_habits_yet() -> None:
    assert spent(10**12, [1] * 6) == []
    assert spent(10**12, [1] * 7) == [ANOMALY]


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=28, max_size=28))
def test_the_whole_numbers_say_what_the_statistics_say(value: int, before: list[int]) -> None:
    bound = statistics.fmean(before) + 3 * statistics.pstdev(before)
    if abs(value - bound) > 0.01:
        assert is_above_sigmas(value, before) == (value > bound)


def test_the_same_alert_has_the_same_id() -> None:
    first, again = [alerts_of_limit(standing(used), DAY_US)[0] for used in (500, 600)]
    other = alerts_of_limit(standing(800), DAY_US)[0]
    assert first.alert_id == again.alert_id != other.alert_id
