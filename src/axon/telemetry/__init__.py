"""What Axon says about itself: one JSON line per event, and Prometheus metrics."""

from axon.telemetry.lines import Field, Log, configure_log, log
from axon.telemetry.metrics import (
    Described,
    counter,
    described_metrics,
    gauge,
    histogram,
    render_metrics,
)
from axon.telemetry.tallies import (
    CounterTallies,
    CounterTally,
    HistogramTallies,
    HistogramTally,
)

__all__ = [
    "CounterTallies",
    "CounterTally",
    "Described",
    "Field",
    "HistogramTallies",
    "HistogramTally",
    "Log",
    "configure_log",
    "counter",
    "described_metrics",
    "gauge",
    "histogram",
    "log",
    "render_metrics",
]
