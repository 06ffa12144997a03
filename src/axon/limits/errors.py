"""The ways a limit can refuse, or be refused itself."""

from axon.base import AxonError
from axon.limits.values import RuleState


class LimitsError(AxonError):
    """Something is wrong with the limits."""


class LimitReached(LimitsError):
    """You have reached a limit."""

    def __init__(self, reached: RuleState, states: tuple[RuleState, ...], now_us: int) -> None:
        """`reached` refused at `now_us`; `states` are of every rule that applies."""
        self.reached = reached
        self.states = states
        self.now_us = now_us
        super().__init__(
            f"{reached.rule_id}: {reached.used} of {reached.amount} {reached.measure} used, "
            f"and {reached.asked} asked for"
        )


class LimitsUnavailable(LimitsError):
    """Whether your limits allow this cannot be told now; please retry."""


class UnusableRule(LimitsError):
    """A rule cannot be like this."""


class UnknownRule(LimitsError):
    """There is no such rule."""


class UnknownTier(LimitsError):
    """There is no such tier."""


class TierInUse(LimitsError):
    """Organizations are in this tier."""
