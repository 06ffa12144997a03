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

    def __len__(self) -> int:
        return len(self._turns)

    def __contains__(self, conversation_id: str) -> bool:
        return conversation_id in self._conversations

    def note(self, conversation_id: str, turn_id: str, location: Location) -> None:
        """Remember the end of a turn without a place."""
        self._turns[turn_id] = location
        self._conversations.setdefault(conversation_id, {})[turn_id] = location
        _waiting.set(len(self._turns))

    def forget(self, conversation_id: str, turn_id: str) -> None:
        """Forget a turn that has its place now; nothing when it had not ended."""
        if self._turns.pop(turn_id, None) is None:
            return
        theirs = self._conversations[conversation_id]
        del theirs[turn_id]
        if not theirs:
            del self._conversations[conversation_id]
        _waiting.set(len(self._turns))

    def turns(self, conversation_id: str) -> dict[str, Location]:
        """Return where the ends of the conversation's turns are, by turn, the oldest first."""
        return dict(self._conversations.get(conversation_id, {}))

    def conversations(self) -> tuple[str, ...]:
        """Return the conversations that have such turns."""
        return tuple(self._conversations)

    def oldest(self) -> int | None:
        """Return the journal's sequence of the oldest, None when there is none.

        From there on a process that starts must read its journal, and keep it until then.
        """
        location = next(iter(self._turns.values()), None)
        return None if location is None else location.sequence
