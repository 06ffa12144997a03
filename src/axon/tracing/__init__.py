"""Traces: what the journal says of turns, as spans for an OpenTelemetry collector."""

from axon.tracing.collector import Collector
from axon.tracing.errors import CollectorAway, CollectorRefused, TracingError
from axon.tracing.following import Sampling, TurnFollower
from axon.tracing.tracing import Tracing
from axon.tracing.turn_spans import SpanOptions, turn_spans

__all__ = [
    "Collector",
    "CollectorAway",
    "CollectorRefused",
    "Sampling",
    "SpanOptions",
    "Tracing",
    "TracingError",
    "TurnFollower",
    "turn_spans",
]
