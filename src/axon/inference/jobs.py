"""A job for an engine, and what comes back of it."""

from enum import StrEnum

import msgspec

from axon.inference.models import Model

ROWS = 8
"""Rows of jobs in each lane: one for all who have no share of the queue, one for each who has."""

WEIGHT_OF_ALL = 100
"""Percent of the slots that a row has when nobody has a share."""


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request to be made of an engine for a turn."""

    turn_id: str
    model: Model
    fields: bytes
    """The inside of the request's JSON object: no braces and no `model`. Never empty."""
    streamed: bool
    """What `fields` ask for. A turn streams also when its client did not ask, from a model one of
    whose upstreams is `always_stream`."""
    deadline: float
    """The instant, in seconds of the monotonic clock, at which the job is given up."""
    path: str = "chat/completions"
    """What is asked of the engine, below its base address: also `embeddings` or `completions`."""
    row: int = 0
    """Where it waits, below ROWS: 0 with all who have no share of the queue."""
    weight: int = WEIGHT_OF_ALL
    """Percent of the slots for its row, from 1, while other rows wait as well."""
    traceparent: bytes = b""
    """A header of the request, so that the engine's own spans are of the turn's trace; or none."""


class FailureKind(StrEnum):
    """Why a job failed."""

    REJECTED = "rejected"
    """The upstream answered with a 4xx other than 429: the request is at fault."""
    OVERLOADED = "overloaded"
    """429."""
    UPSTREAM_ERROR = "upstream_error"
    """5xx, or a status that makes no sense."""
    UNREACHABLE = "unreachable"
    """No connection, or every upstream's breaker is open."""
    TIMEOUT = "timeout"
    """The upstream was too slow."""
    BROKEN = "broken"
    """The answer broke off, was malformed or larger than its bound."""
    DEADLINE = "deadline"
    """The job's own deadline passed."""
    CANCELLED = "cancelled"
    """The turn asked for it."""
    LOST = "lost"
    """The worker went away after output had been shown, or too often."""
    UNKNOWN_MODEL = "unknown_model"
    """The worker's settings lack the model that the turn's process knows."""


class Started(msgspec.Struct, frozen=True, gc=False):
    """A stream has begun; what follows comes from this upstream and no other."""

    upstream: str
    engine_us: int = 0
    """How long the engine took to its first output, in microseconds; of a job that failed over, the
    engine that answered."""


class SseBytes(msgspec.Struct, frozen=True, gc=False):
    """One or more complete server-sent events, exactly as the upstream sent them."""

    data: bytes


class WholeBody(msgspec.Struct, frozen=True, gc=False):
    """The JSON body of an unstreamed answer, whole; nothing follows."""

    upstream: str
    data: bytes
    engine_us: int = 0
    """How long the engine took, in microseconds."""


class JobDone(msgspec.Struct, frozen=True, gc=False):
    """The stream is complete; nothing follows."""


class JobFailed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The job ended without a complete answer; nothing follows."""

    kind: FailureKind
    status: int = 0
    """The upstream's HTTP status; 0 when there was no answer."""
    message: str
    body: bytes = b""
    """The upstream's error body, cut at a bound."""
    retry_after_ms: int | None = None
    shown: bool
    """True when output had been passed on: the turn is interrupted, and is not to be run again."""


JobOutput = Started | SseBytes | WholeBody | JobDone | JobFailed

DONE = JobDone()
