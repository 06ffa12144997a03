"""The tail of stored chat completions: what PostgreSQL does not have of them yet."""

from collections import deque
from collections.abc import Sequence

from axon.journal import Location
from axon.records import ConversationChanged, Record, TurnCompleted


class ChatTail:
    """Where the records of each person's stored chat completions are; part of the tail.

    Bounded as the tail is: each entry here has one there.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._order: deque[tuple[Location, int, str]] = deque()
        self._people: dict[int, dict[str, list[Location]]] = {}

    def note(self, record: Record, location: Location) -> None:
        """Remember a durable record that is about a stored chat completion."""
        if isinstance(record, TurnCompleted):
            user, completion_id = record.head.user, record.head.turn_id
        else:
            assert isinstance(record, ConversationChanged)
            user, completion_id = record.user, record.item_id
        self._order.append((location, user, completion_id))
        self._people.setdefault(user, {}).setdefault(completion_id, []).append(location)

    def prune(self, projected_through: int) -> None:
        """Forget everything up to this journal sequence."""
        order = self._order
        while order and order[0][0].sequence <= projected_through:
            location, user, completion_id = order.popleft()
            theirs = self._people[user]
            theirs[completion_id].remove(location)
            if not theirs[completion_id]:
                del theirs[completion_id]
            if not theirs:
                del self._people[user]

    def ids(self, user: int) -> list[str]:
        """Return the person's completions that have a record here."""
        return list(self._people.get(user, ()))

    def places(self, user: int, completion_id: str) -> Sequence[Location]:
        """Return where the completion's records are, in the journal's order."""
        return tuple(self._people.get(user, {}).get(completion_id, ()))
