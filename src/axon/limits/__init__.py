"""What may be used: tiers and limits, what turns hold back of them, and what they used."""

from axon.limits.admin import LimitsAdmin
from axon.limits.calendar import PERIODS, Period, period_at
from axon.limits.errors import (
    LimitReached,
    LimitsError,
    LimitsUnavailable,
    TierInUse,
    UnknownRule,
    UnknownTier,
    UnusableRule,
)
from axon.limits.limits import Limits
from axon.limits.parts import LimitsParts
from axon.limits.projector import LimitsProjector
from axon.limits.rules import APART, KINDS, MEASURES, QueueShare, Rule, Tier
from axon.limits.standing import Standing, standings
from axon.limits.values import Admission, Asked, RuleState

__all__ = [
    "APART",
    "KINDS",
    "MEASURES",
    "PERIODS",
    "Admission",
    "Asked",
    "LimitReached",
    "Limits",
    "LimitsAdmin",
    "LimitsError",
    "LimitsParts",
    "LimitsProjector",
    "LimitsUnavailable",
    "Period",
    "QueueShare",
    "Rule",
    "RuleState",
    "Standing",
    "Tier",
    "TierInUse",
    "UnknownRule",
    "UnknownTier",
    "UnusableRule",
    "period_at",
    "standings",
]
