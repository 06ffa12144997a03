"""What Axon says about itself: one JSON line per event, and Prometheus metrics."""

from axon.telemetry import gen_ai
from axon.telemetry.lines import Field, Log, configure_log, log
from axon.telemetry.metrics import (
    Described,
    counter,
    described_metrics,
    gauge,
    histogram,
    render_metrics,
)
from axon.telemetry.otlp import (
    CLIENT,
    INTERNAL,
    SERVER,
    Event,
    Span,
    SpanPlace,
    Value,
    encode_spans,
    event,
    span,
)
from axon.telemetry.tallies import (
    OTHER,
    SERIES_MAX,
    TOKEN_BUCKETS,
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
from axon.telemetry.writer import dropped

__all__ = [
    "CLIENT",
    "INTERNAL",
    "OTHER",
    "SERIES_MAX",
    "SERVER",
    "TOKEN_BUCKETS",
    "TRACE_BYTES",
    "CounterTallies",
    "CounterTally",
    "Described",
    "Event",
    "Field",
    "HistogramTallies",
    "HistogramTally",
    "Log",
    "Span",
    "SpanPlace",
    "Value",
    "configure_log",
    "counter",
    "described_metrics",
    "dropped",
    "encode_spans",
    "event",
    "gauge",
    "gen_ai",
    "histogram",
    "is_sampled",
    "log",
    "parent_span",
    "read_traceparent",
    "render_metrics",
    "span",
    "span_id",
    "trace_id",
    "traceparent",
]
