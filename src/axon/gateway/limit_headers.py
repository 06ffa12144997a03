"""OpenAI's `x-ratelimit-*` headers, and ours for limits that only warn."""

from collections.abc import Sequence

from axon.base import MICROS_PER_SECOND
from axon.limits import RuleState

Headers = list[tuple[bytes, bytes]]

_SHOWN = ("requests", "tokens")
"""What OpenAI has headers for."""


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
