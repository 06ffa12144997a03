"""What a failed attempt means: its kind, and whether another upstream may do better."""

from axon.inference.errors import AnswerTooSlow, ConnectFailed, TotalTimePassed, UpstreamError
from axon.inference.jobs import FailureKind, JobFailed

_TOO_MANY_REQUESTS = 429

RETRY_AFTER_MS_MAX = 3_600_000
"""An upstream that asks for more than an hour is not meant by the one who waits for an answer."""


def failed_answer(status: int, headers: dict[bytes, bytes], body: bytes) -> JobFailed:
    """Return the failure an upstream's answer with another status than 200 is."""
    if status == _TOO_MANY_REQUESTS:
        kind = FailureKind.OVERLOADED
    elif 400 <= status < 500:
        kind = FailureKind.REJECTED
    else:
        kind = FailureKind.UPSTREAM_ERROR
    return JobFailed(
        kind=kind,
        status=status,
        message=f"the upstream answered {status}",
        body=body,
        retry_after_ms=_retry_after_ms(headers),
        shown=False,
    )


def broken_attempt(error: UpstreamError, shown: bool) -> JobFailed:
    """Return the failure a missing, broken or late answer is."""
    if isinstance(error, ConnectFailed):
        kind = FailureKind.UNREACHABLE
    elif isinstance(error, AnswerTooSlow | TotalTimePassed):
        kind = FailureKind.TIMEOUT
    else:
        kind = FailureKind.BROKEN
    return JobFailed(kind=kind, message=str(error), shown=shown)


def may_go_elsewhere(failure: JobFailed) -> bool:
    """Return True when another upstream may answer well: the request itself is not at fault."""
    return failure.kind is not FailureKind.REJECTED


def is_outage(failure: JobFailed) -> bool:
    """Return True when the failure counts against the upstream's breaker."""
    return failure.kind not in (FailureKind.REJECTED, FailureKind.OVERLOADED)


def _retry_after_ms(headers: dict[bytes, bytes]) -> int | None:
    """Read retry-after-ms, else retry-after in seconds; its date form is not used by engines."""
    for name, factor in ((b"retry-after-ms", 1), (b"retry-after", 1000)):
        text = headers.get(name, b"").strip()
        if text.replace(b".", b"", 1).isdigit():
            return int(min(float(text) * factor, RETRY_AFTER_MS_MAX))
    return None
