"""The ways in which a conversation can refuse, each with one cause."""

from axon.base import AxonError


class ConversationError(AxonError):
    """The conversation could not do what was asked."""


class ConversationNotFound(ConversationError):
    """No such conversation."""


class TurnNotFound(ConversationError):
    """No such turn."""


class ItemNotFound(ConversationError):
    """No such item in this conversation."""


class ConversationBusy(ConversationError):
    """Another turn of this conversation is still running; try again shortly."""

    def __init__(self, retry_after_ms: int) -> None:
        """`retry_after_ms` is when another try may succeed, in milliseconds from now."""
        super().__init__(f"retry after {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms


class HistoryUnavailable(ConversationError):
    """The history of this conversation cannot be proven complete at the moment.

    Answer 503, never a history that may be wrong; it passes when the stores are back.
    """


class HistoryAway(HistoryUnavailable):
    """The store that knows what this conversation holds is away."""


class ColdAway(HistoryUnavailable):
    """This conversation is in the archive, which cannot be read at the moment; please retry."""


class ColdBroken(ConversationError):
    """What the archive holds of this conversation is missing or damaged."""


class LoadsBusy(HistoryUnavailable):
    """Too many conversations are being read at once; please retry."""


class TailFull(ConversationError):
    """PostgreSQL has been behind for too long: no more unprojected turns can be remembered."""


class LeaseLost(ConversationError):
    """The conversation was taken over before the change was acknowledged; it may not stand."""


class NotACursor(ConversationError):
    """This is no cursor of this person's feed."""


class CursorExpired(ConversationError):
    """Changes since this cursor are no longer kept; list the conversations and begin anew."""


class ForkTooLarge(ConversationError):
    """This is more of a conversation than one fork can copy."""


class ForkCutsCall(ConversationError):
    """Forked at this item, a call would be without the output that answers it; choose the last
    output of its turn, or an item before the call."""


class SearchBusy(ConversationError):
    """Too many searches are running; try again shortly."""


class TooManySubscribers(ConversationError):
    """No more readers can follow conversations here at the moment."""
