"""From where on the process after this one must look for turns that were left open."""

from collections import OrderedDict

from axon.journal import Mark


class OpenTurns:
    """The turns without a durable end, and the shared mark below which the journal has none.

    A turn counts from before its acceptance is journaled, from a place that is durable then: its
    acceptance comes behind it, and such places only grow, so the oldest is the lowest.
    """

    def __init__(self, mark: Mark, durable_through: int) -> None:
        """Begin with no turn; `mark` stays as it is until a turn has ended."""
        self._mark = mark
        self._durable_through = durable_through
        self._from: OrderedDict[int, int] = OrderedDict()
        self._tickets = 0
        self.count = 0
        """How many turns are open."""

    def begin(self, accepted_at: int | None = None) -> int:
        """Count a turn and return its ticket.

        `accepted_at` is the sequence of an acceptance that the process before journaled; call it
        for those first, in their order.
        """
        if accepted_at is None:
            accepted_at = self._durable_through + 1
        self._tickets += 1
        self._from[self._tickets] = accepted_at
        self.count += 1
        return self._tickets

    def drop(self, ticket: int) -> None:
        """Count a turn no more that was never accepted."""
        del self._from[ticket]
        self.count -= 1

    def end(self, ticket: int, ended_at: int, also_from: int | None) -> None:
        """Count a turn no more whose end is durable, at the sequence `ended_at`.

        Entries from `also_from` on are needed as well.
        """
        self.drop(ticket)
        self._durable_through = max(self._durable_through, ended_at)
        needed_from = next(iter(self._from.values()), self._durable_through + 1)
        if also_from is not None and also_from < needed_from:
            needed_from = also_from
        self._mark.set(needed_from)
