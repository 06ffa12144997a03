"""A turn's record becomes its spans: what was done with it, one step after the other.

Nothing a person or a model wrote is in them, and no parameter of the request: that is sealed. In
its place stands the record's own id.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from axon.records import TurnCompleted, TurnHead, TurnInterrupted
from axon.telemetry import (
    CLIENT,
    SERVER,
    TRACE_BYTES,
    Event,
    Span,
    SpanPlace,
    Value,
    event,
    gen_ai,
    parent_span,
    span,
    span_id,
    trace_id,
)

TurnEnd = TurnCompleted | TurnInterrupted


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanOptions:
    """What spans say beside their records."""

    addresses: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Host and port of each upstream, by its name."""
    openinference: bool = False
    """Whether spans also say what they are in OpenInference's words."""


def trace_of(head: TurnHead) -> bytes:
    """Return the turn's trace; of one that no request named, its id makes one."""
    return head.trace or span_id(head.turn_id, "trace high") + span_id(head.turn_id, "trace low")


def failed(record: TurnEnd) -> bool:
    """Return whether the turn ended badly; one that its client cancelled did not."""
    return record.status == "failed"


def duration_us(record: TurnEnd) -> int:
    """Return how long the turn took."""
    return record.times.ended_us or record.completed_us - record.head.accepted_us


def turn_spans(record: TurnEnd, options: SpanOptions) -> list[Span]:
    """Return the spans of a turn, the one around all of them first.

    Of a turn whose steps are not known, as of one that a crash cut short, that is the only one.
    """
    turn = _Turn(record)
    spans = [_whole(turn, options)]
    times = record.times
    if not times.ended_us:
        return spans
    if times.history_us:
        spans.append(turn.step("history", (0, times.history_us), {}))
    retrieval = record.head.retrieval
    searched_us = times.steered_us - retrieval.took_us
    if record.assignments:
        spans.append(_flags(turn, (times.history_us, searched_us)))
    if retrieval.outcome:
        found: dict[str, Value] = {
            "axon.retrieval.outcome": retrieval.outcome,
            "axon.passages": retrieval.passages,
        }
        spans.append(turn.step("retrieval", (searched_us, times.steered_us), found))
    if times.durable_us:
        spans.append(turn.step("accept", (times.submitted_us, times.durable_us), {}))
    if times.submitted_us:
        asked_us = turn.asked_us()
        spans.append(turn.step("queue", (times.submitted_us, asked_us), {}))
        spans.append(_engine(turn, (asked_us, times.answered_us), options))
    spans.append(turn.step("commit", (times.answered_us, times.ended_us), {}))
    return spans


class _Turn:
    """A record, and what all of its spans share."""

    def __init__(self, record: TurnEnd) -> None:
        self.record = record
        self.head = record.head
        self.trace = trace_of(record.head)
        self.trace_id = trace_id(self.trace[:TRACE_BYTES])
        self.start_us = record.completed_us - duration_us(record)
        self.id: Callable[[str], str] = lambda name: span_id(self.head.turn_id, name).hex()

    def step(self, name: str, offsets_us: tuple[int, int], attributes: Mapping[str, Value]) -> Span:
        """Return the span of one step, its ends as offsets from the turn's beginning."""
        return span(self.place(name), self.between(offsets_us), attributes)

    def place(self, name: str) -> SpanPlace:
        """Return where a step's span stands: within that of the whole turn."""
        return SpanPlace(self.trace_id, self.id(name), self.id("turn"), name)

    def between(self, offsets_us: tuple[int, int]) -> tuple[int, int]:
        """Return two offsets as instants."""
        start, end = offsets_us
        return self.start_us + start, self.start_us + end

    def asked_us(self) -> int:
        """Return when the engine was asked: what it took to its first output is known."""
        record, times = self.record, self.record.times
        if not times.engine_us or not record.first_token_us:
            return times.submitted_us
        first_us = record.first_token_us - self.start_us
        return min(max(times.submitted_us, first_us - times.engine_us), times.answered_us)


def _whole(turn: _Turn, options: SpanOptions) -> Span:
    record, head = turn.record, turn.head
    attributes: dict[str, Value] = {
        gen_ai.RECORD: head.turn_id,
        gen_ai.USER: f"{head.user:016x}",
        gen_ai.REQUEST_MODEL: head.model,
        "axon.org.id": head.org_id,
        "axon.surface": head.surface,
        "axon.turn.status": record.status,
    }
    if head.conversation_id:
        attributes[gen_ai.CONVERSATION] = attributes[gen_ai.SESSION] = head.conversation_id
    if isinstance(record, TurnInterrupted):
        attributes[gen_ai.ERROR_TYPE] = record.reason
    if options.openinference:
        attributes[gen_ai.OPENINFERENCE_KIND] = "CHAIN"
    return span(
        SpanPlace(
            turn.trace_id,
            turn.id("turn"),
            parent_span(turn.trace),
            f"turn {head.surface}",
            SERVER,
        ),
        turn.between((0, duration_us(record))),
        attributes,
        failed=failed(record),
    )


def _flags(turn: _Turn, offsets_us: tuple[int, int]) -> Span:
    between = turn.between(offsets_us)
    events: list[Event] = [
        event(
            gen_ai.FLAG_EVALUATION,
            between[0],
            {
                gen_ai.FLAG_KEY: one.flag,
                gen_ai.FLAG_VARIANT: one.variant,
                gen_ai.FLAG_REASON: one.reason.lower(),
                gen_ai.FLAG_PROVIDER: "axon",
            },
        )
        for one in turn.record.assignments
    ]
    return span(turn.place("flags"), between, {}, events=events)


def _engine(turn: _Turn, offsets_us: tuple[int, int], options: SpanOptions) -> Span:
    record, head, usage = turn.record, turn.head, turn.record.usage
    operation = gen_ai.OPERATIONS[head.surface]
    attributes: dict[str, Value] = {
        gen_ai.OPERATION: operation,
        gen_ai.PROVIDER: record.upstream or "none",
        gen_ai.REQUEST_MODEL: head.runs_on,
        gen_ai.INPUT_TOKENS: usage.input_tokens,
        gen_ai.OUTPUT_TOKENS: usage.output_tokens,
        gen_ai.CACHED_TOKENS: usage.cached_tokens,
    }
    if record.upstream_id:
        attributes[gen_ai.RESPONSE_ID] = record.upstream_id
    if head.conversation_id:
        attributes[gen_ai.CONVERSATION] = head.conversation_id
    if record.first_token_us:
        waited_us = record.first_token_us - turn.start_us - offsets_us[0]
        attributes[gen_ai.TIME_TO_FIRST_CHUNK] = max(0, waited_us) / 1e6
    if record.upstream in options.addresses:
        host, port = options.addresses[record.upstream]
        attributes |= {gen_ai.SERVER_ADDRESS: host, gen_ai.SERVER_PORT: port}
    if isinstance(record, TurnInterrupted):
        attributes[gen_ai.ERROR_TYPE] = record.reason
    if options.openinference:
        kind = "EMBEDDING" if head.surface == "embeddings" else "LLM"
        attributes[gen_ai.OPENINFERENCE_KIND] = kind
    return span(
        SpanPlace(
            turn.trace_id,
            turn.id("engine"),
            turn.id("turn"),
            f"{operation} {head.runs_on}",
            CLIENT,
        ),
        turn.between(offsets_us),
        attributes,
        failed=failed(record),
    )
