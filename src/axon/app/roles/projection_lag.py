"""How long PostgreSQL has been behind a journal, as the journal's own process sees it.

The projector tells too, but one that hangs tells nothing.
"""

from axon.base import Clock


class ProjectionLag:
    """Remembers since when an entry has been lacking; look several times a second."""

    def __init__(self, clock: Clock) -> None:
        """Nothing is lacking."""
        self._clock = clock
        self._lacking = 0
        self._since_s = 0.0

    def look(self, durable: int, projected: int) -> float:
        """Return for how many seconds an entry has been lacking, counted from the look that saw it.

        `durable` and `projected` are the newest sequences on disk and in PostgreSQL.
        """
        if projected >= durable:
            self._lacking = 0
            return 0.0
        now_s = self._clock.monotonic()
        if projected >= self._lacking:
            self._lacking, self._since_s = durable, now_s
        return now_s - self._since_s
