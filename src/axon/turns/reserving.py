"""Holding back the most that a turn can use, and noticing when it has used it."""

import msgspec

from axon.inference import estimate_tokens
from axon.limits import Asked
from axon.records import TokenUsage
from axon.turns.answer import Ending
from axon.turns.request import RunningTurn
from axon.turns.rooms import TurnRooms
from axon.turns.stream import count_events

RESERVATION_USED = Ending(status="incomplete", reason="max_output_tokens")
"""Of an answer that has become as long as what was held back for it."""


async def reserve(rooms: TurnRooms, turn: RunningTurn) -> None:
    """Hold back the worst case of a turn from the limits that apply, if any does.

    Raises LimitReached, and LimitsUnavailable when nobody can tell.
    """
    request, head = turn.request, turn.head
    input_tokens = estimate_tokens(turn.fields)
    output_tokens = _output_tokens_max(turn, input_tokens)
    at_most = rooms.prices.charge_at_most(head, input_tokens, output_tokens)
    admission = await rooms.limits.admit(
        Asked(
            org_id=head.org_id,
            tier=request.tier,
            user=head.user,
            credential_id=head.credential_id,
            model=head.runs_on,
            at_us=head.accepted_us,
            tokens=input_tokens + output_tokens,
            cost_nano=at_most.cost_nano,
            currency=at_most.currency,
        )
    )
    if admission is None:
        return
    turn.admission = admission
    turn.head = msgspec.structs.replace(head, holds=admission.holds)
    turn.input_tokens_reserved, turn.output_tokens_reserved = input_tokens, output_tokens
    turn.cost_reserved_nano = admission.cost_nano


def _output_tokens_max(turn: RunningTurn, input_tokens: int) -> int:
    """Return how many tokens the answer can have: all that fit where nobody set a bound."""
    request, model = turn.request, turn.model
    if request.surface == "embeddings":
        return 0
    cap = request.output_tokens_max or model.output_tokens_max
    if not cap:
        cap = max(0, model.context_window - input_tokens)
    return cap * max(1, request.choices)


def used_up(turn: RunningTurn, data: bytes) -> bool:
    """Return whether the answer is longer than what was held back; `data` are more of its events.

    Engines send an event a token or more rarely, so an honest one is never cut.
    """
    if not turn.head.holds:
        return False
    turn.events_streamed += count_events(data)
    return turn.events_streamed > turn.output_tokens_reserved + _EVENTS_BESIDE


_EVENTS_BESIDE = 4
"""Of a stream that are no token: the role, the reason of the end, the usage, the last word."""


def within_reservation(turn: RunningTurn, usage: TokenUsage) -> TokenUsage:
    """Return our own count of what was used, which errs on the high side, as it can be at most."""
    if not turn.head.holds:
        return usage
    return msgspec.structs.replace(
        usage,
        input_tokens=min(usage.input_tokens, turn.input_tokens_reserved),
        output_tokens=min(usage.output_tokens, turn.output_tokens_reserved),
    )
