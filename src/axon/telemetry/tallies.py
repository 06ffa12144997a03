"""Metrics of the hot path: plain numbers, read when somebody scrapes.

prometheus_client takes a lock for each observation and walks the buckets one by one, two to four
microseconds a time; a turn makes ten observations. These cost a tenth, and each is for one thread
only: the event loop's, or the journal's. They are exposed on the same registry, in the same format.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from axon.telemetry.metrics import DURATION_BUCKETS_S, describe, registry

SERIES_MAX = 1_000
"""Of one metric. Labels have few values; should one of them grow all the same, what is beyond this
is counted together, and a scrape stays a page."""

OTHER = "other"
"""Stands for label values that are not told apart."""

TOKEN_BUCKETS = tuple(float(4**power) for power in range(14))
"""As OpenTelemetry's conventions want them: 1, 4, 16 and so on, to 64 million."""


def _bounded(values: tuple[str, ...], known: Mapping[tuple[str, ...], object]) -> tuple[str, ...]:
    return values if len(known) < SERIES_MAX else (OTHER,) * len(values)


class CounterTally:
    """One series of a counter: add to its `count`, always on the same thread."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        """Start at 0."""
        self.count: float = 0


class HistogramTally:
    """One series of a histogram."""

    __slots__ = ("buckets", "counts", "total")

    def __init__(self, buckets: Sequence[float]) -> None:
        """Start empty; `buckets` are the upper bounds, rising."""
        self.buckets = buckets
        self.counts = [0] * (len(buckets) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Add one observation; always on the same thread."""
        self.counts[bisect_left(self.buckets, value)] += 1
        self.total += value


class CounterTallies(Collector):
    """A counter with labels; keep the series, asking for one is a look-up."""

    def __init__(self, name: str, description: str, labels: Sequence[str] = ()) -> None:
        """Register the metric; raise ValueError when the name is taken."""
        self._name, self._description, self._labels = name, description, labels
        self._series: dict[tuple[str, ...], CounterTally] = {}
        registry.register(self)
        describe("counter", name, description, labels)

    def series(self, *values: str) -> CounterTally:
        """Return the series with these label values, few and known ones only."""
        found = self._series.get(values)
        if found is None:
            values = _bounded(values, self._series)
            found = self._series.setdefault(values, CounterTally())
        return found

    def collect(self) -> Iterable[Metric]:
        """Return the metric as it stands."""
        family = CounterMetricFamily(self._name, self._description, labels=self._labels)
        for values, tally in list(self._series.items()):
            family.add_metric(values, tally.count)
        return [family]


class HistogramTallies(Collector):
    """A histogram with labels; keep the series, asking for one is a look-up."""

    def __init__(
        self,
        name: str,
        description: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = DURATION_BUCKETS_S,
    ) -> None:
        """Register the metric, of seconds unless told otherwise; raise ValueError when the name
        is taken.
        """
        self._name, self._description, self._labels = name, description, labels
        self._buckets = buckets
        self._series: dict[tuple[str, ...], HistogramTally] = {}
        registry.register(self)
        describe("histogram", name, description, labels)

    def series(self, *values: str) -> HistogramTally:
        """Return the series with these label values, few and known ones only."""
        found = self._series.get(values)
        if found is None:
            values = _bounded(values, self._series)
            found = self._series.setdefault(values, HistogramTally(self._buckets))
        return found

    def collect(self) -> Iterable[Metric]:
        """Return the metric as it stands."""
        family = HistogramMetricFamily(self._name, self._description, labels=self._labels)
        bounds = [*(str(float(bound)) for bound in self._buckets), "+Inf"]
        for values, tally in list(self._series.items()):
            buckets = list(zip(bounds, accumulate(tally.counts), strict=True))
            family.add_metric(values, buckets, sum_value=tally.total)
        return [family]
