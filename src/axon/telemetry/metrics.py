"""Prometheus metrics on Axon's own registry."""

from collections.abc import Sequence
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

DURATION_BUCKETS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)
"""From one fsync of a fast disk to the longest answer of a slow engine."""

# A second series per child that holds only its birth: twice the scrape, and nobody reads it.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library forgot to type it

registry = CollectorRegistry()
"""Axon's own: what other libraries register elsewhere is not ours to show."""
_metrics: dict[str, Counter | Gauge | Histogram] = {}
ProcessCollector(registry=registry)


class Described(NamedTuple):
    """A metric as the reference page shows it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    description: str


_described: dict[str, Described] = {}


def describe(kind: str, name: str, description: str, labels: Sequence[str]) -> None:
    """Remember a metric for the reference page."""
    _described[name] = Described(name, kind, tuple(labels), description)


def described_metrics() -> list[Described]:
    """Return every metric made so far, by name."""
    return sorted(_described.values())


def counter(name: str, description: str, labels: Sequence[str] = ()) -> Counter:
    """Return the counter of this name, made by the first call.

    Labels take few, known values: never the id of a user, a key or a conversation. Keep the
    children of hot metrics (`metric.labels(...)` costs a look-up under a lock). Raises TypeError
    when the name stands for another kind of metric, ValueError when it has other labels.
    """
    known = _known(name, labels)
    if known is None:
        known = _metrics[name] = Counter(name, description, labels, registry=registry)
        describe("counter", name, description, labels)
    if not isinstance(known, Counter):
        raise TypeError(f"{name} is already a {known._type}")
    return known


def gauge(name: str, description: str, labels: Sequence[str] = ()) -> Gauge:
    """Return the gauge of this name, made by the first call; rules and errors as for counter."""
    known = _known(name, labels)
    if known is None:
        known = _metrics[name] = Gauge(name, description, labels, registry=registry)
        describe("gauge", name, description, labels)
    if not isinstance(known, Gauge):
        raise TypeError(f"{name} is already a {known._type}")
    return known


def histogram(
    name: str,
    description: str,
    labels: Sequence[str] = (),
    buckets: Sequence[float] = DURATION_BUCKETS_S,
) -> Histogram:
    """Return the histogram of this name, made by the first call, whose buckets hold.

    Without `buckets` it measures durations in seconds; rules and errors as for counter.
    """
    known = _known(name, labels)
    if known is None:
        known = _metrics[name] = Histogram(
            name, description, labels, registry=registry, buckets=buckets
        )
        describe("histogram", name, description, labels)
    if not isinstance(known, Histogram):
        raise TypeError(f"{name} is already a {known._type}")
    return known


def render_metrics() -> bytes:
    """Return every metric in Prometheus' text format 0.0.4, as `GET /metrics` answers it."""
    return generate_latest(registry)


def _known(name: str, labels: Sequence[str]) -> Counter | Gauge | Histogram | None:
    known = _metrics.get(name)
    if known is not None and known._labelnames != tuple(labels):
        raise ValueError(f"{name} already has the labels {known._labelnames}")
    return known
