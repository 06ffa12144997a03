"""What can be wrong with a pattern."""

from axon.base import AxonError


class PrivacyError(AxonError):
    """The redaction of personal data was asked wrongly."""


class PatternInvalid(PrivacyError):
    """A pattern cannot be used."""
