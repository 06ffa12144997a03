"""Privacy: finds personal data and secrets in a text, hides them, and restores them in answers."""

from axon.privacy.errors import PatternInvalid, PrivacyError
from axon.privacy.kind import Kind
from axon.privacy.policy import CUSTOM_MAX, Policies, PrivacyPolicy, check_bounded, custom_kinds
from axon.privacy.redactor import (
    KINDS,
    Hiding,
    Redacted,
    Redactor,
    hidden_again,
    walked,
)
from axon.privacy.restoring import Restorer
from axon.privacy.scanner import Scanner, Span

__all__ = [
    "CUSTOM_MAX",
    "KINDS",
    "Hiding",
    "Kind",
    "PatternInvalid",
    "Policies",
    "PrivacyError",
    "PrivacyPolicy",
    "Redacted",
    "Redactor",
    "Restorer",
    "Scanner",
    "Span",
    "check_bounded",
    "custom_kinds",
    "hidden_again",
    "walked",
]
