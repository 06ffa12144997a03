"""An error as a client reads it, in the shapes of the APIs that Axon speaks."""

from dataclasses import dataclass, replace
from http import HTTPStatus

import msgspec

from axon.base import AxonError
from axon.privacy import Redactor

RETRY_AFTER_MS = 1000
"""When a client may try again after a refusal that passes by itself."""

_REDACTOR = Redactor()

_OFREP_CODES = ("PARSE_ERROR", "INVALID_CONTEXT")
"""Those that a request can be refused with before a flag is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as a client reads it."""

    status: int
    message: str
    kind: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after_ms: int | None = None
    beside: tuple[tuple[bytes, bytes], ...] = ()
    """Headers of its own."""
    members: tuple[tuple[str, str | None], ...] = ()
    """What the error says beside what every error says."""

    def redacted(self) -> "Problem":
        """Return the same without personal data and secrets: a message may repeat a request."""
        message = _REDACTOR.redact_text(self.message)
        param = self.param and _REDACTOR.redact_text(self.param)
        if (message, param) == (self.message, self.param):
            return self
        return replace(self, message=message, param=param)

    def body(self) -> bytes:
        """Return the JSON body OpenAI's clients know."""
        error = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }
        return msgspec.json.encode({"error": {**error, **dict(self.members)}})

    def ofrep(self) -> bytes:
        """Return the body that clients of OpenFeature know; `param` is the flag's key."""
        known = self.code if self.code in _OFREP_CODES else "GENERAL"
        told = {"errorCode": known, "errorDetails": self.message, **dict(self.members)}
        return msgspec.json.encode({"key": self.param, **told} if self.param else told)

    def details(self, request_id: str) -> bytes:
        """Return the body as a problem of RFC 7807, which OpenMeter's clients know."""
        code = self.code or self.kind
        told = {
            "type": f"urn:axon:problem:{code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.message,
            "instance": f"urn:axon:request:{request_id}",
            **dict(self.members),
        }
        if self.param is None:
            return msgspec.json.encode(told)
        wrong = [{"field": self.param, "code": code, "message": self.message}]
        return msgspec.json.encode({**told, "extensions": {"validationErrors": wrong}})

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that tell the SDK when to try again."""
        if self.retry_after_ms is None:
            return [*self.beside]
        seconds = max(1, -(-self.retry_after_ms // 1000))
        return [
            (b"retry-after-ms", b"%d" % self.retry_after_ms),
            (b"retry-after", b"%d" % seconds),
            *self.beside,
        ]


class RequestRefused(AxonError):
    """The request cannot be understood."""

    def __init__(self, problem: Problem) -> None:
        """`problem` is what the client reads."""
        super().__init__(problem.message)
        self.problem = problem


def refuse(message: str, param: str | None = None, code: str | None = None) -> RequestRefused:
    """Return the error for a request that is wrong: a 400."""
    return RequestRefused(Problem(status=400, message=message, param=param, code=code))


def not_found(message: str) -> RequestRefused:
    """Return the error for something that is not there, or not the caller's: a 404."""
    return RequestRefused(Problem(status=404, message=message))


def unavailable(message: str, code: str, retry_after_ms: int = RETRY_AFTER_MS) -> Problem:
    """Return a refusal that passes by itself."""
    return Problem(
        status=503,
        message=message,
        kind="server_error",
        code=code,
        retry_after_ms=retry_after_ms,
    )
