"""Admission while Valkey is not there: from what was set aside for this process beforehand."""

from collections.abc import Sequence

import msgspec

from axon.limits.book import Counter, OrgBook
from axon.limits.errors import LimitReached, LimitsUnavailable
from axon.limits.rules import AMOUNT_MAX, Rule
from axon.limits.values import RuleState
from axon.records import Hold


class Want(msgspec.Struct, frozen=True):
    """One rule that applies to a turn, what it shall hold back, and where it counts."""

    rule: Rule
    hold: Hold
    counter: Counter
    resets_us: int

    def state(self, used: int) -> RuleState:
        """Return how the rule stands when so much was used before."""
        return self.rule.state(used, self.hold.amount, self.resets_us)


Wanted = Sequence[Want]


def admit_alone(book: OrgBook, wanted: Wanted, processes: int, now: tuple[int, float]) -> list[int]:
    """Hold back from this process's shares of all counters, or from none; return what was used.

    Of a minute's rate or of concurrent turns each of the `processes` has an equal part; of a day
    or a month its slice, as long as Valkey still sets it aside. `now` is wall and monotonic time.
    Raises LimitReached, and LimitsUnavailable where what is left cannot be told.
    """
    now_us, now_s = now
    if now_s > book.lease_until_s:
        for counter in book.counters.values():
            counter.slice = 0
    used = []
    for want in wanted:
        rule, hold, counter = want.rule, want.hold, want.counter
        before = max(counter.used_by_all, counter.used + counter.held)
        if rule.ceiling == AMOUNT_MAX:
            used.append(before)
        elif not rule.durable:
            share = max(1, rule.ceiling // processes)
            before = counter.used + counter.held
            if before + hold.amount > share:
                raise _reached(want, before, now_us)
            used.append(before)
        elif hold.amount > counter.slice:
            if counter.used_by_all + hold.amount > rule.ceiling:
                raise _reached(want, counter.used_by_all, now_us)
            raise LimitsUnavailable(f"{rule.rule_id}, while Valkey is away")
        else:
            used.append(before)
    for want in wanted:
        if want.rule.durable:
            want.counter.slice = max(0, want.counter.slice - want.hold.amount)
    return used


def _reached(want: Want, used: int, now_us: int) -> LimitReached:
    state = want.state(used)
    return LimitReached(state, (state,), now_us)
