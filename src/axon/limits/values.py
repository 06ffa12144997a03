"""What others see of the limits: who asks, how a rule stands, and what was admitted."""

import msgspec

from axon.records import Hold


class Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A turn that wants to be admitted, and the most that it can use."""

    org_id: str
    tier: str
    user: int
    credential_id: str
    model: str
    at_us: int
    """When it was accepted: its periods are those of this instant."""
    tokens: int = 0
    cost_nano: int = 0
    currency: str = ""
    """Of the model's price; empty for a model without one, which no budget of money is about."""


class RuleState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How one rule stands for the caller."""

    rule_id: str
    measure: str
    period: str
    currency: str
    """Of money; else empty."""
    kind: str
    overage_percent: int = 0
    amount: int
    used: int
    """Settled and held back, of everybody who shares it, before what is asked for."""
    asked: int
    """What this turn holds back; 0 when nothing was asked for."""
    resets_us: int
    """When its period ends; 0 for concurrent turns."""

    @property
    def remaining(self) -> int:
        """Return what is left of it after this turn's own part; never less than 0."""
        return max(0, self.amount - self.used - self.asked)

    @property
    def exceeded(self) -> bool:
        """Return whether the turn goes beyond the amount, whatever follows from it."""
        return self.used + self.asked > self.amount


class Admission(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Leave to go on: what is held back for the turn, and how the rules stand."""

    holds: list[Hold]
    states: tuple[RuleState, ...]
    at_us: int
    cost_nano: int
    """The most that the turn can cost, with what its overage may cost more."""
