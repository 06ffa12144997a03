"""What is counted of every turn."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from axon.base import MICROS_PER_SECOND, NANOS_PER_UNIT, Clock
from axon.inference import WILDCARD_LANE
from axon.records import TokenUsage, Verdict
from axon.telemetry import (
    OTHER,
    TOKEN_BUCKETS,
    CounterTallies,
    CounterTally,
    HistogramTallies,
    HistogramTally,
    gen_ai,
)
from axon.turns.request import RunningTurn, TurnEnd

_turns = CounterTallies("axon_turns_total", "Turns that ended, by how.", ("surface", "status"))
_duration = HistogramTallies(
    "axon_turn_duration_seconds", "Time from acceptance to acknowledgement.", ("surface",)
)
_first_output = HistogramTallies(
    "gen_ai_server_time_to_first_token_seconds", "Time to the first output.", ("surface",)
)
_per_token = HistogramTallies(
    "gen_ai_server_time_per_output_token_seconds",
    "Time for each model token behind the first.",
    ("surface",),
)
_operation = HistogramTallies(
    "gen_ai_client_operation_duration_seconds",
    "From giving a job to the queue to the engine's last word.",
    ("gen_ai_operation_name", "gen_ai_request_model", "error_type"),
)
_queue = HistogramTallies(
    "axon_queue_wait_seconds", "How long jobs waited for an engine.", ("gen_ai_request_model",)
)
_overhead = HistogramTallies("axon_overhead_seconds", "Axon's own share of a turn.", ("surface",))
_tokens = HistogramTallies(
    "gen_ai_client_token_usage",
    "Model tokens of ended turns.",
    ("gen_ai_token_type", "gen_ai_request_model", "axon_tier"),
    TOKEN_BUCKETS,
)
_charged = CounterTallies(
    "axon_charged_total", "What ended turns cost their organizations.", ("currency",)
)
_evaluations = CounterTallies(
    "axon_flag_evaluations_total", "Answers of flags for turns that ended.", ("flag", "variant")
)

_verdicts = CounterTallies(
    "axon_safety_verdicts_total", "What safety decided about turns, and who.", ("stage", "action")
)
for _stage in ("input", "output"):
    for _action in ("passed", "flagged", "redacted", "blocked", "unchecked"):
        _verdicts.series(_stage, _action)


class _Series(NamedTuple):
    """The series of one surface, looked up once."""

    duration: HistogramTally
    first_output: HistogramTally
    per_token: HistogramTally
    overhead: HistogramTally


@cache
def _series(surface: str) -> _Series:
    return _Series(
        _duration.series(surface),
        _first_output.series(surface),
        _per_token.series(surface),
        _overhead.series(surface),
    )


@cache
def _ended(surface: str, status: str) -> CounterTally:
    return _turns.series(surface, status)


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
    usage = turn.answer.usage
    model = turn.model.lane if turn.model.lane != WILDCARD_LANE else OTHER
    if turn.first_output_us:
        waited_us = turn.first_output_us - turn.head.accepted_us
        series.first_output.observe(max(0, waited_us) / MICROS_PER_SECOND)
        if usage is not None and usage.output_tokens > 1 and turn.first_output_s:
            said_s = max(0.0, turn.engine_done_s - turn.first_output_s)
            series.per_token.observe(said_s / (usage.output_tokens - 1))
    if turn.submitted_s and turn.engine_done_s:
        _measure_engine(turn, model)
    if usage is not None:
        _measure_usage(usage, model, turn.request.tier)
    if turn.charge.cost_nano:
        charged = _charged.series(turn.charge.currency)
        charged.count += turn.charge.cost_nano / NANOS_PER_UNIT
    for one in turn.assignments:
        _evaluations.series(one.flag, one.variant).count += 1


def measure_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Count what safety decided about a turn that is about to end."""
    for one in verdicts:
        _verdicts.series(one.stage, one.action).count += 1


def _measure_engine(turn: RunningTurn, model: str) -> None:
    failure = turn.end.failure if turn.end is not None else None
    operation = gen_ai.OPERATIONS[turn.head.surface]
    took = _operation.series(operation, model, "" if failure is None else failure.code)
    took.observe(turn.engine_done_s - turn.submitted_s)
    if turn.first_output_s:
        asked_s = turn.first_output_s - turn.engine_us / MICROS_PER_SECOND
        _queue.series(model).observe(max(0.0, asked_s - turn.submitted_s))


def _measure_usage(usage: TokenUsage, model: str, tier: str) -> None:
    _tokens.series("input", model, tier).observe(usage.input_tokens)
    _tokens.series("output", model, tier).observe(usage.output_tokens)
