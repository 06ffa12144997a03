"""What a turn costs more for going beyond limits that let it: from its records alone."""

from collections.abc import Sequence

from axon.records import Charge, Hold, TokenUsage


def with_overage(charge: Charge, holds: Sequence[Hold], usage: TokenUsage) -> Charge:
    """Return the charge with what each limit makes of the part that went beyond it.

    The part is of requests, tokens or cost, as the limit counts; its cost is that part of the
    turn's, and rises by the limit's percentage, rounded half up once for each limit. The turn's
    holds say how much was within when it was accepted, so a replay gives the same.
    """
    cost = charge.cost_nano
    if not cost:
        return charge
    more = 0
    for hold in holds:
        if hold.overage_percent:
            used = _used(hold, charge, usage)
            beyond = used - hold.within
            if beyond > 0:
                parts = 100 * used
                more += (cost * hold.overage_percent * beyond + parts // 2) // parts
    if not more:
        return charge
    return Charge(charge.price_id, charge.currency, cost + more, more)


def _used(hold: Hold, charge: Charge, usage: TokenUsage) -> int:
    """Return how much of what the limit counts the turn used, its cost without any overage."""
    if hold.measure == "requests":
        return 1
    if hold.measure == "tokens":
        return usage.input_tokens + usage.output_tokens
    return charge.cost_nano if hold.currency == charge.currency else 0
