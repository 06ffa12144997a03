"""What an organization wants hidden, and where; patterns of its own are compiled here, bounded."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from axon.privacy.errors import PatternInvalid
from axon.privacy.kind import Kind
from axon.privacy.redactor import Redactor
from axon.privacy.scanner import Scanner

CUSTOM_MAX = 64
"""Patterns that one organization may add: each makes the automaton larger."""

CUSTOM_PATTERN_CHARS_MAX = 256

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_CLASSES = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")
_UNBOUNDED = re.compile(r"[*+]|\{\d+,\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyPolicy:
    """What is hidden for one organization."""

    redactor: Redactor = field(default_factory=Redactor)
    engine_input: bool = False
    """Whether models are told names in place of values, and answers have the values back."""


class Policies:
    """The policy of each organization; the default counts where none is set."""

    def __init__(
        self, default: PrivacyPolicy, of_orgs: Mapping[str, PrivacyPolicy] | None = None
    ) -> None:
        """`of_orgs` by organization id."""
        self._default = default
        self._of_orgs = dict(of_orgs or {})
        self.hide_anything = default.engine_input or any(
            policy.engine_input for policy in self._of_orgs.values()
        )
        """Whether any turn may have something hidden."""

    def of(self, org_id: str) -> PrivacyPolicy:
        """Return the policy of an organization."""
        return self._of_orgs.get(org_id, self._default)


def custom_kinds(patterns: Mapping[str, str]) -> Sequence[Kind]:
    """Return patterns of an organization as kinds, by name; raise PatternInvalid.

    They are Hyperscan's: Perl's syntax without looking around or back, so none can take long.
    """
    if len(patterns) > CUSTOM_MAX:
        raise PatternInvalid(f"there may be {CUSTOM_MAX} patterns, and these are {len(patterns)}")
    return [_custom(name, pattern) for name, pattern in patterns.items()]


def check_bounded(name: str, pattern: str) -> None:
    """Raise PatternInvalid for a pattern that can match without an end."""
    if _UNBOUNDED.search(_CLASSES.sub("", pattern)):
        raise PatternInvalid(f"{name}: say how much at most, as in {{0,80}}, in place of * and +")


def _custom(name: str, pattern: str) -> Kind:
    if len(pattern) > CUSTOM_PATTERN_CHARS_MAX:
        raise PatternInvalid(f"{name}: it is longer than {CUSTOM_PATTERN_CHARS_MAX} characters")
    if not _NAME.fullmatch(name):
        raise PatternInvalid(f"{name}: a name is 1 to 32 of a-z, 0-9 and _")
    if not pattern.isascii():
        raise PatternInvalid(f"{name}: write what is not ASCII as bytes of UTF-8, \\xc3\\a9")
    check_bounded(name, pattern)
    kind = Kind(name, pattern)
    Scanner([kind]).prepare()
    return kind
