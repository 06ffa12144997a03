"""How long to wait before a process that died is started again."""

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0
HEALTHY_AFTER_S = 2.0
"""A process that lived this long had a new reason to die, so its count starts over: it is longer
than any of ours takes to start, and what dies at every start never gets so far."""


class Backoff:
    """A delay that doubles with each early death."""

    def __init__(self) -> None:
        """Start with the shortest delay."""
        self._next_s = FIRST_DELAY_S
        self.early_deaths = 0

    def after_death(self, lived_s: float) -> float:
        """Return the seconds to wait, given how long the process lived."""
        if lived_s >= HEALTHY_AFTER_S:
            self._next_s = FIRST_DELAY_S
            self.early_deaths = 0
        delay = self._next_s
        self._next_s = min(2 * delay, LONGEST_DELAY_S)
        self.early_deaths += 1
        return delay
