"""One job from the moment a worker takes it until it ends: attempts, output, failure."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from axon.base import MICROS_PER_SECOND, Clock
from axon.inference.answer import ERROR_BYTES_MAX, Answer, StreamedAnswer, WholeAnswer
from axon.inference.deadlines import Deadlines
from axon.inference.engines import Engine
from axon.inference.errors import AnswerTooSlow, NotAStream, TotalTimePassed, UpstreamError
from axon.inference.failures import broken_attempt, failed_answer, is_outage, may_go_elsewhere
from axon.inference.http.connection import Exchange
from axon.inference.jobs import (
    DONE,
    FailureKind,
    JobFailed,
    JobOutput,
    SseBytes,
    Started,
    WholeBody,
)
from axon.inference.ports import Delivery, JobWriters
from axon.inference.route import Route

DELIVERIES_MAX = 3
"""A job that was with this many workers and ended with none is more likely their end than a
victim of it."""

LOST_RETRY_AFTER_MS = 1000
"""A worker is started again sooner; the next attempt finds it, or another."""

_OK = 200
_NOTHING_LEFT = JobFailed(
    kind=FailureKind.UNREACHABLE, message="no upstream of the model is up", shown=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a running job works with, the same for all jobs of a worker."""

    writers: JobWriters
    clock: Clock
    deadlines: Deadlines
    left: Callable[["RunningJob"], None]
    """Called once, when the job is no longer the worker's."""


