"""What can go wrong between a turn and an engine."""

from axon.base import AxonError


class InferenceError(AxonError):
    """Inference could not do what was asked."""


class QueueFull(InferenceError):
    """The model has as many waiting jobs as its queue may hold; try again shortly."""


class UnknownModel(InferenceError):
    """No such model."""


class TurnAlreadySubmitted(InferenceError):
    """A job of this turn is still running; a turn has one job at a time."""


class ModelTableInvalid(InferenceError):
    """The table of models contradicts itself."""


class UpstreamAddressInvalid(InferenceError):
    """An upstream's base URL is http(s)://host[:port][/path], with nothing else in it."""


class UpstreamError(InferenceError):
    """The upstream could not be used for this call."""


class ConnectFailed(UpstreamError):
    """No connection to the upstream could be made."""


class AnswerBroken(UpstreamError):
    """The upstream's answer broke off or was not well-formed HTTP."""


class AnswerTooLarge(UpstreamError):
    """A part of the upstream's answer is larger than its bound."""


class AnswerTooSlow(UpstreamError):
    """The upstream did not send the next byte in time."""


class TotalTimePassed(UpstreamError):
    """The upstream took longer than it may for a whole answer."""


class NotAStream(UpstreamError):
    """The upstream answered a streamed request with something that is not an event stream."""
