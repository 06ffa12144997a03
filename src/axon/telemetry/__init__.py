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
from axon.telemetry.trace_context import (
    TRACE_BYTES,
    is_sampled,
    parent_span,
    read_traceparent,
    span_id,
    trace_id,
    traceparent,
)

__all__ = [
    "TRACE_BYTES",
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
    "is_sampled",
    "log",
    "parent_span",
    "read_traceparent",
    "render_metrics",
    "span_id",
    "trace_id",
    "traceparent",
]
