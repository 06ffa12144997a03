"""What is asked of an experiment's numbers, and what they answer: plain values, kept as JSON."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from axon.statistics.comparing import Interval
from axon.statistics.sample_ratio import SampleRatio

Purpose = Literal["primary", "guardrail", "secondary"]
"""primary: what the decision hangs on; guardrail: what must not get worse; secondary: looked at."""

Kind = Literal["mean", "ratio", "cuped"]
"""mean: x by unit. ratio: sum of x by sum of y. cuped: x by unit, freed of its y from before."""

Measure = Literal["nano_money", "microseconds", "tokens", "share", "number"]
"""What a value is, for whoever shows it; share: 0 to 1."""

Verdict = Literal["better", "worse", "open"]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is counted by unit."""

    name: str
    title: str
    purpose: Purpose = "secondary"
    kind: Kind = "mean"
    better: Literal["lower", "higher"] = "higher"
    measure: Measure = "number"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment wants to know."""

    experiment: str
    hypothesis: str
    control: str
    shares: Mapping[str, float]
    """By variant: its weight among those that were assigned; the control is one of them."""
    metrics: tuple[Metric, ...]
    started_us: int
    stopped_us: int | None = None
    decision: str = ""
    alpha: float = 0.05
    power: float = 0.8
    planned_units: int = 10_000
    """Of all variants together; where the intervals that hold at all times are tightest."""
    currency: str = ""
    """Of values in nano_money."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A variant beside the control, in one metric."""

    difference: float
    relative: float | None
    """The difference by the control's value; None where that is nothing."""
    interval: Interval | None
    """Welch's: for one look, at the planned end."""
    relative_interval: Interval | None
    p: float
    anytime_interval: Interval | None
    """Holds however often it is looked at."""
    anytime_relative_interval: Interval | None
    anytime_p: float
    adjusted_p: float
    """anytime_p corrected for all comparisons of this purpose: primary ones by Holm, secondary
    ones by Benjamini and Hochberg; of guardrails it is anytime_p."""
    detectable: float
    """The smallest difference that one look at so many units finds with the wanted power."""
    saved_variance: float
    """The part of the variance that the time before the experiment explained; 0 without it."""
    verdict: Verdict
    """By adjusted_p, against alpha."""

    @property
    def harm(self) -> bool:
        """Return whether the variant is worse, beyond what alpha lets pass as chance."""
        return self.verdict == "worse"


class VariantResult(msgspec.Struct, frozen=True, kw_only=True):
    """One variant in one metric."""

    variant: str
    units: int
    value: float | None
    """None without units, or where a ratio has no denominator."""
    comparison: Comparison | None
    """None of the control, and where either side has too few units."""


class Look(msgspec.Struct, frozen=True, array_like=True):
    """What was seen of one variant at one time, as shares of the control's value."""

    at_us: int
    variant: str
    relative: float
    low: float
    high: float


class MetricResult(msgspec.Struct, frozen=True, kw_only=True):
    """One metric in all variants, the control first."""

    metric: Metric
    rows: tuple[VariantResult, ...]
    course: tuple[Look, ...] = ()
    """All looks so far, thinned."""


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an experiment's numbers say at one time."""

    question: Question
    calculated_us: int
    sample_ratio: SampleRatio
    metrics: tuple[MetricResult, ...]
