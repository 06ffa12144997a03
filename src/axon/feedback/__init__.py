"""What people thought of the answers they were given."""

from axon.feedback.errors import FeedbackError, FeedbackUnavailable, UnknownFeedback
from axon.feedback.feedback import Feedback, FeedbackParts, FeedbackRoom, Given
from axon.feedback.projector import FeedbackProjector
from axon.feedback.store import FeedbackQuestion

__all__ = [
    "Feedback",
    "FeedbackError",
    "FeedbackParts",
    "FeedbackProjector",
    "FeedbackQuestion",
    "FeedbackRoom",
    "FeedbackUnavailable",
    "Given",
    "UnknownFeedback",
]
