"""What is counted of every turn."""

from functools import cache
from typing import NamedTuple

from axon.base import MICROS_PER_SECOND, Clock
from axon.telemetry import CounterTallies, CounterTally, HistogramTallies, HistogramTally
from axon.turns.request import RunningTurn, TurnEnd

_turns = CounterTallies("axon_turns_total", "Turns that ended, by how.", ("surface", "status"))
_duration = HistogramTallies(
    "axon_turn_duration_seconds", "Time from acceptance to acknowledgement.", ("surface",)
)
_first_output = HistogramTallies(
    "gen_ai_server_time_to_first_token_seconds", "Time to the first output.", ("surface",)
)
_overhead = HistogramTallies("axon_overhead_seconds", "Axon's own share of a turn.", ("surface",))
_tokens = CounterTallies("axon_tokens_total", "Model tokens of ended turns.", ("direction",))


class _Series(NamedTuple):
    """The series of one surface, looked up once."""

    duration: HistogramTally
    first_output: HistogramTally
    overhead: HistogramTally


@cache
def _series(surface: str) -> _Series:
    return _Series(
        _duration.series(surface), _first_output.series(surface), _overhead.series(surface)
    )


@cache
def _ended(surface: str, status: str) -> CounterTally:
    return _turns.series(surface, status)


_input_tokens = _tokens.series("input")
_output_tokens = _tokens.series("output")


def _how(end: TurnEnd | None) -> str:
    if end is None:
        return "lost"
    return end.status if end.failure is None else "failed"


def measure(turn: RunningTurn, clock: Clock) -> None:
    """Count a turn that has just ended."""
    surface = turn.head.surface
    now_s = clock.monotonic()
    _ended(surface, _how(turn.end)).count += 1
    series = _series(surface)
    series.duration.observe(now_s - turn.started_s)
    series.overhead.observe(turn.overhead_ms(now_s) / 1e3)
    if turn.first_output_us:
        waited_us = turn.first_output_us - turn.head.accepted_us
        series.first_output.observe(max(0, waited_us) / MICROS_PER_SECOND)
    usage = turn.answer.usage
    if usage is not None:
        _input_tokens.count += usage.input_tokens
        _output_tokens.count += usage.output_tokens
