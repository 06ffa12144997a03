"""What is counted of every turn."""

from functools import cache
from typing import NamedTuple

from axon.base import MICROS_PER_SECOND, Clock
from axon.telemetry import Counter, Histogram, counter, histogram
from axon.turns.request import RunningTurn

_turns = counter("axon_turns_total", "Turns that ended, by how.", ("surface", "status"))
_duration = histogram(
    "axon_turn_duration_seconds", "Time from acceptance to acknowledgement.", ("surface",)
)
_first_output = histogram(
    "gen_ai_server_time_to_first_token_seconds", "Time to the first output.", ("surface",)
)
_overhead = histogram("axon_overhead_seconds", "Axon's own share of a turn.", ("surface",))
_tokens = counter("axon_tokens_total", "Model tokens of ended turns.", ("direction",))


class _Series(NamedTuple):
    """The series of one surface, looked up once: the look-up takes a lock."""

    duration: Histogram
    first_output: Histogram
    overhead: Histogram


@cache
def _series(surface: str) -> _Series:
    return _Series(
        _duration.labels(surface), _first_output.labels(surface), _overhead.labels(surface)
    )


@cache
def _ended(surface: str, status: str) -> Counter:
    return _turns.labels(surface, status)


_input_tokens = _tokens.labels("input")
_output_tokens = _tokens.labels("output")


def measure(turn: RunningTurn, clock: Clock) -> None:
    """Count a turn that has just ended."""
    surface = turn.head.surface
    now_s = clock.monotonic()
    end = turn.ended.result() if turn.ended.done() and not turn.ended.cancelled() else None
    _ended(surface, "lost" if end is None else end.status).inc()
    series = _series(surface)
    series.duration.observe(now_s - turn.started_s)
    series.overhead.observe(turn.overhead_ms(now_s) / 1e3)
    if turn.first_output_us:
        waited_us = turn.first_output_us - turn.head.accepted_us
        series.first_output.observe(max(0, waited_us) / MICROS_PER_SECOND)
    usage = turn.answer.usage
    if usage is not None:
        _input_tokens.inc(usage.input_tokens)
        _output_tokens.inc(usage.output_tokens)
