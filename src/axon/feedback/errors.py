"""The ways feedback can be refused."""

from axon.base import AxonError


class FeedbackError(AxonError):
    """Something is wrong with the feedback."""


class UnknownFeedback(FeedbackError):
    """Nobody has said anything of this answer."""


class FeedbackUnavailable(FeedbackError):
    """Feedback cannot be read now; please retry."""
