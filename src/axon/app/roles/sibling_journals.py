"""What the node's other serving processes have acknowledged and PostgreSQL may not have yet."""

import asyncio
from collections.abc import Sequence

from axon.app.folders import DataFolder
from axon.base import Clock
from axon.journal import read_cursor, read_durable

_LOOK_EVERY_S = 0.005
"""The projector commits a batch in a few milliseconds; a look costs microseconds."""

_IMPATIENT_S = 5.0
"""After a wait in vain nobody waits for so long: PostgreSQL or the projector is away."""


class SiblingJournals:
    """The journals of the others, read through the two marks every journal shows."""

    def __init__(self, folder: DataFolder, names: Sequence[str], clock: Clock) -> None:
        """`names` are the other serving processes."""
        self._folder = folder
        self._names = tuple(names)
        self._clock = clock
        self._impatient_until_s = 0.0

    async def settled(self, within_s: float) -> bool:
        """Return whether PostgreSQL has all that was durable when this was called.

        Waits for it, `within_s` seconds at most, and not at all for a while after it was in vain.
        """
        waited_for = {
            journal: read_durable(journal)
            for name in self._names
            for journal in self._folder.journals_named(name)
        }
        began_s = self._clock.monotonic()
        patient = began_s >= self._impatient_until_s
        for journal, durable in waited_for.items():
            while read_cursor(journal) < durable:
                now_s = self._clock.monotonic()
                if not patient or now_s >= began_s + within_s:
                    if patient:
                        self._impatient_until_s = now_s + _IMPATIENT_S
                    return False
                await asyncio.sleep(_LOOK_EVERY_S)
        return True
