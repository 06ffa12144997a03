"""What this process's journal says of its turns: which run, and what the ended ones used."""

from collections import deque
from collections.abc import Callable

import msgspec

from axon.limits.book import Counter, Spent, spent_by
from axon.records import Hold, Record, TurnAccepted, TurnCompleted, TurnHead, TurnInterrupted

ENDED_MAX = 100_000
"""Ended turns with limits that wait for PostgreSQL: some 60 MiB. Beyond them none is admitted."""


class _Ended(msgspec.Struct, frozen=True):
    sequence: int
    org_id: str
    holds: list[Hold]
    spent: Spent


class OwnTurns:
    """The turns with limits; those that ended are kept until PostgreSQL has them."""

    def __init__(self, projected: Callable[[], int]) -> None:
        """`projected` returns through which entry PostgreSQL has the journal; may be behind."""
        self._projected = projected
        self._ended: deque[_Ended] = deque()
        self._running: dict[str, TurnHead] = {}

    def note(self, record: Record, sequence: int) -> None:
        """Know a record of the life before this one."""
        if isinstance(record, TurnAccepted):
            if record.head.holds:
                self.began(record.head)
        elif isinstance(record, TurnCompleted | TurnInterrupted) and record.head.holds:
            head = record.head
            self._running.pop(head.turn_id, None)
            # The end of a turn that had no place comes a second time, with it.
            if not (head.without_history and head.conversation_id and head.sequence):
                self.ended(head, spent_by(record), sequence)

    def began(self, head: TurnHead) -> None:
        """Know a turn that is running."""
        self._running[head.turn_id] = head

    def ended(self, head: TurnHead, spent: Spent, sequence: int) -> None:
        """Know the end of a turn, durable as entry `sequence`."""
        self._running.pop(head.turn_id, None)
        self._ended.append(_Ended(sequence, head.org_id, head.holds, spent))

    def running(self) -> list[TurnHead]:
        """Return the turns that run."""
        return list(self._running.values())

    @property
    def full(self) -> bool:
        """Return whether so many ended turns wait for PostgreSQL that no more may begin."""
        return len(self._ended) >= ENDED_MAX

    def organizations(self) -> set[str]:
        """Return whose ended turns PostgreSQL lacks."""
        return {ended.org_id for ended in self._ended}

    def prune(self) -> None:
        """Forget what PostgreSQL has."""
        projected = self._projected()
        while self._ended and self._ended[0].sequence <= projected:
            self._ended.popleft()

    def used(self, org_id: str, counter: Counter, after: int) -> int:
        """Return what the turns used that ended behind entry `after`."""
        total = 0
        for ended in self._ended:
            if ended.sequence > after and ended.org_id == org_id:
                for hold in ended.holds:
                    if (hold.bucket, hold.start_us) == counter.key:
                        total += ended.spent.of(hold)
        return total