class RunningJob:
    """Drives one job through the engines of its route, with no task of its own.

    It hears the upstream's answer (AnswerSink), the turn (JobListener) and the clock (Watched).
    """

    __slots__ = (
        "_answer",
        "_answer_due",
        "_asked_s",
        "_bench",
        "_delivery",
        "_engine",
        "_error",
        "_exchange",
        "_failure",
        "_headers",
        "_over",
        "_route",
        "_shown",
        "_status",
        "_tried",
        "_waiting",
        "_writer",
        "due",
        "job",
    )

    def __init__(self, delivery: Delivery, route: Route, bench: Bench) -> None:
        """Nothing happens until `start`."""
        self.job = delivery.job
        self.due = self._answer_due = self.job.deadline
        self._delivery = delivery
        self._route = route
        self._bench = bench
        self._writer = bench.writers.writer(delivery, self)
        self._engine: Engine | None = None
        self._exchange: Exchange | None = None
        self._answer: Answer
        self._tried: list[Engine] = []
        self._failure = _NOTHING_LEFT
        self._shown = self._over = self._waiting = False

    @property
    def shown(self) -> bool:
        """Return True when output has been passed on."""
        return self._shown

    def start(self) -> None:
        """Begin the first attempt, unless nobody waits for the job or it must not be run again."""
        if self._writer.cancelled:
            self._leave()
            self._writer.leave()
            self._delivery.done()
        elif self._writer.shown or self._delivery.attempt > DELIVERIES_MAX:
            message = "the worker that had the job went away"
            self._shown = self._writer.shown
            self._lose(message)
        else:
            self._bench.deadlines.watch(self)
            self._next_attempt()

    def stop(self) -> None:
        """Let go of the job because the worker ends: another may have it if nothing was shown."""
        if self._shown:
            self._drop_exchange()
            self._lose("the worker was stopped")
        else:
            self._drop_exchange()
            self._leave()
            self._writer.leave()
            self._delivery.give_back()

    # ---- attempts ----

    def _next_attempt(self) -> None:
        choice = self._route.choose(self._tried)
        if choice.engine is not None:
            self._attempt(choice.engine)
        elif choice.full:
            self._waiting = True
            self.due = self.job.deadline
            for engine in choice.full:
                engine.waiting.append(self._slot_is_free)
        else:
            self._end(self._failure)

    def _slot_is_free(self) -> None:
        if self._waiting:
            self._waiting = False
            self._next_attempt()

    def _attempt(self, engine: Engine) -> None:
        job, upstream = self.job, engine.upstream
        now = self._asked_s = self._bench.clock.monotonic()
        self._answer_due = min(job.deadline, now + upstream.total_timeout_s)
        self.due = self._answer_due
        self._engine = engine
        self._tried.append(engine)
        engine.free_slots -= 1
        self._status = 0
        self._answer = StreamedAnswer() if job.streamed else WholeAnswer()
        if job.streamed:
            self.due = min(self._answer_due, now + upstream.first_token_timeout_s)
        [model] = [one.model for one in job.model.upstreams if one.name == engine.name]
        self._exchange = engine.complete(job, msgspec.json.encode(model), self)

    def _attempt_failed(self, failure: JobFailed) -> None:
        """Go to the next engine when that may help and nothing was shown, else end the job."""
        engine = self._engine
        assert engine is not None
        self._drop_exchange()
        engine.ended(failure.kind)
        if is_outage(failure):
            engine.breaker.failed(f"{failure.kind} {failure.status or ''}".rstrip())
        else:
            engine.breaker.succeeded()
        if may_go_elsewhere(failure) and not self._shown and not self._over:
            self._failure = failure
            self._next_attempt()
        else:
            self._end(failure)

    def _drop_exchange(self) -> None:
        """Stop the exchange if one is under way, and free the slot."""
        exchange, self._exchange = self._exchange, None
        engine, self._engine = self._engine, None
        if exchange is not None:
            exchange.abort()
        if engine is not None:
            engine.free_slot()

    # ---- what the upstream says (AnswerSink) ----

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """Note the status; the body decides."""
        self._status = status
        if status != _OK:
            self._headers, self._error = headers, bytearray()
            return
        engine = self._engine
        assert engine is not None
        if engine.breaker.state == "open":
            engine.breaker.succeeded()  # or every job would be refused until this one ends
        if self.job.streamed:
            kind = headers.get(b"content-type", b"")
            if not kind.startswith(b"text/event-stream"):
                self.on_broken(NotAStream(kind.decode(errors="replace")))

    def on_data(self, data: bytes) -> None:
        """Show what is complete."""
        if self._status != _OK:
            self._error += data
            if len(self._error) > ERROR_BYTES_MAX:
                self.on_end(False)
            return
        self._expect_more()
        try:
            events = self._answer.feed(data)
        except UpstreamError as error:
            self.on_broken(error)
            return
        if events:
            self._show(SseBytes(events))

    def on_end(self, certain: bool) -> None:
        """End the job, or the attempt when it was an error."""
        if self._status != _OK:
            error = bytes(self._error[:ERROR_BYTES_MAX])
            self._attempt_failed(failed_answer(self._status, self._headers, error))
            return
        try:
            rest = self._answer.finish(certain)
        except UpstreamError as error:
            self.on_broken(error)
            return
        if rest and self.job.streamed:
            self._show(SseBytes(rest))
        engine = self._engine
        assert engine is not None
        engine.ended(None)
        engine.breaker.succeeded()
        self._drop_exchange()
        self._end(DONE if self.job.streamed else WholeBody(engine.name, rest, self._took_us()))

    def on_broken(self, error: UpstreamError) -> None:
        """The attempt failed."""
        self._attempt_failed(broken_attempt(error, self._shown))

    def _expect_more(self) -> None:
        engine = self._engine
        assert engine is not None
        now = self._bench.clock.monotonic()
        self.due = min(self._answer_due, now + engine.upstream.idle_timeout_s)

    # ---- what the turn says (JobListener) ----

    def on_cancel(self) -> None:
        """Close the upstream connection and end."""
        self._give_up(FailureKind.CANCELLED, "cancelled")

    def on_room(self) -> None:
        """Read on."""
        if self._exchange is not None:
            self._expect_more()
            self._exchange.resume()

    # ---- what the clock says (Watched) ----

    def expired(self, now: float) -> None:
        """Give up the attempt, or the job when its own deadline has come."""
        if now >= self.job.deadline:
            self._give_up(FailureKind.DEADLINE, "the deadline passed")
        elif now >= self._answer_due:
            self.on_broken(TotalTimePassed())
        else:
            self.on_broken(AnswerTooSlow())

    # ---- output and end ----

    def _show(self, output: SseBytes) -> None:
        if not self._shown:
            assert self._engine is not None
            self._shown = True
            self._writer.put(Started(self._engine.name, self._took_us()))
        if not self._writer.put(output) and self._exchange is not None:
            self._exchange.pause()
            self.due = self._answer_due  # a turn that is behind is not the upstream's idleness

    def _took_us(self) -> int:
        return int((self._bench.clock.monotonic() - self._asked_s) * MICROS_PER_SECOND)

    def _give_up(self, kind: FailureKind, message: str) -> None:
        self._drop_exchange()
        self._end(JobFailed(kind=kind, message=message, shown=self._shown))

    def _lose(self, message: str) -> None:
        self._end(
            JobFailed(
                kind=FailureKind.LOST,
                message=message,
                retry_after_ms=LOST_RETRY_AFTER_MS,
                shown=self._shown,
            )
        )

    def _end(self, output: JobOutput) -> None:
        if self._over:
            return
        self._leave()
        self._writer.put(output)
        self._delivery.done()

    def _leave(self) -> None:
        self._over = True
        self._waiting = False
        self._bench.deadlines.forget(self)
        self._bench.left(self)
