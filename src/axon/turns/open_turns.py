"""From where on the process after this one must look for turns that were left open."""

from collections import OrderedDict

from axon.journal import Journal, Mark


class OpenTurns:
    """The turns without a durable end, and the shared mark below which the journal has none.

    A turn counts from before its acceptance is journaled, from the place where the journal ends
    then: its acceptance comes behind it, and such places only grow, so the oldest is the lowest.
    """

    def __init__(self, mark: Mark, journal: Journal) -> None:
        """Begin with no turn; `mark` stays as it is until `tell`."""
        self._mark = mark
        self._journal = journal
        self._from: OrderedDict[int, int] = OrderedDict()
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._from)

    def begin(self, accepted_at: int | None = None) -> int:
        """Count a turn and return its ticket.

        `accepted_at` is the sequence of an acceptance that the process before journaled; call it
        for those first, in their order.
        """
        if accepted_at is None:
            accepted_at = self._journal.durable_through + 1
        self._tickets += 1
        self._from[self._tickets] = accepted_at
        return self._tickets

    def end(self, ticket: int) -> None:
        """Count the turn no more: its end is durable, or it was never accepted."""
        del self._from[ticket]

    def tell(self, also_from: int | None) -> None:
        """Set the mark; entries from `also_from` on are needed as well."""
        needed_from = next(iter(self._from.values()), None)
        if needed_from is None:
            needed_from = self._journal.durable_through + 1
        if also_from is not None and also_from < needed_from:
            needed_from = also_from
        self._mark.set(needed_from)
