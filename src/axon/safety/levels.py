"""What a level of safety does with what the rules, or a moderation endpoint, find."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from axon.safety.rules import RuleSet

Action = Literal["off", "flag", "redact", "block"]
"""off: it is not looked at. flag: it is said in the record. redact: what a rule found is cut out;
a moderation endpoint finds no place, so for it this is block. block: it is not passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level, by whose name a flag's variant may choose it."""

    input: Action = "off"
    """What is done about what a person asks, before an engine is told of it."""
    output: Action = "off"
    """What is done about what an engine says, before a client is shown it."""
    endpoint: bool = False
    """Whether a moderation endpoint is asked as well as the rules."""
    fail_closed: bool = False
    """What is done while the endpoint cannot be asked: block, or go on and say so."""


OFF = Level()


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyPolicy:
    """The levels, and which one counts where no flag chooses."""

    rules: RuleSet
    levels: Mapping[str, Level]
    default: str = ""
    """Empty: nothing is checked unless a flag says so."""

    def level(self, chosen: str) -> Level:
        """Return the level of this name; the default for none, and for one that nobody set."""
        return self.levels.get(chosen) or self.levels.get(self.default) or OFF
