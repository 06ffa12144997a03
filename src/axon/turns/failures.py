"""The ways a turn can be refused or fail, each with one cause."""

import msgspec

from axon.base import AxonError
from axon.inference import JobFailed
from axon.privacy import Redactor
from axon.turns.answer import TurnFailure


class TurnError(AxonError):
    """The turn could not be taken."""


class ContextOverflow(TurnError):
    """Your input exceeds the context window of this model. Please shorten it and try again."""


class InvalidParameter(TurnError):
    """A parameter of the request has a wrong type."""


class CompactionFailed(TurnError):
    """The conversation could not be summarised; please retry."""


class NoTitle(TurnError):
    """The model gave the conversation no title; please retry."""


class TooManyTurns(TurnError):
    """The server is running as many turns as it can; please retry."""


class Draining(TurnError):
    """The server is shutting down; please retry."""


NOT_DURABLE = TurnFailure(
    status=503,
    code="server_error",
    message="The turn could not be made durable; it may not be stored.",
    retry_after_ms=1000,
)

BROKEN = TurnFailure(status=500, code="server_error", message="The server could not end the turn.")

LEASE_LOST = TurnFailure(
    status=503,
    code="server_error",
    message="Another process took this conversation over while the turn was running.",
    retry_after_ms=1000,
)

SHUTDOWN = TurnFailure(
    status=503,
    code="server_error",
    message="The server shut down before the answer was complete.",
    retry_after_ms=1000,
)

OVERLOADED = TurnFailure(
    status=503,
    code="server_overloaded",
    message="The model servers have no room for another job. Please retry.",
    retry_after_ms=1000,
)

_RELAYED = frozenset({400, 404, 409, 413, 415, 422})
"""Refusals that are about the client's request; every other one is between Axon and the engine."""

_STATUS_OF_KIND = {"timeout": 504, "deadline": 504}


_REDACTOR = Redactor()


def _redacted(body: bytes) -> bytes:
    """Return an engine's own error body without personal data and secrets."""
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body  # it is not shown then
    done = _REDACTOR.redact_json(read)
    return body if done == read else msgspec.json.encode(done)


def broken(detail: str) -> TurnFailure:
    """Return the failure of an engine that does not keep to the protocol."""
    told = _REDACTOR.redact_text(detail[:300])
    message = f"The model server sent an answer that cannot be read: {told}"
    return TurnFailure(status=502, code="server_error", message=message)


def cut_short() -> TurnFailure:
    """Return the failure of an engine whose stream ended before it said why."""
    return TurnFailure(
        status=502,
        code="server_error",
        message="The model server ended the answer before it was complete.",
    )


def from_job(failed: JobFailed) -> TurnFailure:
    """Return what a client is told of a job that failed, without what it may repeat of anybody."""
    message = _REDACTOR.redact_text(failed.message)
    status = failed.status or 0
    if status in _RELAYED:
        return TurnFailure(
            status=status,
            code="invalid_request",
            message=message,
            kind="invalid_request_error",
            body=_redacted(failed.body) if failed.body else None,
        )
    if status == 429:
        return TurnFailure(
            status=429,
            code="rate_limit_exceeded",
            message="The model servers are at their limit. Please retry.",
            kind="rate_limit_error",
            retry_after_ms=failed.retry_after_ms or 1000,
        )
    return TurnFailure(
        status=_STATUS_OF_KIND.get(failed.kind, 502),
        code="server_error",
        message=f"The model server failed: {message}",
        retry_after_ms=failed.retry_after_ms,
    )
