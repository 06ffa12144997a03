"""Turns that have ended and have no place in their conversation yet; a part of the tail."""

from axon.journal import Location
from axon.telemetry import gauge

_waiting = gauge(
    "axon_unplaced_turns", "Turns answered without their history that have no place in it yet"
)


class Unplaced:
    """Where their records are, in the journal's order, until each has its place.

    Bounded as the tail is, which counts them.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._turns: dict[str, Location] = {}
        self._conversations: dict[str, dict[str, Location]] = {}
        self.count = 0
        """How many turns there are."""
        self.oldest: int | None = None
        """The journal's sequence of the oldest. From there on a process that starts must read its
        journal, and keep it until then."""

    def __contains__(self, conversation_id: str) -> bool:
        return conversation_id in self._conversations

    def note(self, conversation_id: str, turn_id: str, location: Location) -> None:
        """Remember the end of a turn without a place."""
        self._turns[turn_id] = location
        self._conversations.setdefault(conversation_id, {})[turn_id] = location
        self._changed()

    def forget(self, conversation_id: str, turn_id: str) -> None:
        """Forget a turn that has its place now; nothing when it had not ended."""
        if self._turns.pop(turn_id, None) is None:
            return
        theirs = self._conversations[conversation_id]
        del theirs[turn_id]
        if not theirs:
            del self._conversations[conversation_id]
        self._changed()

    def _changed(self) -> None:
        self.count = len(self._turns)
        first = next(iter(self._turns.values()), None)
        self.oldest = None if first is None else first.sequence
        _waiting.set(self.count)

    def turns(self, conversation_id: str) -> dict[str, Location]:
        """Return where the ends of the conversation's turns are, by turn, the oldest first."""
        return dict(self._conversations.get(conversation_id, {}))

    def conversations(self) -> tuple[str, ...]:
        """Return the conversations that have such turns."""
        return tuple(self._conversations)
