"""What can go wrong on the way to a collector."""

from axon.base import AxonError


class TracingError(AxonError):
    """Traces cannot be sent."""


class CollectorAway(TracingError):
    """The collector does not take spans now."""


class CollectorRefused(TracingError):
    """The collector will not take these spans."""
