"""What can go wrong between what people said and what a model is trained on."""

from axon.base import AxonError


class TrainingError(AxonError):
    """Something about training data went wrong."""


class TrainingUnavailable(TrainingError):
    """Training data cannot be read now."""


class Unusable(TrainingError):
    """A turn can be no example; the detail is one word that says why."""
