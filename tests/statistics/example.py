"""An experiment with everything in it: three variants, metrics of every kind, a broken limit."""

import numpy as np

from axon.base import MICROS_PER_SECOND
from axon.statistics import Metric, Moments, Question, Results, judge
from tests.statistics.made_up import costs, moments_of, turns

DAY_US = 86_400 * MICROS_PER_SECOND
STARTED_US = 1_790_000_000 * MICROS_PER_SECOND
CONTROL, SHORT, SMALL = "as it was", "short prompt", "small model"

METRICS = (
    Metric(
        name="cost",
        title="Cost by user",
        purpose="primary",
        kind="cuped",
        better="lower",
        measure="nano_money",
    ),
    Metric(name="thumbs", title="Thumbs up by answer", purpose="primary", measure="share"),
    Metric(
        name="errors",
        title="Turns that failed",
        purpose="guardrail",
        kind="ratio",
        better="lower",
        measure="share",
    ),
    Metric(
        name="tokens",
        title="Output tokens by turn",
        kind="ratio",
        better="lower",
        measure="tokens",
    ),
    Metric(name="first", title="Time to first token", better="lower", measure="microseconds"),
)

QUESTION = Question(
    experiment="shorter-answers",
    hypothesis="A shorter system prompt costs less and is liked as well.",
    control=CONTROL,
    shares={CONTROL: 2, SHORT: 1, SMALL: 1},
    metrics=METRICS,
    started_us=STARTED_US,
    planned_units=8_000,
    currency="USD",
)


def sums_of(variant: str, units: int) -> dict[str, Moments]:
    """Return every metric's sums over the first units of a variant."""
    number = (CONTROL, SHORT, SMALL).index(variant)
    made = np.random.default_rng(100 + number)
    lift = (1.0, 0.93, 0.80)[number]
    cost, before = (one[:units] * 2e6 for one in costs(number + 20, 8_000, lift))
    tokens, asked = (one[:units] for one in turns(number + 30, 8_000))
    liked = (made.random(8_000) < (0.62, 0.63, 0.55)[number])[:units].astype(np.float64)
    failed = made.binomial(asked.astype(np.int64), (0.01, 0.01, 0.035)[number]).astype(np.float64)
    first = made.lognormal(12.6, 0.4, 8_000)[:units] * (1.0, 0.98, 0.7)[number]
    return {
        "cost": moments_of(cost, before),
        "thumbs": moments_of(liked),
        "errors": moments_of(failed, asked),
        "tokens": moments_of(tokens * lift, asked),
        "first": moments_of(first),
    }


def judged(days: int = 14, units_a_day: int = 400, before: Results | None = None) -> Results:
    """Return the results after some days on which somebody looked every six hours."""
    found = before
    for look in range(1, days * 4 + 1):
        units = units_a_day * look // 4
        seen = {CONTROL: units // 2, SHORT: units // 4, SMALL: units // 4 + look % 3}
        by_variant = {variant: sums_of(variant, many) for variant, many in seen.items()}
        sums = {
            metric.name: {variant: sums[metric.name] for variant, sums in by_variant.items()}
            for metric in METRICS
        }
        found = judge(QUESTION, seen, sums, STARTED_US + look * DAY_US // 4, found)
    assert found is not None
    return found
