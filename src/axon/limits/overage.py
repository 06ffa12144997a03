"""What a turn may cost more because it goes beyond a limit that lets it."""

from collections.abc import Sequence

import msgspec

from axon.limits.alone import Want
from axon.limits.rules import Rule
from axon.limits.values import Asked
from axon.records import Hold


def with_overage(asked: Asked, rules: Sequence[Rule]) -> Asked:
    """Return what is asked for with the most that overage can add to its cost.

    Each rule adds its percentage of the whole cost at most, rounded up.
    """
    percents = [rule.overage_percent for rule in rules if rule.overage_percent]
    if not percents or not asked.cost_nano:
        return asked
    more = sum(-(-asked.cost_nano * percent // 100) for percent in percents)
    return msgspec.structs.replace(asked, cost_nano=asked.cost_nano + more)


def hold_of(want: Want) -> Hold:
    """Return what the turn's records say of a rule: with a price for overage also what is within.

    That is what ended turns had left of the amount. What others only hold back is not taken off:
    they may give it back, and nobody shall pay for what was never used.
    """
    rule, counter = want.rule, want.counter
    if not rule.overage_percent:
        return want.hold
    settled = max(counter.settled_by_all, counter.used)
    return msgspec.structs.replace(
        want.hold,
        within=max(0, rule.amount - settled),
        overage_percent=rule.overage_percent,
    )
