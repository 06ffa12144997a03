"""What OpenAI's clients are told of limits: `x-ratelimit-*`, 429, and ours for those that warn."""

from collections.abc import Sequence

from axon.base import MICROS_PER_SECOND
from axon.gateway.problem import Problem
from axon.limits import LimitReached, RuleState

Headers = list[tuple[bytes, bytes]]

_SHOWN = ("requests", "tokens")
"""What OpenAI has headers for."""

_WORTH_A_RETRY_MS = 60_000
"""The SDK waits no longer; beyond it a retry is one more refusal."""

_MOMENT_MS = 1000
"""When one more concurrent turn may be tried: nobody knows when one ends."""


def limit_headers(states: Sequence[RuleState], now_us: int) -> Headers:
    """Return the headers of an answer or a refusal: of each measure the rule that is nearest."""
    headers: Headers = []
    for measure in _SHOWN:
        of_it = [state for state in states if state.measure == measure]
        if of_it:
            nearest = min(of_it, key=lambda state: state.remaining)
            name = measure.encode()
            headers += [
                (b"x-ratelimit-limit-%b" % name, b"%d" % nearest.amount),
                (b"x-ratelimit-remaining-%b" % name, b"%d" % nearest.remaining),
                (b"x-ratelimit-reset-%b" % name, _until(nearest.resets_us, now_us)),
            ]
    exceeded = [state.rule_id for state in states if state.exceeded]
    if exceeded:
        headers.append((b"axon-limits-exceeded", ", ".join(exceeded).encode()))
    return headers


def limit_problem(error: LimitReached) -> Problem:
    """Return OpenAI's 429: of a rate, which passes by itself, or of a quota that is used up."""
    reached = error.reached
    quota = reached.measure == "money" or reached.period == "month"
    after_ms = max(1, (reached.resets_us - error.now_us) // 1000) if reached.period else _MOMENT_MS
    beside = limit_headers(error.states, error.now_us)
    if quota or after_ms > _WORTH_A_RETRY_MS:
        beside.append((b"x-should-retry", b"false"))
    code = "insufficient_quota" if quota else "rate_limit_exceeded"
    of_rate = "tokens" if reached.measure == "tokens" else "requests"
    return Problem(
        status=429,
        message=str(error),
        kind=code if quota else of_rate,
        code=code,
        retry_after_ms=None if quota else after_ms,
        beside=tuple(beside),
    )


def _until(instant_us: int, now_us: int) -> bytes:
    """Return a duration as OpenAI writes it: 6m0s, 1h2m3s, 250ms."""
    left_ms = max(0, instant_us - now_us) * 1000 // MICROS_PER_SECOND
    if left_ms < 1000:
        return b"%dms" % left_ms
    minutes, seconds = divmod(left_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, seconds)
    return b"%dm%ds" % (minutes, seconds) if minutes else b"%ds" % seconds
