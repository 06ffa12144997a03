"""What Axon says about itself: one JSON line per event, and Prometheus metrics."""

from prometheus_client import Counter, Gauge, Histogram

from axon.telemetry.lines import Field, Log, configure_log, log
from axon.telemetry.metrics import counter, gauge, histogram, render_metrics

__all__ = [
    "Counter",
    "Field",
    "Gauge",
    "Histogram",
    "Log",
    "configure_log",
    "counter",
    "gauge",
    "histogram",
    "log",
    "render_metrics",
]
