"""Safety: rules for what may be asked and said, and the levels that say what they lead to."""

from axon.safety.levels import OFF, Action, Level, SafetyPolicy
from axon.safety.rules import CUT, RULES_BYTES_MAX, RuleHit, RuleSet, RulesInvalid, SafetyError
from axon.safety.window import RulesWindow

__all__ = [
    "CUT",
    "OFF",
    "RULES_BYTES_MAX",
    "Action",
    "Level",
    "RuleHit",
    "RuleSet",
    "RulesInvalid",
    "RulesWindow",
    "SafetyError",
    "SafetyPolicy",
]
