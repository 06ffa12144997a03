"""What Axon says about itself: one JSON line per event, and Prometheus metrics."""

from axon.telemetry.lines import Field, Log, configure_log, log
from axon.telemetry.metrics import counter, gauge, histogram, render_metrics
from axon.telemetry.tallies import (
    CounterTallies,
    CounterTally,
    HistogramTallies,
    HistogramTally,
)

__all__ = [
    "Counter",
    "CounterTallies",
    "CounterTally",
    "Field",
    "Gauge",
    "Histogram",
    "HistogramTallies",
    "HistogramTally",
    "Log",
    "configure_log",
    "counter",
    "gauge",
    "histogram",
    "log",
    "render_metrics",
]
